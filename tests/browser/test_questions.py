"""One question at a time: an answer belongs to its own, and none that fails is lost."""

from typing import Any

import pytest
from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

SENT_EXIT = "/trackers/NIFTY/exit"


def test_an_answer_closes_only_its_own_question(staged: StagedDashboard) -> None:
    """An exit that was sent and left answers while the next question stands: that one stays."""
    _leave_a_sent_exit(staged)
    page = staged.page
    page.keyboard.press("F6")
    staged.wait_preview()
    staged.engine(f"(engine) => engine.letGo('{SENT_EXIT}')")
    expect(page.locator("#said")).to_have_text("Exit NIFTY? claimed")

    expect(page.locator("#confirm")).to_be_visible()
    expect(page.locator("#confirm-title")).to_have_text("Exit all positions?")
    staged.confirm()
    assert len(staged.calls("/exit-all")) == 1
    expect(page.locator("#notices")).to_be_empty()


def test_a_failure_of_a_question_that_was_left_is_told(staged: StagedDashboard) -> None:
    """It stands on top of the page until a person says that it was seen."""
    _leave_a_sent_exit(staged)
    answer = [503, "the journal cannot be written"]
    staged.engine(f"(engine, answer) => engine.answers['{SENT_EXIT}'] = answer", answer)
    staged.engine(f"(engine) => engine.letGo('{SENT_EXIT}')")

    notice = staged.page.locator("#notices .critical")
    expect(notice).to_contain_text("Exit NIFTY? Not done: the journal cannot be written")
    notice.get_by_role("button", name="Seen").click()
    expect(notice).to_have_count(0)


def test_f6_asks_for_everything_over_any_question(staged: StagedDashboard) -> None:
    """F6 and Enter close everything whatever was asked before; F6 twice asks it once."""
    staged.hold("NIFTY", "BANKNIFTY")
    staged.log_in(TOKEN)
    page = staged.page
    staged.press_exit("NIFTY")
    page.keyboard.press("F6")
    expect(page.locator("#confirm-title")).to_have_text("Exit all positions?")
    staged.wait_preview()
    page.locator("#confirm-reason").fill("out of everything")
    page.keyboard.press("F6")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).not_to_be_visible()

    assert staged.calls(SENT_EXIT) == []
    assert [call["body"]["reason"] for call in staged.calls("/exit-all")] == ["out of everything"]


def test_f6_never_resumes(staged: StagedDashboard) -> None:
    """Where the question of a halted account stands, which proposes to resume, F6 replaces it."""
    halted = {"active": True, "level": "all", "reason": "x"}
    staged.engine("(engine, halted) => { engine.replica.kill_switch = halted; }", halted)
    staged.log_in(TOKEN)
    page = staged.page
    page.locator("#halt").click()
    expect(page.locator("#confirm-title")).to_have_text("Halted, level all")
    page.keyboard.press("F6")
    staged.wait_preview()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).not_to_be_visible()

    assert staged.calls("/kill-switch") == []
    assert len(staged.calls("/exit-all")) == 1


def test_no_question_stands_over_the_login(staged: StagedDashboard) -> None:
    """Where the token is replaced while a question stands, the new one can be typed at once."""
    staged.hold("NIFTY")
    staged.log_in(TOKEN)
    staged.press_exit("NIFTY")
    staged.engine("(engine) => { engine.token = 'another-token-of-it'; engine.drop(); }")

    field = staged.page.get_by_label("API token")
    expect(staged.page.locator("#login-error")).to_contain_text("refuses this token")
    expect(field).to_be_focused()
    field.fill("another-token-of-it")
    staged.page.get_by_role("button", name="Log in").click()
    expect(staged.row("NIFTY")).to_be_visible()
    expect(staged.page.locator("#confirm")).not_to_be_visible()


def test_a_broker_that_hangs_holds_no_exit_up(staged: StagedDashboard) -> None:
    """After two seconds everything can be closed unseen; a preview that comes yet is shown."""
    staged.hold("NIFTY")
    staged.engine("(engine) => engine.hold('/exit-preview')")
    staged.log_in(TOKEN)
    page = staged.page
    go, sends, request = (page.locator(f"#confirm-{part}") for part in ("go", "sends", "request"))
    page.keyboard.press("F6")
    expect(sends).to_contain_text("Asking the engine")
    expect(go).to_be_disabled()
    staged.passes(2_000)
    expect(sends).to_contain_text("can be asked for all the same")
    expect(go).to_be_enabled()
    expect(request).to_contain_text('"ticket":"unseen"')

    staged.engine("(engine) => engine.letGo('/exit-preview')")
    expect(sends).to_contain_text("no order is sent")
    expect(request).to_contain_text('"ticket":"seen"')
    page.keyboard.press("Escape")

    staged.engine("(engine) => engine.hold('/exit-preview')")
    staged.row("NIFTY", ".action button").click()
    staged.passes(2_000)
    staged.confirm()
    assert len(staged.calls(SENT_EXIT)) == 1


