"""What an exit would send if it were asked for now: the core's own decision, taken and dropped.

Answers for: a confirmation that shows exactly what will leave. Nothing is claimed, committed or
sent, no permit is taken; the prices of the moment of sending may differ, and a person is told so.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from squareoff.core.exits.exit_protocol import decide
from squareoff.core.state.facts import ExitSized, OrderPlanned, OrderSent
from squareoff.core.state.inputs import ExitAsked, ExitHindered, PositionsRead, ReadyToSend
from squareoff.core.state.policy import READING_LAG_SECONDS, SLICES_MAX, ExitPolicy
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import ClientOrderId, IntentId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import OrderType, Side
from squareoff.domain.rules import RuleName, Trigger, Urgency
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.desk.views import TrackerView, tracker_view
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.position_book import PositionActor
from squareoff.services.positions.sizing_readings import SizingReading, SizingReadings

_URGENCY = Urgency.of_rule(RuleName.MANUAL)
_NOBODY = IntentId("exit-preview")
"""The intent of a decision that is dropped."""


@dataclass(frozen=True, slots=True)
class PreviewOrder:
    """One order that would be sent. `limit_price` is None for MARKET, and where no fresh price is
    at hand and the order is priced when it leaves."""

    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    price_source: str | None


@dataclass(frozen=True, slots=True)
class ExitPreview:
    """What the exit of one position would send: no orders where `why` says what stands before."""

    tracker: TrackerView
    broker_net_quantity: int | None
    orders: tuple[PreviewOrder, ...]
    why: str


class SendingParts(Protocol):
    """What sizes exits and lets orders out."""

    @property
    def readings(self) -> SizingReadings:
        """What an exit is sized on."""
        ...

    @property
    def terms(self) -> SendTerms:
        """What holds an order up, and what it is priced on."""
        ...


class ExitPreviews:
    """Takes the decision of an exit without consequences."""

    def __init__(
        self,
        reads: BrokerReads,
        sending: SendingParts,
        clock: Clock,
        policy: ExitPolicy,
    ) -> None:
        self._reads = reads
        self._readings = sending.readings
        self._terms = sending.terms
        self._clock = clock
        self._policy = policy

    async def of(self, actors: list[PositionActor]) -> tuple[ExitPreview, ...]:
        """Return the preview of each position, on one reading of the positions if that will do."""
        began_ns = self._clock.now().monotonic_ns
        since_ns = began_ns - seconds_to_ns(READING_LAG_SECONDS)
        first = SizingReading(
            await self._reads.positions(), since_ns, began_ns, only_ours_closed=False
        )
        by_key: dict[PositionKey, SizingReading] = {}
        previews = []
        for actor in actors:
            key = actor.tracker.key
            if key not in by_key:
                by_key[key] = await self._reading(actor, first)
            previews.append(self._of(actor, by_key[key]))
        return tuple(previews)

    async def _reading(self, actor: PositionActor, first: SizingReading) -> SizingReading:
        """Return the reading that an exit would be sized on: where exits of ours closed on the key
        so lately that the first one may lack them, one that the trade book stands beside."""
        is_sized = _is_sized(actor.tracker)
        if is_sized and self._readings.input_of(actor.tracker, first).closed_lately > 0:
            return await self._readings.read(actor.tracker)
        return first

    def _of(self, actor: PositionActor, reading: SizingReading) -> ExitPreview:
        tracker = actor.tracker
        price = self._terms.price_at_hand(tracker)
        found = ExitPreview(tracker_view(tracker, None), None, (), "")
        if actor.is_halted:
            return replace(found, why="a defect halted it: nothing is sent for it any more")
        if not _is_sized(tracker):
            return replace(found, why=_why_not_sized(tracker))
        hindrance = self._terms.hindrance(tracker, _URGENCY)
        event = self._readings.input_of(tracker, reading)
        if price is not None:
            event = replace(event, ready=ReadyToSend(SLICES_MAX, price))
        asked = ExitAsked(_NOBODY, "preview", Trigger(RuleName.MANUAL), event)
        decision = decide(tracker, actor.pacing, asked, self._clock.now(), self._policy)
        if _is_given_up(tracker):  # asked for again it only goes on: it is sized right after
            now = self._clock.now()
            decision = decide(decision.tracker, decision.pacing, event, now, self._policy)
        orders = _orders_of(decision.facts)
        return replace(
            found,
            broker_net_quantity=_net_of(decision.facts),
            orders=orders,
            why=_why(hindrance, event, orders),
        )


def _is_sized(tracker: PositionTracker) -> bool:
    return tracker.status is PositionStatus.ACTIVE or _is_given_up(tracker)


def _is_given_up(tracker: PositionTracker) -> bool:
    return tracker.status is PositionStatus.EXITING and tracker.is_given_up


def _why_not_sized(tracker: PositionTracker) -> str:
    if tracker.is_frozen:
        return "more was closed than was held: nothing is sent until a person has dealt with it"
    if tracker.is_withdrawing:
        return "its exit is being taken back: asked for again, it goes on"
    return _WHY_NOT_ACTIVE[tracker.status]


_WHY_NOT_ACTIVE = {
    PositionStatus.PENDING: "its entry has not filled: nothing is held",
    PositionStatus.EXITING: "an exit is under way already: nothing more is sent",
    PositionStatus.EXITED: "it is closed already",
    PositionStatus.CANCELLED: "its entry never filled: nothing is held",
    PositionStatus.UNTRACKED: "it is not under watch any more",
}


def _why(
    hindrance: ExitHindered | None, event: PositionsRead, orders: tuple[PreviewOrder, ...]
) -> str:
    """Return what keeps the orders from leaving at once, "" for nothing."""
    if hindrance is not None:
        return f"waits, and goes out by itself later: {hindrance.text}"
    if event.net_quantity is None:
        return "the broker's positions cannot be read now; they are read again before anything goes"
    if not orders:
        return (
            "the broker does not show it free to be closed; it is read again before anything goes"
        )
    return ""


def _net_of(facts: tuple[object, ...]) -> int | None:
    sized = [fact for fact in facts if isinstance(fact, ExitSized)]
    return sized[0].broker_net_quantity if sized else None


def _orders_of(facts: tuple[object, ...]) -> tuple[PreviewOrder, ...]:
    """Return the orders that a decision plans, with the price of those that it sends."""
    orders: dict[ClientOrderId, PreviewOrder] = {}
    for fact in facts:
        if isinstance(fact, OrderPlanned):
            orders[fact.client_order_id] = PreviewOrder(
                fact.side, fact.order_quantity, fact.order_type, fact.limit_price, None
            )
        elif isinstance(fact, OrderSent) and fact.client_order_id in orders:
            orders[fact.client_order_id] = replace(
                orders[fact.client_order_id],
                order_type=fact.order_type,
                limit_price=fact.limit_price,
                price_source=fact.price_source,
            )
    return tuple(orders.values())
