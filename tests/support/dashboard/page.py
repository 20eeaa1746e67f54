"""The dashboard as a person meets it: by what it shows and what can be pressed."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from engine_process.engine import API_TOKEN

SHOWN_MS_MAX = 30_000


class Dashboard:
    """One open page. Every complaint of the browser is kept in `complaints`."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(SHOWN_MS_MAX)
        expect.set_options(timeout=SHOWN_MS_MAX)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)

    def _note(self, kind: str, text: str) -> None:
        # Calls that fail while the engine is down are the browser's own remark, not a defect.
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(text)

    def log_in(self, token: str = API_TOKEN) -> None:
        """Type the token and wait until the desk is connected."""
        self.page.get_by_label("API token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.wait_connection("connected")

    def wait_connection(self, state: str) -> None:
        """Wait until the page says `connected`, `behind` or `disconnected`."""
        self.page.wait_for_selector(f"body[data-connection={state}]")

    def wait_step(self, tracker_id: str, step: str) -> None:
        """Wait until a position's row shows this step."""
        self.page.wait_for_selector(f"{_row(tracker_id)}[data-step={step}]")

    def row(self, tracker_id: str, part: str = "") -> Any:
        """Return a position's row, or a part of it by its class."""
        return self.page.locator(f"{_row(tracker_id)} {part}".strip())

    def press_exit(self, tracker_id: str) -> None:
        """Press a row's exit button and wait until the confirmation shows what will be sent."""
        self.row(tracker_id, ".action button").click()
        self.wait_preview()

    def wait_preview(self) -> None:
        """Wait until the confirmation can be confirmed."""
        self.page.wait_for_selector("#confirm-go:enabled")

    def confirm(self) -> None:
        """Press the confirmation's button and wait until it closes."""
        self.page.locator("#confirm-go").click()
        expect(self.page.locator("#confirm")).not_to_be_visible()

    def open_detail(self, tracker_id: str) -> None:
        """Open a position's chart and journal."""
        self.row(tracker_id, ".symbol-name").click()
        expect(self.page.locator("#detail")).to_be_visible()
        self.page.wait_for_selector(".timeline li[data-kind=tracker_opened]")

    def timeline(self) -> list[str]:
        """Return the kinds of the facts in the open journal, newest first."""
        found: list[str] = self.page.eval_on_selector_all(
            ".timeline li", "items => items.map((item) => item.dataset.kind)"
        )
        return found


def _row(tracker_id: str) -> str:
    return f'.rows .row[data-tracker="{tracker_id}"]'


OpenDashboard = Callable[..., Dashboard]
"""Opens a page and logs in; `unanswered` is a pattern of calls that fail, the rest are options of
a browser context."""
