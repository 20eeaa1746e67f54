"""The states of the three machines. How one moves is `core.state.machines`; see docs/states.md."""

from enum import Enum


class PositionStatus(str, Enum):
    """Where a tracked position stands."""

    PENDING = "PENDING"
    """Its entry order is placed, nothing has filled; ends by the first fill or the entry's end."""
    ACTIVE = "ACTIVE"
    """Held and watched; ends when an exit is claimed or somebody else closed it."""
    EXITING = "EXITING"
    """An exit intent is open; ends when all is closed and confirmed, or the intent is withdrawn."""
    EXITED = "EXITED"
    """Closed and confirmed by the broker's books; final."""
    CANCELLED = "CANCELLED"
    """The entry ended without any fill; final, unless it fills after all."""
    UNTRACKED = "UNTRACKED"
    """A person let it go without an order: whatever is held is theirs again; final."""

    @property
    def is_final(self) -> bool:
        """Say whether the position is at its end; only a late fill of its entry changes it then."""
        return self in (
            PositionStatus.EXITED,
            PositionStatus.CANCELLED,
            PositionStatus.UNTRACKED,
        )


OPEN_STATUSES = tuple(status for status in PositionStatus if not status.is_final)
"""Those of positions that something may still happen to."""

FINAL_STATUSES = tuple(status for status in PositionStatus if status.is_final)


class IntentStatus(str, Enum):
    """Where the wish to close one position stands."""

    OPEN = "OPEN"
    """Being driven; ends closed, withdrawn, blocked or in a person's hands."""
    BLOCKED = "BLOCKED"
    """Waits for a named reason to lift and then goes on by itself; alarmed at once."""
    DONE = "DONE"
    """Everything it had to close is closed and confirmed; final."""
    WITHDRAWN = "WITHDRAWN"
    """Taken back with nothing live at the broker; final."""
    NEEDS_HUMAN = "NEEDS_HUMAN"
    """The bounded attempts are used up or the state is unsafe; a person must decide."""

    @property
    def is_live(self) -> bool:
        """Say whether it still claims its position (at most one live intent per position, I1)."""
        return self not in (IntentStatus.DONE, IntentStatus.WITHDRAWN)


class OrderState(str, Enum):
    """Where one order of ours stands (one slice of one attempt, or an entry)."""

    PLANNED = "PLANNED"
    """Decided and journalled; no byte has left."""
    SENT = "SENT"
    """Committed for sending; the first byte may leave from now on."""
    ACCEPTED = "ACCEPTED"
    """The broker's order system has it (HTTP 200, TRANSIT); not yet at the exchange."""
    WORKING = "WORKING"
    """Open at the exchange; can fill."""
    PART_FILLED = "PART_FILLED"
    """Filled in part; the rest can still fill."""
    FILLED = "FILLED"
    """Filled in full; final."""
    REFUSED = "REFUSED"
    """Refused in the answer to the call; it never existed at the exchange. Final."""
    REJECTED = "REJECTED"
    """Accepted first, then rejected by the broker's risk system or the exchange; final."""
    CANCELLED = "CANCELLED"
    """Ended by a cancel, ours or another's; may have fills. Final."""
    EXPIRED = "EXPIRED"
    """Its validity ended; may have fills. Final."""
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    """Sent, and no answer that can be trusted; never resent, the broker is asked."""
    ABSENT = "ABSENT"
    """Proved not to be at the broker (or never sent); may be sent again under the same id."""

    @property
    def is_terminal(self) -> bool:
        """Say whether the order can never fill again, as far as its own record goes."""
        return self in _TERMINAL_ORDER_STATES

    @property
    def is_live(self) -> bool:
        """Say whether the order may still fill at the broker."""
        return self in _LIVE_ORDER_STATES

    @property
    def is_at_exchange(self) -> bool:
        """Say whether the exchange has it: it rests there, or has filled."""
        return self in _AT_EXCHANGE_ORDER_STATES


_TERMINAL_ORDER_STATES = frozenset(
    {
        OrderState.FILLED,
        OrderState.REFUSED,
        OrderState.REJECTED,
        OrderState.CANCELLED,
        OrderState.EXPIRED,
        OrderState.ABSENT,
    }
)
_AT_EXCHANGE_ORDER_STATES = frozenset(
    {OrderState.WORKING, OrderState.PART_FILLED, OrderState.FILLED}
)
_LIVE_ORDER_STATES = frozenset(
    {
        OrderState.SENT,
        OrderState.ACCEPTED,
        OrderState.WORKING,
        OrderState.PART_FILLED,
        OrderState.OUTCOME_UNKNOWN,
    }
)


class BlockReason(str, Enum):
    """Why an exit waits. Each lifts by itself or by a person; see docs/errors.md."""

    POSITIONS_UNREADABLE = "positions_unreadable"
    """The broker's positions (of delivered shares: the holdings too) could not be read, or may show
    less than is held, and the last reconciliation is too old."""
    POSITION_MISSING = "position_missing"
    """The broker shows no such position and no trade explains who closed it."""
    BROKER_UNREACHABLE = "broker_unreachable"
    """Orders cannot be delivered; retried with growing pauses."""
    BREAKER_OPEN = "breaker_open"
    """Too many order calls in a row failed; exits wait their turn, one at a time asks again."""
    SEND_FORBIDDEN = "send_forbidden"
    """The engine kept an order back at its first byte: it was decided too long ago, or the lease
    on the account had run out; it is sized anew."""
    TOKEN_DEAD = "token_dead"
    """The broker refuses the access token; goes on at once with a new one."""
    STATIC_IP = "static_ip"
    """The broker takes no orders from this machine's address."""
    MARKET_CLOSED = "market_closed"
    """The exchange is not taking orders."""
    REJECTED_TRANSIENT = "rejected_transient"
    """The broker rejected the exit for a reason that may pass."""
    REJECTED_PERMANENT = "rejected_permanent"
    """The broker rejected the exit for a reason that a person must cure."""
    KILL_SWITCH = "kill_switch"
    """The kill switch stands at level `all`."""
    UNKNOWN_ORDER = "unknown_order"
    """An order under an id of ours that this database does not know can still close the position
    (an old backup was restored, or a second engine trades the account)."""
    RESERVED = "reserved"
    """Other live exits of ours on the same position already use what the broker holds."""
    WITHDRAWING = "withdrawing"
    """A person takes the exit back: what is live is cancelled, then the intent is withdrawn."""
