"""Journal facts: the closed list of what can have happened, in the past tense.

A tracker's state is the fold of its facts (`core.state.evolve`), so the journal rebuilds every
tracker. Facts are frozen; their field names are the journal's JSON keys. The kind of a fact is its
class name in snake case (`fact_kind`).
Longer than 400 lines because a closed list stands in one place.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache

from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import Instrument, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    PositionSide,
    ReportSource,
    Side,
)
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleSet, Trigger
from squareoff.domain.states import BlockReason


class Severity(str, Enum):
    """How loudly an alarm speaks."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class TrackerOpened:
    """A position came under watch; `quantity` is 0 where an entry order still has to fill."""

    tracker_id: TrackerId
    account_id: AccountId
    instrument: Instrument
    product_type: ProductType
    side: PositionSide
    quantity: int
    entry_price: Decimal
    rules: RuleSet
    awaits_entry: bool


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """The owner set other rules."""

    tracker_id: TrackerId
    rules: RuleSet


@dataclass(frozen=True, slots=True)
class StopMoved:
    """The best price seen advanced, and with it perhaps the stop. Levels are price units."""

    tracker_id: TrackerId
    peak_price: PriceUnits
    stop_level: PriceUnits | None
    stop_rule: str


@dataclass(frozen=True, slots=True)
class BestPriceNoted:
    """A better price was seen that moved no stop, or came while an exit is open (price units)."""

    tracker_id: TrackerId
    peak_price: PriceUnits


@dataclass(frozen=True, slots=True)
class ExitClaimed:
    """The exit is latched: from here on the position is being closed, whatever prices do."""

    tracker_id: TrackerId
    intent_id: IntentId
    reason: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class ExitSized:
    """How much to close, from the broker's own positions (None: they could not be read)."""

    tracker_id: TrackerId
    attempt: int
    quantity: int
    broker_net_quantity: int | None
    reserved_by_others: int


@dataclass(frozen=True, slots=True)
class ExitBlocked:
    """The exit waits for `reason` to lift and tries again after `retry_after_seconds`."""

    tracker_id: TrackerId
    reason: BlockReason
    text: str
    failures: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class ExitResumed:
    """The exit goes on after a block or a person's word."""

    tracker_id: TrackerId


@dataclass(frozen=True, slots=True)
class ExitAttemptFailed:
    """An exit order ended short; what is left is sized again after `retry_after_seconds`."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    text: str
    failures: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class ExitWithdrawalAsked:
    """A person takes the exit back; it is withdrawn once nothing of it lives at the broker."""

    tracker_id: TrackerId
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class ExitWithdrawn:
    """The exit was taken back with nothing live at the broker; the rule that fired is taken out."""

    tracker_id: TrackerId
    reason: str


@dataclass(frozen=True, slots=True)
class ExitEscalated:
    """The machine's means are used up, or going on is unsafe: a person must decide."""

    tracker_id: TrackerId
    reason: str


@dataclass(frozen=True, slots=True)
class OrderPlanned:
    """An order was decided; no byte has left. Prices in rupees, None until the send."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    role: OrderRole
    origin: OrderOrigin
    attempt: int
    slice_number: int
    side: Side
    order_quantity: int
    order_type: OrderType
    limit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class EntryWatched:
    """An entry order that somebody else placed is watched under a client order id of ours."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    side: Side
    order_quantity: int


@dataclass(frozen=True, slots=True)
class OrderDropped:
    """A planned order was given up before any byte left."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    reason: str


@dataclass(frozen=True, slots=True)
class OrderReplanned:
    """An order that is proved absent will be sent again under the same id."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class OrderSent:
    """Committed right before the first byte: from here on the order may exist at the broker."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    send_number: int
    order_type: OrderType
    limit_price: Decimal | None
    price_source: str


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The answer to this send: the broker's order system has it."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    send_number: int
    broker_order_id: BrokerOrderId | None


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """The answer to this send: refused; nothing reached the exchange by it."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    send_number: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class OrderNotSent:
    """It is proved that this send never left or was not taken in."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    send_number: int
    text: str


@dataclass(frozen=True, slots=True)
class OrderOutcomeLost:
    """No trustworthy answer to this send: it may or may not be at the broker. Never resent."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    send_number: int
    text: str


