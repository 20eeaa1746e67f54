"""Hundreds of rows are drawn in slices: no frame waits for all of them, and facts come first."""

from playwright.sync_api import Page, expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

COUNT = 100
NAMES = [f"OPTION-{place:02}" for place in range(COUNT)]
BY_HAND = """() => {
  let time = performance.now();
  performance.now = () => (time += 1); // a slow machine: each look at the clock takes a millisecond
  window.requestAnimationFrame = (frame) => { window.nextFrame = frame; return 0; };
}"""
PRICED = """(engine, names) => engine.live({ prices: names.map((security_id) => ({
  exchange_segment: "NSE_FNO", security_id, last_traded_price: "140.00",
  received_at: new Date().toISOString(),
})) })"""
ENDED = """(engine, tracker_id) => engine.tell({
  kind: "position_exited", tracker_id,
  data: { exit_price: "131.00", realized_pnl: "2325.00", exit_reason: "by hand" },
})"""
PRICED_ROWS = """() => [...document.querySelectorAll("#open-positions .rows .row")].filter(
  (row) => row.querySelector(".last .figure").textContent === "140.00",
).length"""
ENDED_ROW = "#ended-positions .rows .row .cell.last"


def _open_slow_page(staged: StagedDashboard) -> Page:
    """Give a page of many positions whose frames are drawn one by one, on a slow machine."""
    staged.hold(*NAMES)
    staged.log_in(TOKEN)
    page = staged.page
    expect(page.locator("#open-positions .rows .row .quantity")).to_have_text(["75"] * COUNT)
    page.evaluate(BY_HAND)
    page.wait_for_function("() => window.nextFrame")
    staged.engine(PRICED, NAMES)
    page.wait_for_function(f"() => {{ window.nextFrame(); return ({PRICED_ROWS})(); }}")
    return page


def _priced_after_a_frame(page: Page) -> int:
    page.evaluate("() => window.nextFrame()")
    count: int = page.evaluate(PRICED_ROWS)
    return count


def test_prices_of_many_positions_take_several_frames(staged: StagedDashboard) -> None:
    """Each frame draws a few rows, until all are drawn."""
    page = _open_slow_page(staged)
    counts = [_priced_after_a_frame(page)]
    while counts[-1] < COUNT:
        counts.append(_priced_after_a_frame(page))

        assert 0 < counts[-1] - counts[-2] < COUNT / 4
    assert len(counts) > 4


def test_a_fact_does_not_wait_behind_prices(staged: StagedDashboard) -> None:
    """What happened to a position is drawn before the prices that have waited for longer."""
    page = _open_slow_page(staged)
    staged.engine(ENDED, NAMES[-1])
    found = page.wait_for_function(
        f"""() => {{
          window.nextFrame();
          const ended = document.querySelector('{ENDED_ROW}');
          return ended && {{ text: ended.textContent, priced: ({PRICED_ROWS})() }};
        }}"""
    ).json_value()

    assert found["text"] == "131.00"
    assert found["priced"] < COUNT - 1