def test_a_late_preview_changes_nothing_that_was_sent(staged: StagedDashboard) -> None:
    """Where it comes after the call, the call goes on, and its repeat is the same wish."""
    staged.engine("(engine) => { engine.hold('/exit-preview'); engine.hold('/exit-all'); }")
    staged.engine("(engine) => { engine.answers['/exit-all'] = [503, 'not now']; }")
    staged.log_in(TOKEN)
    page = staged.page
    page.keyboard.press("F6")
    staged.passes(2_000)
    go = page.locator("#confirm-go")
    go.click()
    staged.engine("(engine) => engine.letGo('/exit-preview')")
    expect(page.locator("#confirm-sends")).to_contain_text("no order is sent")
    expect(go).to_be_disabled()
    staged.engine("(engine) => engine.letGo('/exit-all')")
    expect(page.locator("#confirm .error")).to_have_text("Not done: not now")
    staged.engine("(engine) => { delete engine.answers['/exit-all']; }")
    staged.confirm()

    first, second = staged.calls("/exit-all")
    assert first == second
    assert first["body"]["ticket"] == "unseen"


def test_an_engine_that_hangs_is_not_waited_for(staged: StagedDashboard) -> None:
    """A call without an answer ends, and says that it may have been done."""
    staged.engine("(engine) => engine.hold('/exit-all')")
    staged.log_in(TOKEN)
    staged.page.keyboard.press("F6")
    staged.wait_preview()
    staged.page.locator("#confirm-go").click()
    staged.passes(20_000)

    expect(staged.page.locator("#confirm .error")).to_contain_text("it may have been done")
    expect(staged.page.locator("#confirm-go")).to_be_enabled()


def _leave_a_sent_exit(staged: StagedDashboard) -> None:
    """Ask for an exit that gets no answer yet, and press Escape."""
    staged.hold("NIFTY", "BANKNIFTY")
    staged.engine(f"(engine) => engine.hold('{SENT_EXIT}')")
    staged.log_in(TOKEN)
    staged.press_exit("NIFTY")
    staged.page.locator("#confirm-go").click()
    staged.page.keyboard.press("Escape")
    expect(staged.page.locator("#confirm")).not_to_be_visible()


def test_the_reason_is_that_of_the_choice(staged: StagedDashboard) -> None:
    """A stricter halt of a halted account is no resuming; a reason that was written stays."""
    halted = {"active": True, "level": "new", "reason": "x"}
    staged.engine("(engine, halted) => { engine.replica.kill_switch = halted; }", halted)
    staged.log_in(TOKEN)
    page = staged.page
    page.locator("#halt").click()
    reason = page.locator("#confirm-reason")
    expect(reason).to_have_value("resume by hand")
    page.get_by_label("Nothing at all").check()
    expect(reason).to_have_value("halt by hand")
    expect(page.locator("#confirm-request")).to_contain_text('"reason":"halt by hand"')
    reason.fill("the feed lies")
    page.get_by_label("Resume").check()
    expect(reason).to_have_value("the feed lies")
    page.get_by_label("Nothing at all").check()
    staged.confirm()

    (call,) = staged.calls("/kill-switch")
    assert call["body"] == {"active": True, "level": "all", "reason": "the feed lies"}


@pytest.mark.parametrize("answer", [[200, {"unknown_positions": None}], [503, "away"]])
def test_what_cannot_be_read_is_not_told_as_flat(
    staged: StagedDashboard, answer: list[Any]
) -> None:
    """Where the broker's positions could not be read at the end of exit-all, the page says so."""
    asked = {"outcome": "running", "reason": "x", "asked_at": "2026-09-15T10:31:05+05:30"}
    staged.engine("(engine, asked) => { engine.replica.exit_all = asked; }", asked)
    staged.engine("(engine, answer) => { engine.answers['/exit-all'] = answer; }", answer)
    staged.log_in(TOKEN)
    ended = {"kind": "exit_all_ended", "data": {"outcome": "closed", "text": ""}}
    staged.engine("(engine, ended) => engine.tell(ended)", ended)

    text = "What else the broker holds could not be read: look there."
    expect(staged.page.locator("#notices")).to_contain_text(text)
