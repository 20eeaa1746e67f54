"""Tests of domain.states and domain.orders: what counts as final, live and terminal."""

from squareoff.domain.orders import BrokerOrderStatus, PositionSide, Side
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus


def test_an_order_state_is_planned_live_or_terminal() -> None:
    """Every order state but PLANNED is either live or terminal, never both."""
    for state in OrderState:
        if state is OrderState.PLANNED:
            assert not state.is_live
            assert not state.is_terminal
        else:
            assert state.is_live != state.is_terminal, state


def test_an_unknown_outcome_counts_as_live() -> None:
    """An order that may be at the broker is treated as one that is."""
    assert OrderState.OUTCOME_UNKNOWN.is_live
    assert OrderState.SENT.is_live


def test_a_blocked_or_escalated_intent_still_claims_its_position() -> None:
    """Only DONE and WITHDRAWN free a position for another exit (I1)."""
    free = [status for status in IntentStatus if not status.is_live]

    assert free == [IntentStatus.DONE, IntentStatus.WITHDRAWN]


def test_a_position_has_three_ends() -> None:
    """A position ends closed, never entered, or let go by a person, and in nothing else."""
    final = [status for status in PositionStatus if status.is_final]

    assert final == [PositionStatus.EXITED, PositionStatus.CANCELLED, PositionStatus.UNTRACKED]


def test_an_unknown_word_of_the_broker_ends_nothing() -> None:
    """A status word we do not know never means that an order can no longer fill (I15)."""
    assert not BrokerOrderStatus.UNKNOWN.is_terminal
    assert not BrokerOrderStatus.PART_TRADED.is_terminal


def test_a_short_position_closes_by_buying() -> None:
    """The exit side follows the position, and no SELL is an exit by itself."""
    assert PositionSide.LONG.exit_order_side is Side.SELL
    assert PositionSide.SHORT.exit_order_side is Side.BUY
    assert PositionSide.SHORT.sign == -1
