"""Alarms lead to what they are about, and a person who answers them by keyboard keeps his place."""

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

RAISE = """(engine, [id, tracker_id]) => {
  engine.alarm(id, "warning", `alarm ${id}`);
  engine.replica.alarms.at(-1).tracker_id = tracker_id;
}"""
ACKNOWLEDGED = """(engine, alarm_seq) => engine.tell({
  kind: "alarm_acknowledged", data: { alarm_seq },
})"""


def test_an_alarm_shows_its_position(staged: StagedDashboard) -> None:
    """It opens the position in full and keeps it open; nothing is offered of one unknown."""
    staged.hold("NIFTY", "BANKNIFTY")
    for alarm in ((1, "BANKNIFTY"), (2, "of-yesterday"), (3, None)):
        staged.engine(RAISE, alarm)
    staged.log_in(TOKEN)
    page = staged.page
    expect(page.locator("#alarms li")).to_have_count(3)
    show = page.locator("#alarms").get_by_role("button", name="Show position")
    expect(show).to_have_count(1)

    for _ in range(2):
        show.click()
        expect(page.locator("#detail-title")).to_contain_text("BANKNIFTY")
        expect(page.locator("#detail")).to_be_focused()
    page.keyboard.press("Escape")
    expect(staged.row("BANKNIFTY", ".symbol-name")).to_be_focused()


def test_the_focus_goes_on_to_the_next_alarm(staged: StagedDashboard) -> None:
    """Alarms are acknowledged one after the other by keyboard, down to the last."""
    for number in (1, 2, 3):
        staged.engine(RAISE, (number, None))
    staged.log_in(TOKEN)
    page = staged.page
    page.get_by_role("button", name="Acknowledge alarm 2").focus()
    for number, following in ((2, 1), (1, 3)):
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text(f"Alarm {number} acknowledged")
        staged.engine(ACKNOWLEDGED, number)
        named = page.get_by_role("button", name=f"Acknowledge alarm {following}")
        expect(named).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Alarm 3 acknowledged")
    staged.engine(ACKNOWLEDGED, 3)

    expect(page.locator("#alarms-panel")).to_be_focused()
