"""When the cause of an alarm is gone, as the position's own state tells."""

from dataclasses import replace

import pytest

from exit_story.values import held
from squareoff.core.state.tracker import ExitIntent, PositionTracker
from squareoff.domain.ids import IntentId
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus
from squareoff.services.monitoring.alarm_causes import what_ended


def exiting(status: IntentStatus, reason: BlockReason | None = None) -> PositionTracker:
    """Return a position whose exit stands like this."""
    trigger = Trigger(RuleName.STOP_LOSS)
    intent = ExitIntent(IntentId("exit-1"), status, "x", trigger, 0, block_reason=reason)
    return replace(held(), status=PositionStatus.EXITING, intent=intent)


EXITED = replace(held(), status=PositionStatus.EXITED)
WAITS = exiting(IntentStatus.BLOCKED, BlockReason.TOKEN_DEAD)


@pytest.mark.parametrize(
    ("code", "tracker", "is_over"),
    [
        ("exit_blocked_token_dead", WAITS, False),
        ("exit_blocked_market_closed", WAITS, False),
        ("exit_blocked_token_dead", exiting(IntentStatus.OPEN), False),
        ("exit_blocked_token_dead", held(), True),
        ("exit_blocked_token_dead", EXITED, True),
        ("exit_attempts_exhausted", exiting(IntentStatus.NEEDS_HUMAN), False),
        ("exit_attempts_exhausted", exiting(IntentStatus.OPEN), True),
        ("exit_order_ended", exiting(IntentStatus.NEEDS_HUMAN), False),
        ("exit_order_ended", exiting(IntentStatus.OPEN), True),
        ("exit_not_claimed", held(), False),
        ("exit_not_claimed", exiting(IntentStatus.OPEN), True),
        ("order_outcome_unknown", exiting(IntentStatus.OPEN), True),
        ("fills_unconfirmed", exiting(IntentStatus.OPEN), False),
        ("fills_unconfirmed", EXITED, True),
        ("over_exit", EXITED, False),
        ("position_halted", EXITED, False),
        ("exit_resting", replace(EXITED, over_exited_quantity=25), False),
    ],
)
def test_the_state_tells_whether_a_cause_is_gone(
    code: str, tracker: PositionTracker, is_over: bool
) -> None:
    """An exit that waits is not over its cause; a closed position is, but for over-exits."""
    assert (what_ended(code, tracker) is not None) is is_over


@pytest.mark.parametrize("code", ["exit_attempts_exhausted", "exit_order_ended"])
def test_an_exit_that_was_taken_back_is_not_said_to_go_on(code: str) -> None:
    """Who reads that would think that the position is being closed."""
    assert what_ended(code, exiting(IntentStatus.OPEN)) == "the exit goes on"
    assert what_ended(code, held()) == "the exit was taken back"
    assert what_ended(code, replace(exiting(IntentStatus.WITHDRAWN), status=held().status)) == (
        "the exit was taken back"
    )
