"""Text that others write is shown as text and never becomes part of the page."""

from playwright.sync_api import expect

from dashboard import OpenDashboard, Stand

ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
REJECTION = "RMS:<svg/onload=window.hacked=1>"


def test_markup_in_a_reason_stays_text(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """A reason full of markup is shown letter by letter in row, journal and notice."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard()
    dashboard.wait_step(tracker_id, "watching")
    dashboard.open_detail(tracker_id)
    body = {"reason": ATTACK, "wait": "filled"}
    stand.engine.api("POST", f"/trackers/{tracker_id}/exit", body)
    stand.engine.api("POST", "/kill-switch", {"active": True, "level": "new", "reason": ATTACK})

    dashboard.wait_step(tracker_id, "exited")
    expect(dashboard.row(tracker_id, ".step")).to_contain_text(ATTACK)
    claimed = dashboard.page.locator(".timeline li[data-kind=exit_claimed]")
    expect(claimed).to_contain_text(ATTACK)
    expect(dashboard.page.locator("#notices")).to_contain_text(ATTACK)
    _assert_untouched(dashboard.page)


def test_markup_from_the_broker_stays_text(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """The broker's reason for a rejection is shown as it came."""
    tracker_id = stand.hold({})
    dashboard = open_dashboard()
    dashboard.wait_step(tracker_id, "watching")
    dashboard.open_detail(tracker_id)
    rule = {"where": {"method": "POST", "path": "/v2/orders"}, "what": {"reject": REJECTION}}
    stand.broker.admin("POST", "faults", [rule])
    stand.engine.api("POST", f"/trackers/{tracker_id}/exit", {"reason": "x", "wait": "claimed"})

    expect(dashboard.page.locator(".orders li").first).to_contain_text(REJECTION)
    _assert_untouched(dashboard.page)


def test_the_page_runs_no_markup_at_all(stand: Stand, open_dashboard: OpenDashboard) -> None:
    """The browser itself refuses markup as text, inline scripts and inline styles."""
    dashboard = open_dashboard()
    refused = dashboard.page.evaluate(
        """() => {
          const script = document.createElement("script");
          const tries = [
            () => (document.body.innerHTML = "<p>x</p>"),
            () => (script.textContent = "window.hacked = 1"),
          ];
          const outcome = (act) => { try { act(); return "done"; } catch (e) { return e.name; } };
          return tries.map(outcome);
        }"""
    )

    assert refused == ["TypeError", "TypeError"]
    assert len(dashboard.complaints) == 2
    dashboard.complaints.clear()


def _assert_untouched(page: object) -> None:
    assert page.evaluate("window.hacked") is None  # type: ignore[attr-defined]
    assert page.locator("#desk img, #desk script").count() == 0  # type: ignore[attr-defined]
