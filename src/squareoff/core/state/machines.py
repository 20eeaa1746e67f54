"""The three state machines, each as one table: (state, trigger) -> state.

A pair that is not in its table raises `InvalidTransition`. docs/states.md is drawn from here.
Invariants:
1. A terminal order state is left only because a further order of ours appeared at the broker under
   the same id, or because a fill after the end was reported; never by a stale report.
2. EXITED is final.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from squareoff.domain.errors import InvalidTransition
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus


class PositionTrigger(str, Enum):
    """What can move a position."""

    ENTRY_FILLED = "ENTRY_FILLED"
    ENTRY_ENDED_EMPTY = "ENTRY_ENDED_EMPTY"
    EXIT_CLAIMED = "EXIT_CLAIMED"
    EXIT_WITHDRAWN = "EXIT_WITHDRAWN"
    CLOSED = "CLOSED"
    UNTRACKED = "UNTRACKED"


class IntentTrigger(str, Enum):
    """What can move an exit intent."""

    BLOCK = "BLOCK"
    RESUME = "RESUME"
    CLOSE = "CLOSE"
    ASK_WITHDRAWAL = "ASK_WITHDRAWAL"
    WITHDRAW = "WITHDRAW"
    ESCALATE = "ESCALATE"


class OrderTrigger(str, Enum):
    """What can move one order of ours. The report triggers speak of the order's merged record."""

    SEND = "SEND"
    NOT_SENT = "NOT_SENT"
    REFUSED = "REFUSED"
    OUTCOME_LOST = "OUTCOME_LOST"
    ACCEPTED = "ACCEPTED"
    WORKING = "WORKING"
    PART_FILLED = "PART_FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    DECLARED_ABSENT = "DECLARED_ABSENT"
    REPLANNED = "REPLANNED"
    DROPPED = "DROPPED"


_P, _PT = PositionStatus, PositionTrigger
POSITION_TABLE: dict[tuple[PositionStatus, PositionTrigger], PositionStatus] = {
    (_P.PENDING, _PT.ENTRY_FILLED): _P.ACTIVE,
    (_P.PENDING, _PT.ENTRY_ENDED_EMPTY): _P.CANCELLED,
    (_P.ACTIVE, _PT.ENTRY_FILLED): _P.ACTIVE,
    (_P.ACTIVE, _PT.EXIT_CLAIMED): _P.EXITING,
    # Somebody else closed it, or an order of a withdrawn exit came late: there is no live intent.
    (_P.ACTIVE, _PT.CLOSED): _P.EXITED,
    (_P.ACTIVE, _PT.UNTRACKED): _P.UNTRACKED,
    (_P.EXITING, _PT.ENTRY_FILLED): _P.EXITING,
    (_P.EXITING, _PT.EXIT_WITHDRAWN): _P.ACTIVE,
    (_P.EXITING, _PT.CLOSED): _P.EXITED,
    (_P.EXITING, _PT.UNTRACKED): _P.UNTRACKED,
    # The entry's cancel lost against a fill: the position is real after all.
    (_P.CANCELLED, _PT.ENTRY_FILLED): _P.ACTIVE,
}

_I, _IT = IntentStatus, IntentTrigger
INTENT_TABLE: dict[tuple[IntentStatus, IntentTrigger], IntentStatus] = {
    (_I.OPEN, _IT.BLOCK): _I.BLOCKED,
    (_I.OPEN, _IT.CLOSE): _I.DONE,
    (_I.OPEN, _IT.ASK_WITHDRAWAL): _I.BLOCKED,
    (_I.OPEN, _IT.WITHDRAW): _I.WITHDRAWN,
    (_I.OPEN, _IT.ESCALATE): _I.NEEDS_HUMAN,
    (_I.BLOCKED, _IT.BLOCK): _I.BLOCKED,
    (_I.BLOCKED, _IT.RESUME): _I.OPEN,
    (_I.BLOCKED, _IT.CLOSE): _I.DONE,
    (_I.BLOCKED, _IT.ASK_WITHDRAWAL): _I.BLOCKED,
    (_I.BLOCKED, _IT.WITHDRAW): _I.WITHDRAWN,
    (_I.BLOCKED, _IT.ESCALATE): _I.NEEDS_HUMAN,
    (_I.NEEDS_HUMAN, _IT.RESUME): _I.OPEN,
    # The last fill can still arrive while a person is being called.
    (_I.NEEDS_HUMAN, _IT.CLOSE): _I.DONE,
    (_I.NEEDS_HUMAN, _IT.ASK_WITHDRAWAL): _I.BLOCKED,
    (_I.NEEDS_HUMAN, _IT.WITHDRAW): _I.WITHDRAWN,
}

