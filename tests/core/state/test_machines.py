"""Tests of machines: every pair of state and trigger, legal or not, with what it does."""

from collections.abc import Callable
from enum import Enum

import pytest

from squareoff.core.state.machines import (
    INTENT_TABLE,
    ORDER_TABLE,
    POSITION_TABLE,
    IntentTrigger,
    OrderTrigger,
    PositionTrigger,
    next_intent_status,
    next_order_state,
    next_position_status,
)
from squareoff.domain.errors import InvalidTransition
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus

# Written by hand a second time: "STATE TRIGGER": "STATE". A pair that is missing is illegal.
POSITION_PAIRS = {
    "PENDING ENTRY_FILLED": "ACTIVE",
    "PENDING ENTRY_ENDED_EMPTY": "CANCELLED",
    "ACTIVE ENTRY_FILLED": "ACTIVE",
    "ACTIVE EXIT_CLAIMED": "EXITING",
    "ACTIVE CLOSED": "EXITED",
    "ACTIVE UNTRACKED": "UNTRACKED",
    "EXITING ENTRY_FILLED": "EXITING",
    "EXITING EXIT_WITHDRAWN": "ACTIVE",
    "EXITING CLOSED": "EXITED",
    "EXITING UNTRACKED": "UNTRACKED",
    "CANCELLED ENTRY_FILLED": "ACTIVE",
}
INTENT_PAIRS = {
    "OPEN BLOCK": "BLOCKED",
    "OPEN CLOSE": "DONE",
    "OPEN ASK_WITHDRAWAL": "BLOCKED",
    "OPEN WITHDRAW": "WITHDRAWN",
    "OPEN ESCALATE": "NEEDS_HUMAN",
    "BLOCKED BLOCK": "BLOCKED",
    "BLOCKED RESUME": "OPEN",
    "BLOCKED CLOSE": "DONE",
    "BLOCKED ASK_WITHDRAWAL": "BLOCKED",
    "BLOCKED WITHDRAW": "WITHDRAWN",
    "BLOCKED ESCALATE": "NEEDS_HUMAN",
    "NEEDS_HUMAN RESUME": "OPEN",
    "NEEDS_HUMAN CLOSE": "DONE",
    "NEEDS_HUMAN ASK_WITHDRAWAL": "BLOCKED",
    "NEEDS_HUMAN WITHDRAW": "WITHDRAWN",
}
REPORTED = ("ACCEPTED", "WORKING", "PART_FILLED", "FILLED", "REJECTED", "CANCELLED", "EXPIRED")
ORDER_PAIRS = {
    "PLANNED SEND": "SENT",
    "PLANNED DROPPED": "ABSENT",
    "SENT NOT_SENT": "ABSENT",
    "SENT REFUSED": "REFUSED",
    "SENT OUTCOME_LOST": "OUTCOME_UNKNOWN",
    **{
        f"{state} DECLARED_ABSENT": "ABSENT"
        for state in ("OUTCOME_UNKNOWN", "PLANNED", "ACCEPTED", "WORKING", "ABSENT")
    },
    "OUTCOME_UNKNOWN REFUSED": "REFUSED",
    "OUTCOME_UNKNOWN NOT_SENT": "ABSENT",
    "ABSENT REPLANNED": "PLANNED",
    # The broker's merged record decides from every state: news may skip states, come before the
    # HTTP answer, or tell of an order that was already given up.
    **{f"{state.value} {report}": report for state in OrderState for report in REPORTED},
    "WORKING ACCEPTED": "WORKING",
}

Step = Callable[[Enum, Enum], Enum]
MACHINES: dict[str, tuple[type[Enum], type[Enum], dict[str, str], Step]] = {
    "position": (
        PositionStatus,
        PositionTrigger,
        POSITION_PAIRS,
        lambda state, trigger: next_position_status(state, trigger, "trk-1"),  # type: ignore[arg-type]
    ),
    "intent": (
        IntentStatus,
        IntentTrigger,
        INTENT_PAIRS,
        lambda state, trigger: next_intent_status(state, trigger, "exit-1"),  # type: ignore[arg-type]
    ),
    "order": (
        OrderState,
        OrderTrigger,
        ORDER_PAIRS,
        lambda state, trigger: next_order_state(state, trigger, "sqx-1"),  # type: ignore[arg-type]
    ),
}
PAIRS = [
    pytest.param(step, state, trigger, pairs.get(f"{state.value} {trigger.value}"), id=name)
    for machine, (states, triggers, pairs, step) in MACHINES.items()
    for state in states
    for trigger in triggers
    for name in [f"{machine} {state.value} {trigger.value}"]
]


@pytest.mark.parametrize(("step", "state", "trigger", "expected"), PAIRS)
def test_every_pair(step: Step, state: Enum, trigger: Enum, expected: str | None) -> None:
    """A pair leads where its row says; a pair without a row raises and names both."""
    if expected is None:
        with pytest.raises(InvalidTransition) as raised:
            step(state, trigger)
        assert state.value in str(raised.value)
        assert trigger.value in str(raised.value)
    else:
        assert step(state, trigger).value == expected


def test_nothing_leaves_exited_or_a_finished_intent() -> None:
    """EXITED, DONE and WITHDRAWN have no row that leads out of them."""
    left = {state for state, _ in POSITION_TABLE} | {state for state, _ in INTENT_TABLE}

    assert not left & {PositionStatus.EXITED, IntentStatus.DONE, IntentStatus.WITHDRAWN}


def test_only_a_plan_can_be_sent() -> None:
    """No order is sent from a state in which it may already be at the broker."""
    assert [s for s, t in ORDER_TABLE if t is OrderTrigger.SEND] == [OrderState.PLANNED]
    assert [s for s, t in ORDER_TABLE if t is OrderTrigger.REPLANNED] == [OrderState.ABSENT]