@dataclass(frozen=True, slots=True)
class OrderReported:
    """A broker record or update told more of one order at the broker than we knew. Where its trades
    tell it, the last of them was made at `last_trade_ns` (UTC; None: untold)."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    status: BrokerOrderStatus
    cumulative_quantity: int
    average_price: Decimal | None
    reason: str
    source: ReportSource
    last_trade_ns: int | None = None


@dataclass(frozen=True, slots=True)
class OrderSettled:
    """The quarantine passed: sends that no order at the broker accounts for were never taken."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    readings: int
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class OrderVanished:
    """An order that the broker accepted is in none of its books, however often they are read.

    `status` is EXPIRED where it was sent on an earlier day, for orders live for one, else MISSING.
    `readings` is 0 where a watched entry order was found to be another one.
    """

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    status: BrokerOrderStatus
    readings: int
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class OrderModifySent:
    """Committed before a modify leaves: the order's new absolute target. Prices in rupees."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    modification: int
    order_type: OrderType
    limit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderCancelSent:
    """Committed before a cancel leaves."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId


@dataclass(frozen=True, slots=True)
class ClosedExternally:
    """Somebody else closed this much, as the broker's trades tell; price is their average, and the
    last of them was made at `last_trade_ns` (UTC; None: untold, as in older journals)."""

    tracker_id: TrackerId
    quantity: int
    price: Decimal
    last_trade_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FillsConfirmed:
    """The trade book agrees: exact value of the fills of one order at the broker, the last of them
    made at `last_trade_ns` (UTC; None: untold, as in older journals)."""

    tracker_id: TrackerId
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    cumulative_quantity: int
    average_price: Decimal
    last_trade_ns: int | None = None


@dataclass(frozen=True, slots=True)
class PositionExited:
    """All is closed and confirmed. `exit_price` is the quantity-weighted average in rupees;
    `realized_pnl` has no more than was held, and what taking back the rest brought."""

    tracker_id: TrackerId
    exit_price: Decimal
    realized_pnl: Decimal
    exit_reason: str


@dataclass(frozen=True, slots=True)
class PositionCancelled:
    """The entry ended without any fill."""

    tracker_id: TrackerId
    reason: str


@dataclass(frozen=True, slots=True)
class OverExitDetected:
    """More was closed than was held; the position is frozen and a person is called."""

    tracker_id: TrackerId
    over_exited_quantity: int


@dataclass(frozen=True, slots=True)
class OverExitResolved:
    """A person has dealt with what was closed too much; the position may end."""

    tracker_id: TrackerId
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class PositionUntracked:
    """A person let the position go without an order; whatever is held is theirs again."""

    tracker_id: TrackerId
    reason: str
    actor: str


TrackerFact = (
    TrackerOpened
    | RulesChanged
    | StopMoved
    | BestPriceNoted
    | ExitClaimed
    | ExitSized
    | ExitBlocked
    | ExitResumed
    | ExitAttemptFailed
    | ExitWithdrawalAsked
    | ExitWithdrawn
    | ExitEscalated
    | OrderPlanned
    | EntryWatched
    | OrderDropped
    | OrderReplanned
    | OrderSent
    | OrderAccepted
    | OrderRefused
    | OrderNotSent
    | OrderOutcomeLost
    | OrderReported
    | OrderSettled
    | OrderVanished
    | OrderModifySent
    | OrderCancelSent
    | ClosedExternally
    | FillsConfirmed
    | PositionExited
    | PositionCancelled
    | OverExitDetected
    | OverExitResolved
    | PositionUntracked
)


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """A person should know. The alarm's id is the sequence number of this fact."""

    severity: Severity
    code: str
    message: str
    tracker_id: TrackerId | None = None


@dataclass(frozen=True, slots=True)
class AlarmAcknowledged:
    """A person has seen the alarm."""

    alarm_seq: int
    tracker_id: TrackerId | None = None


@dataclass(frozen=True, slots=True)
class AccountTaken:
    """An engine became the account's owner: no other may write or send from here on.

    `cause` is a `TakeoverCause`; `before` names the owner it came from, "" for none.
    """

    epoch: int
    cause: str
    host: str
    process_id: int
    version: str
    config_hash: str
    before: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class AlarmRepeated:
    """An alarm that still stands was told again; `repeats` counts all since it was raised."""

    alarm_seq: int
    repeats: int
    tracker_id: TrackerId | None = None


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """The cause of an alarm was seen to be gone."""

    alarm_seq: int
    text: str
    tracker_id: TrackerId | None = None


