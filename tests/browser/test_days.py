"""What happened on another day says so, and a level is drawn only while it stood."""

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

NOW, MORNING = "2026-09-15T14:00:00+05:30", "2026-09-15T09:31:05+05:30"
EVENING = "2026-09-14T18:30:00+00:00"  # midnight in India: the day of MORNING has begun
BEFORE = "2026-09-14T18:29:59+00:00"
LEVELS = [("95.00", "120.00"), ("96.00", "120.00"), (None, "120.00"), ("97.00", None)]


def test_the_journal_and_the_chart_tell_the_day(staged: StagedDashboard) -> None:
    """A position that is carried over has steps of two days; times alone would mix them up."""
    staged.page.clock.set_system_time(NOW)
    staged.hold("GOLD")
    facts = [
        {"seq": number, "time": time, "kind": kind, "tracker_id": "GOLD", "data": {}, "text": kind}
        for number, time, kind in [(1, BEFORE, "tracker_opened"), (2, MORNING, "exit_claimed")]
    ]
    fill = {"time": MORNING, "role": "EXIT", "side": "SELL", "quantity": 75, "price": "99.00"}
    chart = {
        "opened_at": BEFORE, "entry_price": "100.00", "spans": [], "levels": [], "triggers": [
            {"time": BEFORE, "rule": "stop_loss", "level": "99.00", "price": "98.00"}
        ], "fills": [fill],
    }  # fmt: skip
    staged.engine(
        """({ answers }, [items, chart]) => {
          answers["/trackers/GOLD/journal"] = [200, { items, next: null }];
          answers["/trackers/GOLD/chart"] = [200, chart];
        }""",
        [facts, chart],
    )
    staged.log_in(TOKEN)
    staged.open_detail("GOLD")
    page = staged.page

    times = page.locator(".timeline time")
    expect(times).to_have_text(["15 Sept 09:31:05.000", "14 Sept 23:59:59.000"])
    told = page.locator("#detail figcaption")
    expect(told).to_contain_text("stop loss fired 14 Sept 23:59:59")
    expect(told).to_contain_text("SELL 75 filled 09:31:05")
    axis = page.locator("#detail svg .axis")
    expect(axis.nth(-2)).to_have_text("14 Sept 23:59:59")
    expect(axis.last).to_have_text("09:31:05")


def test_an_alarm_of_another_day_says_which(staged: StagedDashboard) -> None:
    """One that stands since yesterday is not taken for one of this morning."""
    staged.page.clock.set_system_time(NOW)
    raised = """({ alarm, replica }, [raised_at, number]) => {
      alarm(number, "warning", "an exit is stuck");
      Object.assign(replica.alarms.at(-1), { raised_at });
    }"""
    staged.engine(raised, [BEFORE, 1])
    staged.engine(raised, [EVENING, 2])
    staged.log_in(TOKEN)

    def head(number: int) -> str:
        return staged.page.locator(f'#alarms [data-alarm="{number}"] .alarm-head').inner_text()

    assert head(1) == "WARNING · exit stuck · 14 Sept 23:59:59"
    assert head(2) == "WARNING · exit stuck · 00:00:00"


def test_a_level_is_drawn_only_while_it_stood(staged: StagedDashboard) -> None:
    """No line leads over the time in which there was no stop."""
    staged.hold("GOLD")
    levels = [
        {"time": f"2026-09-15T09:4{minute}:00+05:30", "stop_level": stop, "target_level": target}
        for minute, (stop, target) in enumerate(LEVELS)
    ]
    fill = {"time": NOW, "role": "EXIT", "side": "SELL", "quantity": 75, "price": "99.00"}
    chart = {
        "opened_at": MORNING, "entry_price": "100.00", "spans": [], "levels": levels,
        "triggers": [], "fills": [fill],
    }  # fmt: skip
    staged.engine(
        "({ answers }, chart) => { answers['/trackers/GOLD/chart'] = [200, chart]; }", chart
    )
    staged.log_in(TOKEN)
    staged.row("GOLD", ".symbol-name").click()

    page = staged.page
    expect(page.locator("#detail svg .stop")).to_have_count(2)
    expect(page.locator("#detail svg .target")).to_have_count(1)
