"""The day's P&L against the rules of the account, and what the page says once one has fired."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from dashboard import Dashboard, Stand
from engine_process import CLIENT_IDS, BrokerProcess

_RULES = """
[account_rules]
max_loss = 6000
target = 30000
trailing = {rupees = 2000, activate_at_profit_rupees = 3000}
"""


@pytest.fixture
def stand(tmp_path_factory: pytest.TempPathFactory, broker: BrokerProcess) -> Iterator[Stand]:
    """Run an engine with rules of the account."""
    folder = tmp_path_factory.mktemp("limits")
    with Stand(folder, broker, CLIENT_IDS[2], settings=_RULES) as stand:
        yield stand


def test_limits_are_shown_and_what_fired(stand: Stand, browser: Browser) -> None:
    """Distances follow the P&L, the trailing stop appears, and the rule that fires is told."""
    stand.price("26000.00", 1_000_000)
    tracker_id = stand.hold({})
    context = browser.new_context()
    page = context.new_page()
    dashboard = Dashboard(page, stand.engine.url)
    dashboard.log_in()
    dashboard.wait_step(tracker_id, "watching")
    stand.price("25990.00", 1_000_000)
    expect(page.locator("#limit-max_loss")).to_have_text("−6,000.00")
    expect(page.locator("#away-max_loss")).to_have_text("4,500.00 away")
    expect(page.locator("#away-target")).to_have_text("31,500.00 away")
    expect(page.locator("#away-trailing")).to_have_text("holds from +3,000.00")
    expect(page.locator("#limit-square_off_at")).not_to_be_visible()
    stand.price("26030.00", 1_000_000)
    expect(page.locator("#limit-trailing")).to_have_text("+2,500.00")
    expect(page.locator("#away-trailing")).to_have_text("2,000.00 away")

    stand.price("26016.00", 1_000_000)
    dashboard.wait_step(tracker_id, "exited")
    expect(page.locator("#away-trailing")).to_have_text("fired today")
    note = "account trailing 2500.00 reached: the day's P&L was 2400.00"
    expect(page.locator("#limits-note")).to_contain_text(note)
    status = stand.engine.api("GET", "/status")
    assert status["account"]["fired"] == ["trailing"]
    assert status["kill_switch_active"]
    assert dashboard.complaints == []
    context.close()
