"""What we need of the world, as protocols. Services depend on these; adapters fulfil them.

Rules that hold for every port:
1. A broker call raises `domain.errors.BrokerError` on failure, with `sent` saying whether it may
   have taken effect; it never returns an empty value to mean failure (three-valued reads).
2. Nothing here retries, redirects or resends by itself.
3. Cancellation passes through.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from squareoff.core.change import Change
from squareoff.core.facts import AccountFact, JournalEntry, Severity
from squareoff.core.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import (
    BrokerPosition,
    BrokerProfile,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    TradeReport,
    WalletSnapshot,
)
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now


class Clock(Protocol):
    """The time, and waiting for it."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""
        ...


class SessionCalendar(Protocol):
    """When an exchange segment takes orders."""

    def is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say whether orders can go out at this instant (UTC ns)."""
        ...

    def seconds_to_open(self, segment: ExchangeSegment, wall_ns: int) -> float:
        """Return the time until the next session, 0 while open."""
        ...


class Ownership(Protocol):
    """That this process, and no other, runs the account on this database."""

    async def is_held(self) -> bool:
        """Say whether the account is still ours."""
        ...


class IdSource(Protocol):
    """New ids; in simulation they come from the seed."""

    def new_id(self, prefix: str) -> str:
        """Return a fresh id `prefix-...`, unique for ever."""
        ...


class Chance(Protocol):
    """Randomness for jitter; in simulation it comes from the seed."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        ...


class Checkpoints(Protocol):
    """Named instants at which a rehearsal may kill the process. Does nothing in production."""

    def reach(self, name: str) -> None:
        """Say that the named point was reached."""
        ...


class BrokerClient(Protocol):
    """The broker's REST side, one call per method, no retries."""

    async def place_order(self, request: OrderRequest) -> PlacementAnswer:
        """Place one order."""
        ...

    async def modify_order(self, modification: OrderModification) -> None:
        """Set a live order's new absolute target. Success means requested, not done."""
        ...

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> None:
        """Ask for a cancel. Success means requested; the order's own record tells the truth."""
        ...

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Look up by our id. Empty: the broker says it knows none, which alone proves nothing."""
        ...

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Read all of today's orders of the account."""
        ...

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Read all of today's fills of the account."""
        ...

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Read the account's positions; empty means the broker answered with an empty list."""
        ...

    async def funds(self) -> WalletSnapshot:
        """Read the account's funds."""
        ...

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Read quotes; ids the broker does not know are missing from the answer."""
        ...

    async def profile(self) -> BrokerProfile:
        """Read the token's own description."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """The order-update socket is up and logged in; whatever happened before was not seen."""


@dataclass(frozen=True, slots=True)
class StreamGarbled:
    """A frame that is no order update; kept for the log (shortened, no secret), then ignored."""

    text: str


OrderStreamEvent = StreamConnected | StreamGarbled | OrderReport


class OrderUpdates(Protocol):
    """One order-update connection at a time."""

    async def run_once(self, publish: Callable[[OrderStreamEvent], None]) -> None:
        """Connect, log in and publish until the connection ends.

        Raises:
            FeedDisconnected: always, in the end: closed, reset, login refused, or silent too long
                (pings unanswered).
        """
        ...


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """A market-feed connection is up; subscriptions are sent."""


@dataclass(frozen=True, slots=True)
class FeedGarbled:
    """A packet that could not be decoded; counted, never priced."""

    text: str


@dataclass(frozen=True, slots=True)
class DayRange:
    """The instrument's day so far, price units; lets a peak be recovered after a gap."""

    instrument_id: InstrumentId
    day_high: int
    day_low: int


FeedEvent = FeedConnected | FeedGarbled | DayRange | Tick


class MarketFeed(Protocol):
    """Live prices of a changing set of instruments."""

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments to the subscription; takes effect now or at the next connect."""
        ...

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments from the subscription."""
        ...

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Connect, subscribe and publish until the connection ends.

        Raises:
            FeedDisconnected: always, in the end, with the broker's reason code where it gave one.
        """
        ...


class InstrumentSource(Protocol):
    """The instrument master."""

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the instrument, or None where the master does not hold it."""
        ...


@dataclass(frozen=True, slots=True)
class Alarm:
    """A raised alarm as a row: `seq` is its id; times are UTC ns."""

    seq: int
    severity: Severity
    code: str
    message: str
    tracker_id: TrackerId | None
    raised_at_ns: int
    acknowledged_at_ns: int | None


@dataclass(frozen=True, slots=True)
class KillSwitchState:
    """The durable kill switch: `level` is `new` or `all` while active, `new` otherwise."""

    active: bool
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class RememberedAnswer:
    """The stored answer to an API call under an idempotency key."""

    body_hash: str
    status: int
    answer: str


class TrackerStore(Protocol):
    """Trackers of one account and the journal, in one database; SQL is the authority.

    Every method raises `StoreUnavailable` where the database cannot be reached or stays busy
    (nothing was committed), and `CommitOutcomeUnknown` where the connection broke in COMMIT.
    """

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Write state and facts in one transaction, durable on return.

        Raises:
            LostUpdate: the stored version is not `change.before`'s; nothing was written. Also where
                the database refuses a second live exit intent for the tracker.
        """
        ...

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Journal facts that belong to no tracker change (alarms, kill switch, reconciliation)."""
        ...

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Return one tracker as stored."""
        ...

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Return the account's trackers, oldest first; None means all statuses."""
        ...

    async def alarms(self, *, unacknowledged_only: bool = False) -> tuple[Alarm, ...]:
        """Return alarms, oldest first."""
        ...

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch as last set."""
        ...

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Return the answer stored under an idempotency key, if any."""
        ...

    async def remember_answer(
        self, idempotency_key: str, answer: RememberedAnswer, at_ns: int
    ) -> None:
        """Store the first answer under a key; a later one under the same key changes nothing."""
        ...


class Journal(Protocol):
    """The append-only facts."""

    async def entries(
        self, *, after_seq: int = 0, tracker_id: TrackerId | None = None, limit: int = 1000
    ) -> tuple[JournalEntry, ...]:
        """Return entries with a higher sequence number, oldest first."""
        ...

    async def head(self) -> int:
        """Return the newest sequence number, 0 for an empty journal."""
        ...


class Alerts(Protocol):
    """Where alarms go besides journal and log."""

    def notify(self, severity: Severity, code: str, message: str) -> None:
        """Hand an alarm over; never waits, never raises, off the exit path."""
        ...
