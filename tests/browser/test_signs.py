"""What is not current, or grows worse, is not shown as before."""

import re

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

PRICE = """(engine, [symbol, text, seconds]) => {
  const received_at = new Date(Date.now() - seconds * 1000).toISOString();
  const price = { exchange_segment: "NSE_FNO", security_id: symbol, last_traded_price: text };
  engine.live({ prices: [{ ...price, received_at }] });
}"""

RAISED = """(engine, severity) => engine.tell({
  kind: "alarm_raised", data: { severity, code: "exit_stuck", message: "sold twice" },
})"""


def test_an_old_or_missing_price_marks_the_money(staged: StagedDashboard) -> None:
    """What the engine counts no price of is not in it; what is merely old is said."""
    staged.hold("NIFTY", "BANKNIFTY")
    staged.engine("(engine) => { engine.replica.stale_after_seconds = 3600; }")
    staged.log_in(TOKEN)
    page = staged.page
    figure, note = page.locator("#figure-profit"), page.locator("#profit-note")
    expect(note).to_have_text("* 2 without a good price not in it.")
    staged.engine(PRICE, ["NIFTY", "140.00", 0])
    staged.engine(PRICE, ["BANKNIFTY", "101.00", 0])
    expect(figure).to_have_text("+3,075.00")
    expect(note).to_be_hidden()
    expect(figure).not_to_have_attribute("data-noted", "")

    staged.engine(PRICE, ["NIFTY", "140.00", 9_000])
    expect(note).to_have_text("* 1 at a price older than 3,600 s.")
    expect(figure).to_have_attribute("data-noted", "")
    expect(figure).to_have_text("+3,075.00")

    staged.engine("(engine) => engine.status.account.unseen.push('NSE_FNO:NIFTY')")
    staged.engine(PRICE, ["BANKNIFTY", "101.00", 0])
    expect(note).to_contain_text("1 without a good price not in it")
    expect(figure).to_have_text("+75.00")
    staged.engine("""(engine) => {
      engine.status.account.unseen.pop();
      engine.status.blind_instruments.push('NSE_FNO:NIFTY');
    }""")
    staged.engine(PRICE, ["BANKNIFTY", "102.00", 0])
    expect(figure).to_have_text("+150.00")


def test_an_alarm_that_grows_critical_looks_so(staged: StagedDashboard) -> None:
    """Raised again as critical it is the same row, and no more a warning."""
    staged.log_in(TOKEN)
    alarm = staged.page.locator("#alarms li")
    staged.engine(RAISED, "warning")
    expect(alarm).to_have_attribute("data-severity", "warning")
    staged.engine(RAISED, "critical")

    expect(alarm).to_have_attribute("data-severity", "critical")
    expect(alarm).to_contain_text("told 2 times")


def test_a_connection_lost_while_behind_is_critical(staged: StagedDashboard) -> None:
    """The notice changes its look with its text."""
    staged.log_in(TOKEN)
    notice = staged.page.locator("#notices .notice")
    staged.engine("(engine) => { engine.isBehind = true; engine.live(); }")
    expect(notice).to_contain_text("Behind the journal")
    expect(notice).to_have_class("notice warning")
    staged.engine("(engine) => { engine.hold('/events'); engine.drop(); }")

    expect(notice).to_contain_text("No connection")
    expect(notice).to_have_class("notice critical")


def test_a_key_that_is_held_asks_once(staged: StagedDashboard) -> None:
    """F6 is the page's own for as long as it is held."""
    staged.log_in(TOKEN)
    own = staged.page.evaluate(
        """() => [false, true].map((repeat) => {
          const given = { key: "F6", repeat, bubbles: true, cancelable: true };
          return !document.body.dispatchEvent(new KeyboardEvent("keydown", given));
        })"""
    )

    assert own == [True, True]
    expect(staged.page.locator("#confirm-title")).to_have_text("Exit all positions?")
    assert len(staged.calls("/exit-preview")) == 1


