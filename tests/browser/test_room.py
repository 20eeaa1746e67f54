"""What must be seen stays in sight, and leaves room for the rest, on any screen."""

import pytest
from playwright.sync_api import Page, expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

PHONE = {"width": 360, "height": 640}
ALL_IS_BAD = """(engine) => {
  Object.assign(engine.replica, {
    mode: "live", broker: "Dhan at https://api.dhan.co/v2", account_id: "a",
    kill_switch: { active: true, level: "all", reason: "somebody said so at some length" },
  });
  Object.assign(engine.status, {
    is_ready: false, not_ready_because: ["the broker refuses the access token", "the feed is away"],
  });
  engine.alarm(7, "critical", "An exit is stuck for a reason that a person must cure. ".repeat(4));
}"""
COVERED = """() => {
  const [x, y] = [innerWidth / 2, innerHeight];
  const isTop = (at) => document.elementFromPoint(x, at)?.closest("#masthead") !== null;
  return [...Array(y).keys()].filter(isTop).length / y;
}"""
IS_IN_SIGHT = """(element) => {
  const { left, top, width, height } = element.getBoundingClientRect();
  const at = (share) => document.elementFromPoint(left + width / 2, top + height * share);
  return [0.1, 0.5, 0.9].every((share) => element.contains(at(share)));
}"""


@pytest.fixture
def phone(staged: StagedDashboard) -> StagedDashboard:
    """Give a small phone on a bad day."""
    staged.page.set_viewport_size(PHONE)
    staged.hold(*(f"NIFTY-{number}" for number in range(12)))
    staged.engine(ALL_IS_BAD)
    staged.log_in(TOKEN)
    expect(staged.page.locator("#notices .notice")).to_have_count(3)
    return staged


def test_notices_leave_room_for_the_positions(phone: StagedDashboard) -> None:
    """Scrolled down to a position, mode and buttons cover less than half of a phone."""
    page = phone.page
    row = phone.row("NIFTY-9")
    row.scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 200)")

    assert page.evaluate(COVERED) < 0.4
    expect(page.locator("#mode")).to_be_in_viewport()
    expect(page.locator("#exit-all")).to_be_in_viewport()


@pytest.mark.parametrize(
    "size", [PHONE, {"width": 1440, "height": 900}, {"width": 640, "height": 250}]
)
def test_the_focus_is_never_covered(phone: StagedDashboard, size: dict[str, int]) -> None:
    """Shift and Tab go up through the rows: each button is scrolled to below the masthead."""
    page = phone.page
    page.set_viewport_size(size)  # type: ignore[arg-type]
    phone.row("NIFTY-11", ".action button").focus()
    for _ in range(18):
        page.keyboard.press("Shift+Tab")

        assert _focused_is_in_sight(page)


def test_the_buttons_of_a_question_are_in_sight(phone: StagedDashboard) -> None:
    """However many orders it shows, a phone need not be scrolled to confirm or to cancel."""
    items = [
        {
            "tracker_id": f"NIFTY-{number}", "trading_symbol": f"NIFTY-{number}", "side": "LONG",
            "product_type": "INTRADAY", "open_quantity": 75, "why": "", "orders": [
                {"side": "SELL", "quantity": 75, "order_type": "LIMIT", "limit_price": "95.10"}
            ],
        }
        for number in range(12)
    ]  # fmt: skip
    answer = [200, {"items": items, "ticket": "seen"}]
    phone.engine("(engine, answer) => { engine.answers['/exit-preview'] = answer; }", answer)
    page = phone.page
    page.locator("#exit-all").click()
    phone.wait_preview()

    for name in ("#confirm-go", "#confirm-cancel"):
        expect(page.locator(name)).to_be_in_viewport(ratio=1)
        assert page.locator(name).evaluate(IS_IN_SIGHT)


def test_a_long_reason_leaves_room_for_the_other_rows(staged: StagedDashboard) -> None:
    """It takes the width of its row, so that some blocked exits do not fill the screen."""
    staged.page.set_viewport_size({"width": 1440, "height": 900})
    staged.hold("GOLD", "SILVER")
    blocked = {
        "status": "EXITING", "intent": {
            "intent_id": "i", "status": "BLOCKED", "block_reason": "rejected_permanent",
            "note": "RMS: margin exceeds, required 1234567.89, available 12345.67. " * 4,
            "reason": "stop", "trigger": {"rule": "stop_loss", "level": "95.00"}, "attempt": 1,
            "claimed_at": "2026-09-15T09:50:05+05:30", "failures": 1,
        },
    }  # fmt: skip
    staged.engine("({ replica }, blocked) => Object.assign(replica.trackers[0], blocked)", blocked)
    staged.log_in(TOKEN)
    staged.wait_step("GOLD", "blocked")
    expect(staged.row("GOLD", ".step-word")).to_contain_text("available 12345.67. RMS")

    assert staged.row("GOLD").bounding_box()["height"] < 160
    exits = [staged.row(name, ".action").bounding_box() for name in ("GOLD", "SILVER")]
    assert exits[0]["x"] == exits[1]["x"]


@pytest.mark.parametrize("width", [1440, 360])
def test_no_number_is_broken(staged: StagedDashboard, width: int) -> None:
    """A price of six figures and crores of profit stand on one line, within the page."""
    staged.page.set_viewport_size({"width": width, "height": 900})
    staged.hold("MRF")
    staged.log_in(TOKEN)
    price = {"exchange_segment": "NSE_FNO", "security_id": "MRF", "last_traded_price": "250125.05"}
    staged.engine(
        """(engine, price) =>
          engine.live({ prices: [{ ...price, received_at: new Date().toISOString() }] })""",
        price,
    )
    last = staged.row("MRF", ".last .figure")
    expect(last).to_have_text("2,50,125.05")
    for figure in (last, staged.page.locator("#figure-profit")):
        height = figure.evaluate("(element) => parseFloat(getComputedStyle(element).lineHeight)")
        assert figure.bounding_box()["height"] < 1.5 * height  # type: ignore[index]

    page = staged.page
    assert page.evaluate("document.documentElement.scrollWidth") == width


def _focused_is_in_sight(page: Page) -> bool:
    found = page.evaluate(f"({IS_IN_SIGHT})(document.activeElement)")
    return bool(found)
