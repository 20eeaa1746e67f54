"""The chart of one position: its prices, entry, stop path, trigger and fills.

The path of the levels and the fills come from the journal, folded by the engine's own fold, so a
chart shows them also for times before the engine was last started; prices are of this run only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import ExitClaimed, JournalEntry, TrackerFact
from squareoff.core.state.tracker import BrokerOrder, PositionTracker
from squareoff.domain.orders import OrderRole, Side
from squareoff.domain.prices import decimal_from_units, round_average_half_even
from squareoff.services.desk.live_look import LevelsView, levels_view
from squareoff.services.prices.price_history import PriceSpan

LEVELS_MAX = 720
"""More steps than a chart has pixels for; a stop that trails for weeks has made thousands."""


@dataclass(frozen=True, slots=True)
class LevelsAt:
    """The levels as they stood from an instant on."""

    time_ns: int
    levels: LevelsView


@dataclass(frozen=True, slots=True)
class TriggerAt:
    """What fired, and when it was claimed; None for rules that are not about a price."""

    time_ns: int
    rule: str
    level: Decimal | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class FillAt:
    """What one fact told of new fills: their quantity and average price, None where not told."""

    time_ns: int
    role: OrderRole
    side: Side
    quantity: int
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Chart:
    """All that a chart of one position shows, each list oldest first."""

    tracker_id: str
    opened_at_ns: int
    entry_price: Decimal
    span_seconds: int
    spans: tuple[PriceSpan, ...]
    levels: tuple[LevelsAt, ...]
    triggers: tuple[TriggerAt, ...]
    fills: tuple[FillAt, ...]


class ChartFold:
    """What the entries about one tracker add to its chart, taken in one after the other."""

    def __init__(self) -> None:
        self.seq = 0
        """The newest entry that was taken in."""
        self._levels: list[LevelsAt] = []
        self._triggers: list[TriggerAt] = []
        self._fills: list[FillAt] = []
        self._before: PositionTracker | None = None

    def take(self, entry: JournalEntry) -> None:
        """Take the next entry in."""
        self.seq = entry.seq
        if not isinstance(entry.fact, TrackerFact):
            return
        after = evolve(self._before, entry.fact, entry.time_ns)
        view = levels_view(after)
        if not self._levels or self._levels[-1].levels != view:
            self._levels.append(LevelsAt(entry.time_ns, view))
        if isinstance(entry.fact, ExitClaimed):
            self._triggers.append(_trigger_at(entry.time_ns, entry.fact))
        self._fills.extend(_new_fills(self._before, after, entry.time_ns))
        self._before = after

    def chart(
        self, tracker: PositionTracker, span_seconds: int, spans: tuple[PriceSpan, ...]
    ) -> Chart:
        """Return the chart of the tracker as of the newest entry."""
        return Chart(
            tracker_id=tracker.tracker_id,
            opened_at_ns=tracker.created_at_ns,
            entry_price=tracker.entry_price,
            span_seconds=span_seconds,
            spans=spans,
            levels=_thinned(self._levels),
            triggers=tuple(self._triggers),
            fills=tuple(self._fills),
        )


def _thinned(levels: list[LevelsAt]) -> tuple[LevelsAt, ...]:
    """Return at most some hundred of many steps, the first and the newest among them."""
    stride = -(-len(levels) // LEVELS_MAX)
    return tuple(levels) if stride <= 1 else (*levels[:-1:stride], levels[-1])


def _trigger_at(time_ns: int, fact: ExitClaimed) -> TriggerAt:
    level, price = fact.trigger.level, fact.trigger.price
    return TriggerAt(
        time_ns,
        fact.trigger.rule.value,
        None if level is None else decimal_from_units(level),
        None if price is None else decimal_from_units(price),
    )


def _new_fills(
    before: PositionTracker | None, after: PositionTracker, time_ns: int
) -> Iterable[FillAt]:
    """Yield what filled of each order between two states of a tracker."""
    known = {} if before is None else {order.client_order_id: order for order in before.orders}
    if before is None or after.orders is before.orders:
        return
    for order in after.orders:
        earlier = known.get(order.client_order_id)
        had = {} if earlier is None else {b.broker_order_id: b for b in earlier.broker_orders}
        for record in order.broker_orders:
            old = had.get(record.broker_order_id)
            old_quantity = 0 if old is None else old.cumulative_quantity
            quantity = record.cumulative_quantity - old_quantity
            if quantity <= 0:
                continue
            yield FillAt(time_ns, order.role, order.side, quantity, _price_of_new(old, record))


def _price_of_new(old: BrokerOrder | None, new: BrokerOrder) -> Decimal | None:
    """Return the average price of what is new, None where the averages do not tell it."""
    if old is None or old.cumulative_quantity == 0 or new.average_price is None:
        return new.average_price
    if old.average_price is None:
        return None
    notional = new.cumulative_quantity * new.average_price
    notional -= old.cumulative_quantity * old.average_price
    quantity = new.cumulative_quantity - old.cumulative_quantity
    return round_average_half_even(notional, quantity)
