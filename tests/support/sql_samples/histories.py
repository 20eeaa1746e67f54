"""Random legal histories of one tracker, as the changes that an engine would commit.

Facts are drawn at random and kept where `core.state.evolve` takes them, so that a history goes
through states a well-behaved engine would never reach. The same seed gives the same history.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random

from squareoff.core.state import facts as f
from squareoff.core.state.change import Change
from squareoff.core.state.evolve import evolve
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import DomainError, InvariantBroken
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
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
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleName,
    RuleSet,
    Tier,
    TrailingRule,
    Trigger,
)
from squareoff.domain.states import BlockReason

ACCOUNT = AccountId("1100000001")
START_NS = 1_789_446_600_000_000_000
NIFTY_OPTION = Instrument(
    InstrumentId(ExchangeSegment.NSE_FNO, "45123"),
    "NIFTY-Sep2026-25000-CE",
    lot_size=75,
    tick_size=Decimal("0.05"),
    freeze_quantity=1800,
    lower_circuit=Decimal("0.05"),
    upper_circuit=Decimal("1250.50"),
    instrument_type="OPTIDX",
)
_TRIES_PER_FACT = 40


def opened(tracker_id: str = "trk-1", *, awaits_entry: bool = False) -> f.TrackerOpened:
    """Return the fact that opens a long position of 150 units."""
    return f.TrackerOpened(
        TrackerId(tracker_id),
        ACCOUNT,
        NIFTY_OPTION,
        ProductType.INTRADAY,
        PositionSide.LONG,
        quantity=0 if awaits_entry else 150,
        entry_price=Decimal("152.350"),
        rules=RuleSet(stop_loss=PriceRule(price=Decimal("140.00"))),
        awaits_entry=awaits_entry,
    )


def claimed(tracker_id: str = "trk-1", intent_id: str = "int-1") -> f.ExitClaimed:
    """Return the fact that claims the exit of a tracker."""
    trigger = Trigger(
        RuleName.STOP_LOSS, PriceUnits(1_400_000), PriceUnits(1_399_500), START_NS, START_NS + 7
    )
    return f.ExitClaimed(TrackerId(tracker_id), IntentId(intent_id), "stop_loss 140.00", trigger)


def change_of(
    before: PositionTracker | None, *facts: f.TrackerFact, at_ns: int = START_NS
) -> Change:
    """Return the change that these facts make of a tracker; there is at least one fact."""
    after = before
    for fact in facts:
        after = evolve(after, fact, at_ns)
    assert after is not None
    return Change(before, after, facts)


def legal_history(seed: int, tracker_id: str, changes: int) -> Iterator[tuple[int, Change]]:
    """Yield (time, change) pairs of one tracker, one to three facts each."""
    chance = Random(seed)
    drawer = _FactDrawer(chance, TrackerId(tracker_id))
    first = opened(tracker_id, awaits_entry=chance.random() < 0.4)
    change = change_of(None, first)
    yield START_NS, change
    for number in range(1, changes):
        at_ns = START_NS + number * 1_000_003
        facts, tracker = [], change.after
        for _ in range(chance.randint(1, 3)):
            fact, tracker = drawer.draw_legal(tracker, at_ns)
            facts.append(fact)
        change = Change(change.after, tracker, tuple(facts))
        yield at_ns, change


class _FactDrawer:
    """Draws one fact at a time that fits the tracker."""

    def __init__(self, chance: Random, tracker_id: TrackerId) -> None:
        self._chance = chance
        self._id = tracker_id
        self._count = 0

    def draw_legal(
        self, tracker: PositionTracker, at_ns: int
    ) -> tuple[f.TrackerFact, PositionTracker]:
        """Return a fact that evolve takes, and the tracker after it."""
        for _ in range(_TRIES_PER_FACT):
            fact = self._chance.choice(self._kinds())(tracker)
            if fact is None:
                continue
            try:
                return fact, evolve(tracker, fact, at_ns)
            except (DomainError, InvariantBroken):
                continue
        fact = f.RulesChanged(self._id, self._rules())
        return fact, evolve(tracker, fact, at_ns)

    def _kinds(self) -> list[Callable[[PositionTracker], f.TrackerFact | None]]:
        # Orders and reports are drawn more often than the rest: most of the state is in them.
        return [
            self._of_position,
            self._of_intent,
            self._plan,
            *[self._of_order] * 3,
            *[self._of_broker_order] * 3,
        ]

    def _of_position(self, _tracker: PositionTracker) -> f.TrackerFact:
        chance, units = self._chance, PriceUnits(self._chance.randint(1, 10**8))
        facts: list[f.TrackerFact] = [
            f.RulesChanged(self._id, self._rules()),
            f.StopMoved(self._id, units, chance.choice([None, units]), "trailing"),
            f.BestPriceNoted(self._id, units),
            f.ClosedExternally(self._id, chance.randint(1, 75), self._price()),
            f.PositionExited(self._id, self._price(), -self._price(), "stop_loss"),
            f.PositionCancelled(self._id, "entry rejected: ünïcode"),
            f.OverExitDetected(self._id, chance.randint(1, 75)),
        ]
        return chance.choice(facts)

    def _of_intent(self, _tracker: PositionTracker) -> f.TrackerFact:
        chance, count = self._chance, self._next()
        facts: list[f.TrackerFact] = [
            claimed(self._id, f"{self._id}-int-{count}"),
            claimed(self._id, f"{self._id}-int-{count}"),
            f.ExitSized(self._id, count, 75, chance.choice([None, 75, -75]), 0),
            f.ExitBlocked(self._id, chance.choice(list(BlockReason)), "wait", count, 0.4),
            f.ExitResumed(self._id),
            f.ExitAttemptFailed(self._id, ClientOrderId("c"), "short", count, 1.6),
            f.ExitWithdrawn(self._id, "operator"),
            f.ExitEscalated(self._id, "attempts used up"),
        ]
        return chance.choice(facts)

    def _plan(self, _tracker: PositionTracker) -> f.TrackerFact:
        client_order_id = ClientOrderId(f"{self._id}-{self._next()}")
        if self._chance.random() < 0.2:
            broker_order_id = BrokerOrderId(f"9{self._next()}")
            return f.EntryWatched(self._id, client_order_id, broker_order_id, Side.BUY, 75)
        return f.OrderPlanned(
            self._id,
            client_order_id,
            self._chance.choice([OrderRole.EXIT, OrderRole.EXIT, OrderRole.ENTRY]),
            self._chance.choice(list(OrderOrigin)),
            attempt=self._next(),
            slice_number=1,
            side=self._chance.choice(list(Side)),
            order_quantity=75,
            order_type=self._chance.choice(list(OrderType)),
            limit_price=self._chance.choice([None, self._price()]),
        )

    def _of_order(self, tracker: PositionTracker) -> f.TrackerFact | None:
        if not tracker.orders:
            return None
        chance, order = self._chance, self._chance.choice(tracker.orders)
        key, send = (self._id, order.client_order_id), max(1, len(order.sends))
        broker_order_id = BrokerOrderId(f"8{self._next()}")
        facts: list[f.TrackerFact] = [
            f.OrderSent(*key, len(order.sends) + 1, OrderType.LIMIT, self._price(), "memory"),
            f.OrderSent(*key, len(order.sends) + 1, OrderType.MARKET, None, "redis"),
            f.OrderAccepted(*key, send, broker_order_id),
            f.OrderAccepted(*key, send, None),
            f.OrderRefused(*key, send, "DH-906", "no funds"),
            f.OrderNotSent(*key, send, "connect refused"),
            f.OrderOutcomeLost(*key, send, "timeout"),
            f.OrderSettled(*key, 3, 10.5),
            f.OrderReplanned(*key),
            f.OrderDropped(*key, "claim withdrawn"),
        ]
        return chance.choice(facts)

    def _of_broker_order(self, tracker: PositionTracker) -> f.TrackerFact | None:
        orders = [order for order in tracker.orders if order.broker_orders]
        if not orders:
            return None
        chance, order = self._chance, self._chance.choice(orders)
        record = chance.choice(order.broker_orders)
        key = (self._id, order.client_order_id)
        named = chance.choice([record.broker_order_id, BrokerOrderId(f"7{self._next()}")])
        quantity, price = chance.randint(0, 75), self._price()
        facts: list[f.TrackerFact] = [
            f.OrderReported(
                *key,
                named,
                chance.choice(list(BrokerOrderStatus)),
                quantity,
                chance.choice([None, price]),
                chance.choice(["", "RMS: margin"]),
                chance.choice(list(ReportSource)),
            ),
            f.FillsConfirmed(*key, record.broker_order_id, quantity, price),
            f.OrderModifySent(*key, named, quantity, OrderType.LIMIT, price),
            f.OrderCancelSent(*key, named),
        ]
        return chance.choice(facts)

    def _rules(self) -> RuleSet:
        return RuleSet(
            target=PriceRule(percent=self._price()),
            trailing=TrailingRule(points=self._price(), step=Decimal("0.50")),
            break_even=BreakEvenRule(at_profit_points=self._price()),
            tiers=(Tier(self._price(), self._price()),),
            peak_drawdown=PeakDrawdownRule(Decimal(40)),
            max_holding_minutes=self._chance.choice([None, 90]),
        )

    def _price(self) -> Decimal:
        """Also prices whose text a float would not give back: `12.50`, 20 digits, `1E+3`."""
        return self._chance.choice(
            [
                Decimal(self._chance.randint(1, 10**7)).scaleb(-2),
                Decimal(self._chance.randint(1, 10**20)).scaleb(-14),
                Decimal("12.50"),
                Decimal("1E+3"),
            ]
        )

    def _next(self) -> int:
        self._count += 1
        return self._count
