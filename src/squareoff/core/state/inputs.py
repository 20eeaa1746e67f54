"""What the outside tells a tracker: the closed list of inputs of `exit_protocol.decide`."""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId
from squareoff.domain.orders import OrderReport, TradeReport
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleSet, Trigger
from squareoff.domain.states import BlockReason


@dataclass(frozen=True, slots=True)
class PriceView:
    """A usable price for an exit, rupees; `source` names who gave it, `age_seconds` its age.

    `limits` are the circuit limits of the day, lower and upper, where they are known: those of the
    position's own instrument are of the day on which it came under watch.
    """

    last_traded_price: Decimal
    best_bid: Decimal | None
    best_ask: Decimal | None
    source: str
    age_seconds: float
    limits: tuple[Decimal | None, Decimal | None] | None = None


@dataclass(frozen=True, slots=True)
class ExitAsked:
    """A rule fired or a person asked. Validated before; `intent_id` is fresh.

    `reading` sizes the exit in the same decision; it is given only where it covers it all.
    """

    intent_id: IntentId
    reason: str
    trigger: Trigger
    reading: "PositionsRead | None" = None


@dataclass(frozen=True, slots=True)
class ExitHindered:
    """Orders cannot go out now: market closed, token dead, kill switch."""

    reason: BlockReason
    text: str
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class HindranceLifted:
    """What held exits up for one of these reasons is gone: whoever waits for it goes on now."""

    reasons: frozenset[BlockReason]


@dataclass(frozen=True, slots=True)
class ReadyToSend:
    """So many orders may go at once, at this price: rate budget and breaker have let them."""

    permits: int
    price: PriceView


@dataclass(frozen=True, slots=True)
class PositionsRead:
    """What a reading of the broker's positions shows on the tracker's key.

    `net_quantity` is signed, in units, 0 where the key has no row, and None where the reading
    failed (never the same as flat). `others_leaves` is what other live exits of ours on the same
    key may still close; `reconciled_age_seconds` is None where nothing was ever reconciled.
    """

    net_quantity: int | None
    others_leaves: int
    reconciled_age_seconds: float | None
    exited_quantity: int | None = None
    """What the tracker had closed when the reading was found to be newer than every fill; a fill
    that is booked before the decision makes the reading old. None: not compared."""
    others_open: int = 0
    """What other trackers on the key hold on the same side: theirs, until it is explained away."""
    opposed_open: int = 0
    """What trackers on the other side of the key hold: the net owes it to them."""
    closed_lately: int = 0
    """What exits of ours on the key closed so shortly before the reading that it may lack it."""
    others_taking_back: int = 0
    """What other trackers on the key take back, or took back so shortly before the reading that it
    may lack it: what stands beyond zero may be theirs."""
    only_ours_closed: bool = False
    """The trade book holds all our fills on the key and lately nobody else's: then the reading,
    where it shows less, shows our own fills. False: not known."""
    taken_ids: frozenset[ClientOrderId] = frozenset()
    """Ids of our shape that the broker has orders under and we do not know: no plan uses them."""
    ready: ReadyToSend | None = None
    """What of the plan may be sent in the same decision; None: each order asks for its permit."""


@dataclass(frozen=True, slots=True)
class PermitGranted:
    """Rate budget and breaker let this order go now; `price` is None where no source had one.

    `quiet_since_ns` is the monotonic instant since which nobody else was heard to close on the
    position's instrument, None where that is not known.
    """

    client_order_id: ClientOrderId
    price: PriceView | None
    quiet_since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SendAccepted:
    """The broker's order system took it; the id is None where the gateway gave none."""

    broker_order_id: BrokerOrderId | None


