"""A person watches and asks for exits: what the page shows is what the engine does."""

import re

from playwright.sync_api import expect

from dashboard import OpenDashboard, Stand

ONE_ANSWER_LOST = {
    "where": {"method": "POST", "path": "/v2/orders"},
    "what": {"drop_after": "reset"},
    "how_often": {"times": 1},
}


def test_a_stop_fires_and_the_row_walks(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Without a reload: requested, sent, accepted, working, part filled, and ended at the price."""
    tracker_id = stand.hold({"stop_loss": {"points": "50"}})
    dashboard = open_dashboard()
    dashboard.wait_step(tracker_id, "watching")
    stop = dashboard.row(tracker_id, ".stop")
    expect(stop).to_have_text("25,950.00")

    stand.price("25949.00", 0)
    dashboard.wait_step(tracker_id, "working")
    expect(dashboard.row(tracker_id, ".nearest")).to_have_text("fired at 25,950.00")
    stand.price("25949.00", 60)
    dashboard.wait_step(tracker_id, "part_filled")
    walk = "requested › planned › sent › accepted › working › part filled"
    expect(dashboard.row(tracker_id, ".trail")).to_have_text(walk)
    expect(dashboard.row(tracker_id, ".quantity")).to_have_text("90 / 150")
    stand.price("25949.00", 1_000)
    dashboard.wait_step(tracker_id, "exited")

    expect(dashboard.row(tracker_id, ".last")).to_have_text("25,949.00")
    expect(dashboard.row(tracker_id, ".profit")).to_have_text("−7,650.00")
    expect(dashboard.row(tracker_id, ".step")).to_contain_text("stop_loss 25950.00")
    assert sum("/dashboard/app.js" in url for url in dashboard.requests) == 1


def test_a_lost_answer_is_shown_as_unknown(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """An order whose answer is lost is told as unknown, and the exit ends all the same."""
    tracker_id = stand.hold({"stop_loss": {"points": "50"}})
    dashboard = open_dashboard()
    dashboard.wait_step(tracker_id, "watching")
    dashboard.open_detail(tracker_id)
    stand.broker.admin("POST", "faults", [ONE_ANSWER_LOST])

    stand.price("25949.00", 1_000)
    dashboard.wait_step(tracker_id, "exited")

    dashboard.page.wait_for_selector(".timeline li[data-kind=position_exited]")
    kinds = dashboard.timeline()
    assert kinds.index("order_outcome_lost") < kinds.index("order_sent")
    facts = dashboard.page.locator(".timeline li[data-kind=order_outcome_lost]")
    expect(facts).to_contain_text("its outcome is unknown")


def test_live_prices_move_figures(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """A price changes the row's last price, its P&L and its distance, and the account's P&L."""
    tracker_id = stand.hold({"stop_loss": {"points": "50"}, "target": {"points": "80"}})
    dashboard = open_dashboard()
    stand.price("26010.00", 1_000_000)

    expect(dashboard.row(tracker_id, ".last .figure")).to_have_text("26,010.00")
    expect(dashboard.row(tracker_id, ".profit")).to_have_text("+1,500.00")
    expect(dashboard.row(tracker_id, ".nearest")).to_have_text("stop 60.00 (0.23 %)")
    expect(dashboard.row(tracker_id, ".age")).to_have_text(re.compile(r"^\d+ s old$"))
    expect(dashboard.page.locator("#figure-open")).to_have_text("+1,500.00")
    stand.price("26070.00", 1_000_000)
    expect(dashboard.row(tracker_id, ".nearest")).to_have_text("target 10.00 (0.04 %)")


def test_a_chart_shows_the_position(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Entry, the path of a trailing stop, the trigger and the fill are drawn and told in words."""
    tracker_id = stand.hold({"trailing": {"points": "30"}})
    dashboard = open_dashboard()
    dashboard.open_detail(tracker_id)
    for price in ("26020.00", "26040.00", "26009.00"):
        stand.price(price, 1_000_000)
    dashboard.wait_step(tracker_id, "exited")

    caption = dashboard.page.locator("#detail figcaption")
    expect(caption).to_contain_text("Entry 26,000.00")
    expect(caption).to_contain_text("trailing fired")
    expect(caption).to_contain_text("SELL 150 filled")
    for part in ("stop", "entry", "price", "trigger", "fill"):
        expect(dashboard.page.locator(f"#detail svg .{part}").first).to_be_attached()


def test_the_top_says_whom_orders_go_to(open_dashboard: OpenDashboard) -> None:
    """LIVE stands beside the broker's name and the account."""
    mode = open_dashboard().page.locator("#mode")

    expect(mode).to_have_text(
        re.compile(r"^LIVE · orders go to rehearsal broker at 127\.0\.0\.1 · account \d+$")
    )


def test_one_exit_by_hand(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """The confirmation shows the order; only after it the position is closed, with the reason."""
    tracker_id, other = stand.hold({}), stand.hold({})
    dashboard = open_dashboard()
    head = stand.journal_head()
    dashboard.press_exit(tracker_id)

    sends = dashboard.page.locator("#confirm-sends")
    expect(sends).to_contain_text("1 order leaves now")
    expect(sends).to_contain_text(re.compile(r"SELL 150 LIMIT at 25,8\d\d\.\d0"))
    request = dashboard.page.locator("#confirm-request")
    expect(request).to_contain_text(f"POST /api/v1/trackers/{tracker_id}/exit")
    dashboard.page.keyboard.press("Escape")
    expect(sends).not_to_be_visible()
    kinds = {fact["kind"] for fact in stand.engine.api("GET", f"/journal?after={head}")["items"]}
    assert kinds <= {"books_reconciled", "caller_seen"}

    dashboard.press_exit(tracker_id)
    dashboard.page.locator("#confirm-reason").fill("enough for today")
    expect(request).to_contain_text('"reason":"enough for today"')
    dashboard.confirm()
    dashboard.wait_step(tracker_id, "exited")
    expect(dashboard.row(tracker_id, ".step")).to_have_text("enough for today")
    assert stand.status_of(other) == "ACTIVE"


def test_exit_all_by_the_keyboard(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """F6 asks, shows an order for each position, and Enter closes all and halts entries."""
    first, second = stand.hold({}), stand.hold({}, product="MARGIN", quantity=75)
    dashboard = open_dashboard()
    dashboard.page.keyboard.press("F6")
    dashboard.wait_preview()
    sends = dashboard.page.locator("#confirm-sends")
    expect(sends).to_contain_text("2 orders leave now")
    margin = sends.locator(f'[data-tracker="{second}"]')
    expect(margin).to_contain_text("long 75 · margin")
    expect(margin).to_contain_text("SELL 75 LIMIT")

    dashboard.page.keyboard.press("Enter")
    dashboard.wait_step(first, "exited")
    dashboard.wait_step(second, "exited")
    expect(dashboard.page.locator("#notices")).to_contain_text("Halted, level new")


def test_what_nobody_watches_is_told_after_exit_all(
    stand: Stand, open_dashboard: OpenDashboard
) -> None:
    """An empty page is no flat book: what the broker still holds stands on top until seen."""
    tracker_id = stand.hold({})
    stand.hold_unwatched(75, "MARGIN")
    dashboard = open_dashboard()
    dashboard.page.keyboard.press("F6")
    dashboard.wait_preview()
    dashboard.confirm()
    dashboard.wait_step(tracker_id, "exited")

    told = dashboard.page.locator("#notices .critical").filter(has_text="under no watch")
    expect(told).to_contain_text("Still held at the broker, under no watch: NIFTY")
    expect(told).to_contain_text("margin 75; close it in the broker's app")
    told.get_by_role("button", name="Seen").click()
    expect(told).to_have_count(0)
    stand.hold_unwatched(-75, "MARGIN")


def test_halt_holds_exits_until_resumed(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """At level all an exit is shown as waiting with the reason; resume lets it go."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard()
    page = dashboard.page
    page.locator("#halt").click()
    page.get_by_label("Nothing at all").check()
    expect(page.locator("#confirm-request")).to_contain_text('"level":"all"')
    dashboard.confirm()
    expect(page.locator("#notices")).to_contain_text("Halted, level all")

    dashboard.press_exit(tracker_id)
    expect(page.locator("#confirm-sends")).to_contain_text("the kill switch stands at level all")
    dashboard.confirm()
    dashboard.wait_step(tracker_id, "blocked")
    expect(dashboard.row(tracker_id, ".step-word")).to_contain_text("kill switch")
    page.locator("#halt").click()
    page.get_by_label("Resume").check()
    dashboard.confirm()
    dashboard.wait_step(tracker_id, "exited")
    expect(page.locator("#notices")).not_to_contain_text("Halted")


def test_an_exit_of_all_needs_no_preview(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Where it cannot be shown what would be sent, the page says so and closes all the same."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard(unanswered="**/api/v1/exit-preview*")
    page = dashboard.page
    page.keyboard.press("F6")
    expect(page.locator("#confirm-sends")).to_contain_text("can be asked for all the same")
    expect(page.locator("#confirm-request")).to_contain_text('"ticket":"unseen"')
    dashboard.confirm()

    dashboard.wait_step(tracker_id, "exited")


def test_nothing_is_resumed_unseen(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """Until the page has shown what resuming lets out, only a stricter halt can be asked for."""
    dashboard = open_dashboard(unanswered="**/api/v1/resume-preview")
    page = dashboard.page
    stand.engine.api("POST", "/kill-switch", {"active": True, "level": "new", "reason": "test"})
    expect(page.locator("#notices")).to_contain_text("Halted, level new")
    page.locator("#halt").click()
    go, sends = page.locator("#confirm-go"), page.locator("#confirm-sends")

    expect(sends).to_contain_text("cannot be shown")
    expect(go).to_be_disabled()
    page.get_by_label("Nothing at all").check()
    expect(go).to_be_enabled()
    page.get_by_label("Resume").check()
    expect(go).to_be_disabled()
    expect(page.locator("#confirm-request")).not_to_contain_text("unseen")
    page.unroute("**/api/v1/resume-preview")
    sends.get_by_role("button", name="Ask again").click()
    expect(sends).to_contain_text("No exit waits to be let out")
    dashboard.confirm()
    expect(page.locator("#notices")).not_to_contain_text("Halted")


def test_an_alarm_is_acknowledged(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """A standing alarm has a button; pressed, the alarm moves to those that were seen."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard()
    page = dashboard.page
    stand.engine.api("POST", "/kill-switch", {"active": True, "level": "all", "reason": "test"})
    stand.engine.api("POST", f"/trackers/{tracker_id}/exit", {"reason": "x", "wait": "claimed"})

    # The alarm of the exit before may still stand while it clears: the position tells them apart.
    alarm = page.locator("#alarms li[data-standing]").filter(has_text=tracker_id)
    expect(alarm).to_contain_text("exit blocked")
    number = alarm.get_attribute("data-alarm")
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(f'#alarms [data-alarm="{number}"]')).to_have_count(0)
    page.locator("#seen-title").click()
    expect(page.locator(f'#seen [data-alarm="{number}"]')).to_contain_text("seen")
    known = {str(a["id"]): a for a in stand.engine.api("GET", "/alarms")["items"]}
    assert known[number]["acknowledged_at"] is not None
