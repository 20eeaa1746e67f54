"""What we need of the world, as protocols. Services depend on these; adapters fulfil them.

Rules that hold for every port:
1. A broker call raises `domain.errors.BrokerError` on failure, with `sent` saying whether it may
   have taken effect; it never returns an empty value to mean failure (three-valued reads).
2. Nothing here retries, redirects or resends by itself.
3. Cancellation passes through.
Longer than 400 lines because all that we need of the world stands in one place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Protocol

from squareoff.core.session.lease import AccountOwner, OwnerClaim, TakeoverCause
from squareoff.core.state.change import Change
from squareoff.core.state.facts import AccountFact, JournalEntry, Severity
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import (
    BrokerPosition,
    BrokerProfile,
    Holding,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    TradeReport,
    WalletSnapshot,
)
from squareoff.domain.sessions import TradingDay
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

    def seconds_to_last_close(self, segment: ExchangeSegment, wall_ns: int) -> float | None:
        """Return the time until the day's last session ends; None where none is left today, and
        where sessions never end."""
        ...

    def trading_day(self, segment: ExchangeSegment, day: date) -> TradingDay:
        """Return the hours of a day (IST), today's or another."""
        ...


class Ownership(Protocol):
    """That this process, and no other, runs the account on this database."""

    @property
    def takeover_text(self) -> str:
        """What a person should know of how the account came to us, "" for nothing."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing may leave: the database takes no sign of life of ours, "" while it does."""
        ...

    def on_trouble(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with `trouble` whenever it begins or ends; it must not wait."""
        ...

    async def keep(self) -> None:
        """Keep the account until cancelled.

        Raises:
            OwnershipLost: another engine has, or may have, taken it over; stop everything.
        """
        ...


class SendFence(Protocol):
    """Asked right before the first byte of every order write."""

    def refusal(self, send_before_ns: int | None) -> str | None:
        """Return why nothing may leave now, None where it may; never waits.

        Args:
            send_before_ns: monotonic instant at which this write has become too old.
        """
        ...


class SignsOfLife(Protocol):
    """Told of every write that the store accepted under our epoch: each proves that it is ours."""

    def begin_sign(self) -> int:
        """A write begins; hand the number back once it is durable."""
        ...

    def note_sign(self, began_ns: int) -> None:
        """The write that began then is durable and moved the journal on."""
        ...


class OwnerStore(Protocol):
    """Who owns the account, durably. Every method raises the store errors of `TrackerStore`."""

    async def owner(self) -> AccountOwner | None:
        """Return the newest owner, None where nobody ever took the account."""
        ...

    async def take(
        self,
        claim: OwnerClaim,
        cause: TakeoverCause,
        before: AccountOwner | None,
        *,
        holds_lock: bool,
        at_ns: int,
    ) -> int:
        """Take the account: raise the epoch and journal it in one transaction; return the epoch.

        Raises:
            LostUpdate: the newest owner is not `before`, or it has renewed since; nothing changed.
        """
        ...

    async def renew(self, epoch: int, *, holds_lock: bool, lease_until_ns: int) -> None:
        """Give a sign of life.

        Raises:
            OwnershipLost: `epoch` is not the newest.
        """
        ...

    async def release(self, epoch: int) -> None:
        """Say that the owner ended in good order; does nothing where `epoch` is not the newest."""
        ...


class ProcessLock(Protocol):
    """A lock that its holder's process cannot outlive."""

    @property
    def proves_death(self) -> bool:
        """Whether it can only come free by its holder's end or will."""
        ...

    async def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            AccountLocked: another process holds it; the message names it where that is known.
            StoreUnavailable: the lock's file or server cannot be reached.
        """
        ...

    async def is_held(self) -> bool:
        """Say whether the lock is still ours; checked now, not remembered."""
        ...

    async def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
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

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Read all fills of the account of earlier days (IST, both included)."""
        ...

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Read the account's positions; empty means the broker answered with an empty list."""
        ...

    async def holdings(self) -> tuple[Holding, ...]:
        """Read the shares of earlier days; empty means the broker said that there are none."""
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

    async def lock_account(self) -> None:
        """Put on the broker's own kill switch for the day; it may be repeated.

        Raises:
            BrokerRejected: refused, for the account is not flat or has orders.
        """
        ...

    async def is_account_locked(self) -> bool:
        """Read whether the broker's own kill switch is on."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class TokenState:
    """The access token as the engine may know it: everything but its text.

    `generation` grows with each token that takes another's place; `is_refused`: the broker refused
    it and nothing took its place yet; `is_suspected`: a socket ended, or a quote was refused, as
    with a dead token; `expires_ns` is the end the token claims (UTC ns), None where it claims none.
    """

    generation: int
    is_refused: bool
    is_suspected: bool
    expires_ns: int | None
    is_renewable: bool


@dataclass(frozen=True, slots=True)
class AddressState:
    """Whether the broker takes orders from this machine's address; None where it does not say."""

    orders_allowed: bool | None
    detected: str
    registered: tuple[str, ...]


class BrokerSession(Protocol):
    """The access token's life: asked about, renewed, replaced. Its text never leaves the adapter.

    Calls raise `BrokerError`; one that makes a token and raises with `sent` other than NO may have
    killed the old one.
    """

    @property
    def state(self) -> TokenState:
        """The token in use."""
        ...

    @property
    def has_file(self) -> bool:
        """Say whether the token is kept in a file that somebody may write."""
        ...

    @property
    def file_fault(self) -> str:
        """Why the file gave no token at the last reading, "" where it gave one; never shows it."""
        ...

    @property
    def can_log_in(self) -> bool:
        """Say whether PIN and one-time codes are at hand."""
        ...

    async def wait_for_change(self, known: TokenState) -> None:
        """Return once `state` is another than `known`."""
        ...

    async def reload(self) -> bool:
        """Read the token's file again; say whether another token is in use now."""
        ...

    async def profile(self) -> BrokerProfile:
        """Ask the broker what it says of the token in use; its answer settles `is_refused`."""
        ...

    async def renew(self) -> bool:
        """Let the broker replace the living token; say whether the new one could be saved."""
        ...

    async def log_in(self) -> bool:
        """Make a token by PIN and one-time code; say whether it could be saved."""
        ...

    async def address(self) -> AddressState:
        """Ask from which addresses the broker takes orders."""
        ...


@dataclass(frozen=True, slots=True)
class TimeReading:
    """One comparison with the broker's clock: `theirs_ns` lies between two instants of ours.

    All UTC ns; `theirs_ns` is cut to whole seconds by the broker.
    """

    theirs_ns: int
    sent_ns: int
    received_ns: int


class BrokerTime(Protocol):
    """What the broker's answers tell of its clock."""

    def take(self) -> tuple[TimeReading, ...]:
        """Return the readings since the last call, oldest first."""
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
    """A market-feed connection is up; it comes before any price of it.

    `instrument_ids` are those of this connection, None where it carries all.
    """

    instrument_ids: tuple[InstrumentId, ...] | None = None


@dataclass(frozen=True, slots=True)
class FeedLost:
    """A market-feed connection ended; `instrument_ids` as in `FeedConnected`."""

    instrument_ids: tuple[InstrumentId, ...] | None = None


@dataclass(frozen=True, slots=True)
class FeedGarbled:
    """A packet that could not be decoded; counted, never priced."""

    text: str


@dataclass(frozen=True, slots=True)
class DayRange:
    """The instrument's day so far, price units, as told with a tick; published before the tick."""

    day_high: int
    day_low: int
    tick: Tick


FeedEvent = FeedConnected | FeedLost | FeedGarbled | DayRange | Tick


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


class PriceDetail(Enum):
    """How much comes with each price of an instrument."""

    LAST = "LAST"
    """The price and its time."""
    DAY = "DAY"
    """Also the day's volume, high and low."""
    DEPTH = "DEPTH"
    """Also the best bid and ask."""


class FeedLine(Protocol):
    """One connection of a market feed that has several."""

    @property
    def is_needed(self) -> bool:
        """Whether it carries any instrument."""
        ...

    @property
    def instrument_ids(self) -> tuple[InstrumentId, ...]:
        """What it carries now."""
        ...

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Wait until it is needed, connect, subscribe and publish until the connection ends.

        Raises:
            FeedDisconnected: as `MarketFeed.run_once`.
        """
        ...


class WideFeed(Protocol):
    """A market feed of several connections, with a choice of detail."""

    @property
    def lines(self) -> Sequence[FeedLine]:
        """All connections, the first that of `MarketFeed.run_once`; each is run for ever."""
        ...

    def prefer(self, instrument_id: InstrumentId, detail: PriceDetail) -> None:
        """Ask for this much detail with an instrument's prices; does nothing where it is not
        watched, or the feed has no choice of detail for it."""
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
    repeats: int = 0
    """How often it was raised or told again since."""
    last_raised_at_ns: int | None = None
    cleared_at_ns: int | None = None
    """When its cause was seen to be gone."""

    @property
    def is_open(self) -> bool:
        """Say whether it still stands and nobody has seen it."""
        return self.acknowledged_at_ns is None and self.cleared_at_ns is None


@dataclass(frozen=True, slots=True)
class KillSwitchState:
    """The durable kill switch: `level` is `new` or `all` while active, `new` otherwise."""

    active: bool
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExitAllState:
    """The newest wish to close everything.

    `outcome` is `running`, `closed` or `lifted`; `lock_outcome` is empty until the broker's own
    lock was asked for, then `sent`, `locked`, `refused` or `unknown`; `note` says more.
    """

    operation_id: str
    reason: str
    lock_account: bool
    asked_at_ns: int
    outcome: str = "running"
    lock_outcome: str = ""
    note: str = ""
    ended_at_ns: int | None = None
    intraday_only: bool = False

    @property
    def is_running(self) -> bool:
        """Say whether there is still something to do about it."""
        return self.outcome == "running"


@dataclass(frozen=True, slots=True)
class AccountDayState:
    """What the account's rules remember of their newest day (ISO date, IST).

    `peak` is the best P&L in rupees, None before the trailing's activation; `spent` are the rules
    that fired; `reason` and `fired_at_ns` are those of the newest that closed everything. Where
    that was on an earlier day `fired_at_ns` is None: the reason tells which kill switch to lift.
    """

    day: str
    peak: Decimal | None = None
    spent: tuple[AccountRuleName, ...] = ()
    reason: str = ""
    fired_at_ns: int | None = None

    def on(self, day: str) -> "AccountDayState":
        """Return this state on a day: on another one than its own nothing of it is left but why
        everything was closed last."""
        return self if day == self.day else AccountDayState(day, reason=self.reason)


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
        """Return one tracker as stored, once every commit begun before is at its end."""
        ...

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Return the account's trackers, oldest first; None means all statuses."""
        ...

    async def load_current(self, ended_since_ns: int) -> tuple[PositionTracker, ...]:
        """Return the account's trackers but those that are past (`core.state.past`), oldest first;
        `ended_since_ns` is UTC ns."""
        ...

    async def alarms(
        self, *, open_only: bool = False, since_ns: int | None = None
    ) -> tuple[Alarm, ...]:
        """Return alarms, oldest first: all, or those that stand unseen, with `since_ns` (UTC ns)
        also those that were raised since."""
        ...

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch as last set."""
        ...

    async def exit_all(self) -> ExitAllState | None:
        """Return the newest wish to close everything, None where there never was one."""
        ...

    async def account_day(self) -> AccountDayState | None:
        """Return what the account's rules remember, None where they never wrote anything."""
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

    async def write_times(self, *, since_ns: int, limit: int) -> tuple[int, ...]:
        """Return when order writes were journalled (sends, modifies, cancels) since `since_ns`.

        Returns:
            UTC ns in the order of the journal; of more than `limit` the newest. Some may be older
            than `since_ns`, always the newest of all: only a wall clock tells their age.
        """
        ...

    async def head(self) -> int:
        """Return the newest sequence number, 0 for an empty journal."""
        ...


class Alerts(Protocol):
    """Where alarms go besides journal and log."""

    def notify(self, severity: Severity, code: str, message: str) -> None:
        """Hand an alarm over; never waits, never raises, off the exit path."""
        ...

    def tell(self, title: str, message: str) -> None:
        """Hand over a message that is no alarm, on the same terms."""
        ...