@dataclass(frozen=True, slots=True)
class SendRefused:
    """A parsable refusal."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class SendNotMade:
    """Proved: nothing left or nothing was taken in. `reason` says what stands in the way."""

    reason: BlockReason
    text: str


@dataclass(frozen=True, slots=True)
class SendLost:
    """May have taken effect."""

    text: str


SendAnswer = SendAccepted | SendRefused | SendNotMade | SendLost


@dataclass(frozen=True, slots=True)
class SendAnswered:
    """The answer to one numbered send of one order."""

    client_order_id: ClientOrderId
    send_number: int
    answer: SendAnswer


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """A broker record or update of an order that is ours."""

    client_order_id: ClientOrderId
    report: OrderReport


@dataclass(frozen=True, slots=True)
class SettleRead:
    """One round of asking for an unknown order is over; what was found came before as `OrderSeen`.

    `complete`: look-up, order book, trade book and positions were all read. `lacking`: none of them
    holds an order of ours that we did not know. `steady_net_quantity` is the broker's net position
    less all our known fills on the key.
    """

    client_order_id: ClientOrderId
    complete: bool
    lacking: bool
    steady_net_quantity: int | None


@dataclass(frozen=True, slots=True)
class BooksRead:
    """The trade book, of earlier days too where they count; None where it could not be read.

    `own_broker_order_ids` are all orders of ours on the account, so that other trackers' fills are
    not taken for somebody else's.
    """

    trades: tuple[TradeReport, ...] | None
    own_broker_order_ids: frozenset[BrokerOrderId]
    others: tuple[PositionTracker, ...] = ()
    """Other trackers of the key, ended ones too: what they booked as their close is used up."""


@dataclass(frozen=True, slots=True)
class RepriceReady:
    """A modify may go now, with this price."""

    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    price: PriceView | None


@dataclass(frozen=True, slots=True)
class ExitOversized:
    """For long now the broker shows less on the key than exits that rest would close."""

    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class ModifyRefused:
    """The broker refused to modify an order, which stays as it was."""

    client_order_id: ClientOrderId
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class RulesSet:
    """The owner set other rules."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class PeakReached:
    """A better price was seen; the levels follow from the rules (price units).

    `stop_level` and `stop_rule` are where the stop stood by then: by the rules of that moment.
    """

    peak_price: PriceUnits
    stop_level: PriceUnits | None = None
    stop_rule: str = ""


@dataclass(frozen=True, slots=True)
class BestPriceSeen:
    """The best price seen is to be kept, whether it moves a stop or not (price units)."""

    peak_price: PriceUnits


@dataclass(frozen=True, slots=True)
class ClosedByOthers:
    """Others surely closed this much of the position, at this average price in rupees."""

    quantity: int
    price: Decimal
    last_trade_ns: int | None


@dataclass(frozen=True, slots=True)
class WithdrawAsked:
    """A person takes the live exit back. Refused beforehand by `withdrawal_refusal`."""

    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class UntrackAsked:
    """A person lets the position go without an order. Refused beforehand by `untrack_refusal`."""

    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class OverExitResolveAsked:
    """A person has dealt with an over-exit. Refused beforehand by `over_exit_refusal`."""

    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class EntryCancelAsked:
    """Nothing more of the position's entry is wanted; what has filled stays held."""

    reason: str


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that a decision asked to be woken at has come."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """This process has just loaded the tracker: whatever was in flight before is unknown."""


Input = (
    ExitAsked
    | ExitHindered
    | HindranceLifted
    | PositionsRead
    | PermitGranted
    | SendAnswered
    | OrderSeen
    | SettleRead
    | BooksRead
    | RepriceReady
    | ExitOversized
    | ModifyRefused
    | RulesSet
    | PeakReached
    | BestPriceSeen
    | ClosedByOthers
    | WithdrawAsked
    | UntrackAsked
    | OverExitResolveAsked
    | EntryCancelAsked
    | Woke
    | Recovered
)

READINGS = (PositionsRead, BooksRead, SettleRead, PermitGranted, RepriceReady)
"""What tells how things stood at the broker when it was read: decided at once or not at all."""