@dataclass(frozen=True, slots=True)
class TokenReplaced:
    """Another access token took the old one's place; `how` is `file`, `renewal` or `login`.

    `expires_at` is ISO 8601 with offset, None where nothing says when the token ends.
    """

    how: str
    expires_at: str | None
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """An engine took the account: its version, mode and number of unfinished positions found."""

    version: str
    mode: str
    open_trackers: int
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class BooksReconciled:
    """Our book was compared with the broker's orders, trades and positions."""

    cause: str
    reports_applied: int
    differences: tuple[str, ...]
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class KillSwitchSet:
    """The kill switch changed; `level` is `new` or `all` while active."""

    active: bool
    level: str
    reason: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class ExitAllAsked:
    """Everything is to be closed; with `lock_account` the broker's own lock is put on at the end.

    The kill switch stands at least at level `new` by then; both are one transaction.
    With `intraday_only` what carries forward is left alone.
    """

    operation_id: str
    reason: str
    lock_account: bool
    intraday_only: bool = False
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class BrokerLockSent:
    """Committed before the broker's own kill switch is asked for: the account is flat, no order."""

    operation_id: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class BrokerLockAnswered:
    """What became of the broker's own lock: `locked`, `refused` or `unknown`, and why."""

    operation_id: str
    outcome: str
    text: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class ExitAllEnded:
    """The wish to close everything is over: `closed`, or `lifted` with the kill switch."""

    operation_id: str
    outcome: str
    text: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class AccountPeakReached:
    """The day's P&L of the account advanced to a new best one, in rupees; `day` is ISO, IST."""

    day: str
    peak: Decimal
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class AccountRuleFired:
    """A rule of the account fired; it stays fired for the rest of the day.

    `spent` are all rules that have fired that day, this one included. `closes_all` says whether it
    asks to close everything: False where that was under way already. `level` and `pnl` are rupees,
    None for a rule about time. `instrument_id`, `price` and the two times are the tick that made
    the rule fire, None where no price did.
    """

    day: str
    rule: AccountRuleName
    reason: str
    spent: tuple[AccountRuleName, ...]
    closes_all: bool
    level: Decimal | None = None
    pnl: Decimal | None = None
    instrument_id: str | None = None
    price: PriceUnits | None = None
    exchange_time_ns: int | None = None
    received_time_ns: int | None = None
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class DayRangeNoted:
    """A position takes part in its instrument's day range from here on.

    `day` is the number of the day in India, counted from 1970; prices are price units. What is
    traded beyond this range later was traded while the position was held.
    """

    tracker_id: TrackerId
    day: int
    day_high: PriceUnits
    day_low: PriceUnits


@dataclass(frozen=True, slots=True)
class CommandAsked:
    """A caller of the API asked for a change; journalled before anything that it brings about.

    `actor` is the role of the token, `source` where the call came from, `key` the caller's
    idempotency key, `about` the id of the position that the path names; each "" for none.
    It belongs to the account: the journal of a position holds what became of it alone.
    """

    command_id: str
    call: str
    about: str
    actor: str
    source: str
    key: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """What a command was answered with: the HTTP status, and the code of a refusal or ""."""

    command_id: str
    status: int
    code: str
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class CallsRefused:
    """So many calls were refused before they reached anything; `code` is that of the refusal."""

    code: str
    source: str
    count: int
    tracker_id: None = None


@dataclass(frozen=True, slots=True)
class CallerSeen:
    """A token was used from a place for the first time since the engine was started."""

    actor: str
    source: str
    tracker_id: None = None


AccountFact = (
    AlarmRaised
    | AlarmAcknowledged
    | AlarmRepeated
    | AlarmCleared
    | AccountTaken
    | TokenReplaced
    | EngineStarted
    | BooksReconciled
    | KillSwitchSet
    | ExitAllAsked
    | BrokerLockSent
    | BrokerLockAnswered
    | ExitAllEnded
    | AccountPeakReached
    | AccountRuleFired
    | DayRangeNoted
    | CommandAsked
    | CommandAnswered
    | CallsRefused
    | CallerSeen
)
Fact = TrackerFact | AccountFact

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def fact_kind(fact_type: type[object]) -> str:
    """Return the journal kind of a fact class: `OrderSent` -> `order_sent`."""
    return _snake_case(fact_type.__name__)


@cache
def _snake_case(name: str) -> str:
    return _WORD_START.sub("_", name).lower()


FACT_TYPES: dict[str, type[Fact]] = {
    fact_kind(fact_type): fact_type for fact_type in (*TrackerFact.__args__, *AccountFact.__args__)
}
"""Every fact class by its journal kind."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One journal row: gapless `seq` from 1, UTC nanoseconds, the fact, and a chained hash."""

    seq: int
    time_ns: int
    fact: Fact
    entry_hash: str

    @property
    def kind(self) -> str:
        """The fact's kind."""
        return fact_kind(type(self.fact))
