"""Everybody can use the page: no violation of WCAG A and AA, in every state, scheme and width."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dashboard import Dashboard, OpenDashboard, Stand

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    "dark phone": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_no_violation(look: str, stand: Stand, open_dashboard: OpenDashboard) -> None:
    """At rest, with a chart open, amid an exit with alarms, and in a confirmation."""
    watched, exiting = stand.hold({"stop_loss": {"points": "50"}}), stand.hold({})
    ended = stand.hold({})
    dashboard = open_dashboard(**LOOKS[look])
    stand.engine.api("POST", f"/trackers/{ended}/exit", {"reason": "x", "wait": "filled"})
    dashboard.wait_step(ended, "exited")
    dashboard.open_detail(watched)
    stand.engine.api("POST", "/kill-switch", {"active": True, "level": "all", "reason": "test"})
    stand.engine.api("POST", f"/trackers/{exiting}/exit", {"reason": "x", "wait": "claimed"})
    dashboard.wait_step(exiting, "blocked")
    expect(dashboard.page.locator("#alarms li").first).to_be_visible()

    assert _violations(dashboard.page) == []
    dashboard.press_exit(watched)
    assert _violations(dashboard.page) == []
    _assert_nothing_overflows(dashboard)


def test_the_login_has_no_violation(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """The first page counts, too, with an error on it."""
    page = open_dashboard().page
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("API token").fill("a token of somebody else")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#login-error")).not_to_be_empty()

    assert _violations(page) == []


def test_axe_looks_at_the_page(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """A picture without words, put into the page, is found."""
    page = open_dashboard().page
    page.evaluate("document.getElementById('summary').append(document.createElement('img'))")

    assert "image-alt" in [name for name, *_ in _violations(page)]


def test_everything_is_reached_by_the_keyboard(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Tab reaches the buttons of the head, the row and its exit; Enter opens, Escape closes."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard()
    dashboard.wait_step(tracker_id, "watching")
    reached = set()
    for _ in range(12):
        dashboard.page.keyboard.press("Tab")
        reached.add(dashboard.page.evaluate("document.activeElement.textContent.trim()"))

    assert {"Exit all F6", "Halt…", "Log out", "Exit…"} <= reached
    dashboard.row(tracker_id, ".symbol-name").focus()
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.page.locator("#detail")).to_be_focused()
    dashboard.page.keyboard.press("Escape")
    expect(dashboard.row(tracker_id, ".symbol-name")).to_be_focused()


def _violations(page: Page) -> list[tuple[str, str, list[Any]]]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]]) for each in found
    ]


def _assert_nothing_overflows(dashboard: Dashboard) -> None:
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

    assert dashboard.page.evaluate(width) == 0
