"""An exit that needs a person can be asked for again by that person, here."""

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

CLAIM = """({ replica }, [place, status, over, block]) => Object.assign(replica.trackers[place], {
  status: "EXITING", over_exited_quantity: over,
  intent: {
    intent_id: "i", status, reason: "stop", trigger: { rule: "stop_loss", level: "95.00" },
    claimed_at: "2026-09-15T09:50:05+05:30", attempt: 10, failures: 10, block_reason: block,
    note: "ten attempts ended",
  },
})"""


def test_an_exit_that_needs_a_person_can_be_asked_for_again(staged: StagedDashboard) -> None:
    """What goes on by itself, or is frozen, cannot: there the engine does nothing with the wish."""
    staged.hold("UP", "OPEN", "BLOCKED", "FROZEN", "TAKEN_BACK")
    claims = [
        (0, "NEEDS_HUMAN", 0, None), (1, "OPEN", 0, None), (2, "BLOCKED", 0, "broker_unreachable"),
        (3, "NEEDS_HUMAN", 75, None), (4, "BLOCKED", 0, "withdrawing"),
    ]  # fmt: skip
    for claim in claims:
        staged.engine(CLAIM, claim)
    staged.log_in(TOKEN)
    for name in ("UP", "TAKEN_BACK"):
        expect(staged.row(name, ".action button")).to_be_enabled()
    for name in ("OPEN", "BLOCKED", "FROZEN"):
        expect(staged.row(name, ".action button")).to_be_disabled()

    staged.press_exit("UP")
    staged.confirm()
    assert len(staged.calls("/trackers/UP/exit")) == 1
