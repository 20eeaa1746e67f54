"""What a caller of `execute_exit` is told, on every path."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from squareoff.domain.ids import ClientOrderId, TrackerId


class ExitCode(str, Enum):
    """The closed list of outcomes; docs/errors.md explains each to a tired person."""

    EXITED = "exited"
    """All closed and confirmed by the broker's books."""
    CLAIMED = "claimed"
    """The exit is latched durably; a caller who waits for no more is told so."""
    ACCEPTED = "accepted"
    """The broker has the exit order; fills are still to come."""
    CLOSED_EXTERNALLY = "closed_externally"
    """Somebody else had closed the position; the tracker is closed at their price."""
    ALREADY_EXITED = "already_exited"
    """The position was closed before; nothing to do."""
    EXIT_IN_PROGRESS = "exit_in_progress"
    """Another caller's exit of this position is under way; this call changed nothing."""
    BEING_SETTLED = "being_settled"
    """The exit is latched and goes on by itself, but the wait ended before the answer came."""
    BLOCKED = "blocked"
    """The exit is latched and waits for a named reason to lift; it goes on by itself."""
    NEEDS_HUMAN = "needs_human"
    """The exit stays claimed, but does not go on by itself: its attempts are used up, or going on
    is unsafe; a person must decide."""
    WITHDRAWN = "withdrawn"
    """A person took the exit back, or let the position go, before it was closed."""
    INVALID_TRACKER = "invalid_tracker"
    """There is no such position; nothing was sent."""
    INVALID_ROUTER = "invalid_router"
    """The engine has no way to send orders; nothing was sent."""
    INVALID_REASON = "invalid_reason"
    """The reason was missing or blank; nothing was sent."""
    NOT_ACTIVE = "not_active"
    """The position is not held (its entry has not filled, or was cancelled); nothing was sent."""
    HALTED = "halted"
    """A defect halted this position; nothing is sent for it any more."""
    STORE_UNAVAILABLE = "store_unavailable"
    """The journal cannot be written, so nothing may be sent; try again."""

    @property
    def is_success(self) -> bool:
        """Say whether the caller's wish is fulfilled or surely under way at the broker."""
        return self in _SUCCESSES


_SUCCESSES = frozenset(
    {
        ExitCode.EXITED,
        ExitCode.CLAIMED,
        ExitCode.ACCEPTED,
        ExitCode.CLOSED_EXTERNALLY,
        ExitCode.ALREADY_EXITED,
        ExitCode.EXIT_IN_PROGRESS,
    }
)


@dataclass(frozen=True, slots=True)
class ExitResult:
    """The answer to one `execute_exit`.

    `exit_price` is the quantity-weighted average in rupees over what is closed so far, None before
    the first fill. `orders` are the client order ids of the exit. `error` is text for a person
    where `success` is False, else None.
    """

    success: bool
    code: ExitCode
    tracker_id: TrackerId
    exit_price: Decimal | None = None
    exited_quantity: int = 0
    reason: str = ""
    orders: tuple[ClientOrderId, ...] = ()
    error: str | None = None
    intent_id: str | None = None