_O, _OT = OrderState, OrderTrigger
_REPORTED: dict[OrderTrigger, OrderState] = {
    _OT.ACCEPTED: _O.ACCEPTED,
    _OT.WORKING: _O.WORKING,
    _OT.PART_FILLED: _O.PART_FILLED,
    _OT.FILLED: _O.FILLED,
    _OT.REJECTED: _O.REJECTED,
    _OT.CANCELLED: _O.CANCELLED,
    _OT.EXPIRED: _O.EXPIRED,
}


def _order_table() -> dict[tuple[OrderState, OrderTrigger], OrderState]:
    table: dict[tuple[OrderState, OrderTrigger], OrderState] = {
        (_O.PLANNED, _OT.SEND): _O.SENT,
        (_O.PLANNED, _OT.DROPPED): _O.ABSENT,
        (_O.SENT, _OT.NOT_SENT): _O.ABSENT,
        (_O.SENT, _OT.REFUSED): _O.REFUSED,
        (_O.SENT, _OT.OUTCOME_LOST): _O.OUTCOME_UNKNOWN,
        (_O.OUTCOME_UNKNOWN, _OT.DECLARED_ABSENT): _O.ABSENT,
        # Accepted or once seen, and then in none of the broker's books: a person decides on.
        (_O.ACCEPTED, _OT.DECLARED_ABSENT): _O.ABSENT,
        (_O.WORKING, _OT.DECLARED_ABSENT): _O.ABSENT,
        (_O.PLANNED, _OT.DECLARED_ABSENT): _O.ABSENT,
        (_O.ABSENT, _OT.DECLARED_ABSENT): _O.ABSENT,
        # The answer came after we had given up on it.
        (_O.OUTCOME_UNKNOWN, _OT.REFUSED): _O.REFUSED,
        (_O.OUTCOME_UNKNOWN, _OT.NOT_SENT): _O.ABSENT,
        (_O.ABSENT, _OT.REPLANNED): _O.PLANNED,
    }
    # Updates may skip states and may come before the HTTP answer. An order that was declared
    # absent, refused or ended can still turn up through an earlier send under the same id (also
    # while it is planned again), and a fill after a cancel is real: the merged record decides.
    for state in OrderState:
        table.update({(state, trigger): to for trigger, to in _REPORTED.items()})
    # After a modify the row may pass through TRANSIT again: it is still working.
    table[(_O.WORKING, _OT.ACCEPTED)] = _O.WORKING
    return table


ORDER_TABLE: dict[tuple[OrderState, OrderTrigger], OrderState] = _order_table()

_State = TypeVar("_State", bound=Enum)
_Trigger = TypeVar("_Trigger", bound=Enum)


def _next(
    table: Mapping[tuple[_State, _Trigger], _State], state: _State, trigger: _Trigger, subject: str
) -> _State:
    found = table.get((state, trigger))
    if found is None:
        raise InvalidTransition(type(state).__name__, state.value, trigger.value, subject)
    return found


def next_position_status(
    status: PositionStatus, trigger: PositionTrigger, tracker_id: str
) -> PositionStatus:
    """Return the position's next status; raises InvalidTransition for a pair not in the table."""
    return _next(POSITION_TABLE, status, trigger, tracker_id)


def next_intent_status(
    status: IntentStatus, trigger: IntentTrigger, intent_id: str
) -> IntentStatus:
    """Return the intent's next status; raises InvalidTransition for a pair not in the table."""
    return _next(INTENT_TABLE, status, trigger, intent_id)


def next_order_state(state: OrderState, trigger: OrderTrigger, client_order_id: str) -> OrderState:
    """Return the order's next state; raises InvalidTransition for a pair not in the table."""
    return _next(ORDER_TABLE, state, trigger, client_order_id)
