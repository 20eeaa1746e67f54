"""A login after another: nothing of the session before is shown, pressed or sent."""

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

NEXT_TOKEN = "the-next-token-of-it"


def test_nothing_of_the_session_before_is_left(staged: StagedDashboard) -> None:
    """After the token was replaced: no old position in full, and alarms are seen by the new one."""
    staged.hold("NIFTY")
    staged.engine("(engine) => engine.alarm(5, 'warning', 'of the session before')")
    staged.log_in(TOKEN)
    page = staged.page
    staged.row("NIFTY", ".symbol-name").click()
    expect(page.locator("#detail .facts")).to_contain_text("active")
    expect(page).to_have_title("(1) PAPER · squareoff")

    staged.engine("(engine, next) => { engine.token = next; engine.drop(); }", NEXT_TOKEN)
    expect(page.locator("#login-error")).to_contain_text("refuses this token")
    expect(page).to_have_title("squareoff")
    page.get_by_label("API token").fill(NEXT_TOKEN)
    page.get_by_role("button", name="Log in").click()

    expect(staged.row("NIFTY")).to_be_visible()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("#detail")).to_be_empty()
    page.locator("#alarms").get_by_role("button").click()
    expect(page.locator("#said")).to_have_text("Alarm 5 acknowledged")
    assert [call["token"] for call in staged.calls("/alarms/5/acknowledge")] == [NEXT_TOKEN]
    staged.row("NIFTY", ".symbol-name").click()
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