def test_a_hidden_tab_tells_of_an_alarm(staged: StagedDashboard) -> None:
    """Without frames the title counts the alarm within a second, and facts do not pile up."""
    staged.log_in(TOKEN)
    page = staged.page
    expect(page).to_have_title("PAPER · squareoff")
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { value: true });
          window.requestAnimationFrame = () => 0;
        }"""
    )
    staged.passes(100)  # the frame that was under way
    staged.engine(RAISED, "critical")
    staged.passes(1_000)

    expect(page).to_have_title("(1) PAPER · squareoff")
    expect(page.locator("#alarms li")).to_have_count(1)


def test_a_lost_connection_stands_in_the_title(staged: StagedDashboard) -> None:
    """A tab that is not looked at says it, too."""
    staged.log_in(TOKEN)
    expect(staged.page).to_have_title("PAPER · squareoff")
    staged.engine("(engine) => { engine.hold('/events'); engine.drop(); }")

    expect(staged.page).to_have_title("NO CONNECTION · PAPER · squareoff")


def test_a_notice_that_stands_is_told_once(staged: StagedDashboard) -> None:
    """What is being closed says since when: seconds that count would be read out one by one."""
    asked = {"outcome": "running", "reason": "enough", "asked_at": "2026-09-15T10:31:05+05:30"}
    staged.engine("(engine, asked) => { engine.replica.exit_all = asked; }", asked)
    staged.log_in(TOKEN)
    notices = staged.page.locator("#notices")
    expect(notices).to_have_text("Closing everything since 10:31:05: enough")
    expect(notices).to_have_attribute("aria-atomic", "false")
    staged.page.evaluate(
        """() => {
          window.changes = 0;
          new MutationObserver((found) => (window.changes += found.length)).observe(
            document.getElementById("notices"), { childList: true, subtree: true });
        }"""
    )
    staged.passes(3_000)

    assert staged.page.evaluate("window.changes") == 0


def test_a_refused_token_is_not_well(staged: StagedDashboard) -> None:
    """It may be refused hours before its end: what is left of it is not what counts."""
    staged.engine(
        """({ status }) => Object.assign(status, {
          token_is_refused: true, token_expires_at: "2126-09-15T09:00:00+05:30",
        })"""
    )
    staged.log_in(TOKEN)
    line = staged.page.locator("#health > div").filter(has_text="Broker token")

    expect(line).to_have_attribute("data-state", "bad")
    expect(line).to_contain_text("refused")


def test_a_rule_that_fired_does_not_say_that_all_is_closed(staged: StagedDashboard) -> None:
    """Exits of it may still wait: the page says what the rule did, not what came of it."""
    staged.engine(
        """({ status }) => Object.assign(status.account, {
          max_loss: "6000.00", fired: ["max_loss"], fired_reason: "account max_loss reached",
          fired_at: "2026-09-15T10:00:00+05:30",
        })"""
    )
    staged.hold("NIFTY")
    staged.log_in(TOKEN)

    note = staged.page.locator("#limits-note")
    expect(note).to_have_text("Told to close everything at 10:00:00: account max_loss reached.")


def test_health_of_before_is_not_well_now(staged: StagedDashboard) -> None:
    """Without a connection nobody knows how the feed is: no tick stands, and the time does."""
    staged.log_in(TOKEN)
    staged.passes(1_000)
    line, title = staged.page.locator("#health > div").first, staged.page.locator("#health-title")
    tick = "(element) => getComputedStyle(element.querySelector('dd'), '::after').content"
    expect(title).to_have_text("Health")
    assert line.evaluate(tick) == '" ✓"'
    staged.engine("(engine) => { engine.hold('/events'); engine.drop(); }")

    expect(title).to_have_text(re.compile(r"^Health, as of \d\d:\d\d:\d\d$"))
    assert line.evaluate(tick) == "none"
    staged.engine("(engine) => engine.letGo('/events')")
    staged.passes(3_000)
    expect(title).to_have_text("Health")
    assert line.evaluate(tick) == '" ✓"'
