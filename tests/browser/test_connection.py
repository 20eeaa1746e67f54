"""The page says when it is behind or alone, and goes on without a gap."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from api_rig import TOKEN, ApiRig
from dashboard import Dashboard, OpenDashboard, Stand
from engine_process import CLIENT_IDS, BrokerProcess
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.errors import StoreUnavailable

KILLED_CLIENT = CLIENT_IDS[1]


@pytest.fixture
def own_stand(tmp_path: Path, broker: BrokerProcess) -> Iterator[Stand]:
    """Give an engine of this test's own, to be killed."""
    with Stand(tmp_path, broker, KILLED_CLIENT) as stand:
        yield stand


def test_an_engine_that_is_killed_and_back(own_stand: Stand, browser: Browser) -> None:
    """Killed: the page says so. Back: it catches up by the journal, without reload and gap."""
    context = browser.new_context()
    dashboard = Dashboard(context.new_page(), own_stand.engine.url)
    dashboard.log_in()
    tracker_id = own_stand.hold({"stop_loss": {"points": "50"}})
    dashboard.wait_step(tracker_id, "watching")
    dashboard.open_detail(tracker_id)

    own_stand.engine.kill()
    dashboard.wait_connection("disconnected")
    expect(dashboard.page.locator("#notices")).to_contain_text("No connection to the engine since")
    own_stand.price("25949.00", 1_000)
    own_stand.engine.start()
    own_stand.engine.wait_ready()
    own_stand.price("25948.00", 1_000)
    own_stand.wait_status(tracker_id, "EXITED")
    dashboard.wait_connection("connected")
    dashboard.wait_step(tracker_id, "exited")

    expect(dashboard.page.locator("#notices")).not_to_contain_text("No connection")
    dashboard.page.wait_for_selector(".timeline li[data-kind=position_exited]")
    shown = _shown_numbers(dashboard)
    facts = own_stand.engine.api("GET", f"/trackers/{tracker_id}/journal")["items"]
    assert shown == [fact["seq"] for fact in reversed(facts)]
    assert sum("/dashboard/app.js" in url for url in dashboard.requests) == 1
    assert sum("/api/v1/replica" in url for url in dashboard.requests) == 1
    assert dashboard.complaints == []
    context.close()


def _shown_numbers(dashboard: Dashboard) -> list[int]:
    found: list[int] = dashboard.page.eval_on_selector_all(
        ".timeline li", "items => items.map((item) => Number(item.dataset.seq))"
    )
    return found


def test_a_page_that_is_behind_says_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal cannot be read prices go on, and the page says that it is behind."""

    async def away(**_: object) -> tuple[JournalEntry, ...]:
        raise StoreUnavailable("the disk is full")

    with ApiRig() as rig:
        context = browser.new_context()
        dashboard = Dashboard(context.new_page(), f"http://127.0.0.1:{rig.port}")
        dashboard.log_in(TOKEN)
        known = rig.track()
        dashboard.wait_step(known, "watching")
        expect(dashboard.page.locator("#mode")).to_contain_text("PAPER")
        with monkeypatch.context() as patch:
            patch.setattr(rig.engine.desk, "journal", away)
            missed = rig.track()
            dashboard.wait_connection("behind")
            rig.tick("153.10")
            expect(dashboard.row(known, ".last .figure")).to_have_text("153.10")
            expect(dashboard.page.locator("#notices")).to_contain_text("Behind the journal")
            expect(dashboard.row(missed)).to_have_count(0)
        dashboard.wait_connection("connected")
        dashboard.wait_step(missed, "watching")

        expect(dashboard.page.locator("#notices")).not_to_contain_text("Behind")
        assert _readings(dashboard) == 1
        context.close()


def test_a_lost_replica_is_begun_anew(stand: Stand, browser: Browser) -> None:
    """A gap in the numbers makes the page read the whole state again, and go on."""
    context = browser.new_context()
    page = context.new_page()
    gap = _event({"seq": stand.journal_head() + 1_000, "kind": "engine_started"})

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="text/event-stream", body=gap)

    page.route("**/api/v1/events*", answer, times=1)
    dashboard = Dashboard(page, stand.engine.url)
    dashboard.log_in()
    later = stand.hold({})
    dashboard.wait_step(later, "watching")

    assert _readings(dashboard) == 2
    assert dashboard.complaints == []
    context.close()


def _event(fact: dict[str, Any]) -> str:
    return f"id: {fact['seq']}\ndata: {json.dumps(fact)}\n\n"


def _readings(dashboard: Dashboard) -> int:
    return sum(url.endswith("/api/v1/replica") for url in dashboard.requests)


def test_a_refused_token_ends_the_session(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """A wrong token is refused in words; a tab that is logged out keeps nothing."""
    dashboard = open_dashboard()
    page = dashboard.page
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("API token").fill("a token of somebody else")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("#login-error")).to_have_text("The engine refuses this token.")
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert page.context.cookies() == []


def test_the_token_is_in_no_address(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Every request goes to the engine alone, and none carries the token in its address."""
    dashboard = open_dashboard()
    dashboard.page.reload()
    dashboard.wait_connection("connected")

    assert all(url.startswith(stand.engine.url) for url in dashboard.requests)
    assert not [url for url in dashboard.requests if "token-of" in url]
    assert "token-of" not in dashboard.page.url
