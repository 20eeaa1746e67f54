"""Who closed what the broker no longer shows, and whose share it was.

A person, another program or the broker's own square-off closes units of a position without us.
Where several trackers hold one position of the broker, nobody can say whose units went, so a rule
decides: the tracker that was opened first loses first, as the broker itself nets; what an exit is
about to close goes last. A trade closed nothing of a tracker that was opened after it.

Invariants:
1. Nothing is booked that foreign trades do not explain in full; each trade counts once, and for a
   tracker that was held when it was made.
2. All that is booked is what is missing, and no tracker loses more than it holds.
3. What the broker shows of an intraday key was opened today: of a tracker of an earlier day all is
   missing, whatever it shows.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from squareoff.core.session.clock_skew import OFFSET_SECONDS_MAX
from squareoff.core.state.facts import ClosedExternally, Severity
from squareoff.core.state.inputs import ClosedByOthers
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import Side, TradeReport
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, ist_midnight_ns, seconds_to_ns

BROKER_SQUARE_OFF_FROM = (15, 15)
"""IST hour and minute from which the broker closes INTRADAY positions by itself (about 15:20)."""

_HOLDING = (PositionStatus.ACTIVE, PositionStatus.EXITING)


class Piece(NamedTuple):
    """Some units of one trade."""

    quantity: int
    trade: TradeReport


@dataclass(frozen=True, slots=True)
class ForeignClose:
    """What one tracker lost to others; `price` is rupees, `last_trade_ns` UTC, None if untold."""

    tracker_id: TrackerId
    quantity: int
    price: Decimal
    last_trade_ns: int | None


def holders_of(trackers: Sequence[PositionTracker]) -> tuple[PositionTracker, ...]:
    """Return those that hold something, oldest first; none where they stand on both sides."""
    holders = [t for t in trackers if t.status in _HOLDING and t.open_quantity > 0]
    if len({tracker.side for tracker in holders}) != 1:
        return ()
    return tuple(sorted(holders, key=lambda tracker: tracker.created_at_ns))


def missing_quantity(trackers: Sequence[PositionTracker], net: int) -> int:
    """Return how much less the broker's signed net of a key shows than its trackers hold."""
    holders = holders_of(trackers)
    if not holders:
        return 0
    there = max(0, holders[0].side.sign * net)
    return max(0, sum(tracker.open_quantity for tracker in holders) - there)


def of_ended_days(trackers: Iterable[PositionTracker], now: Now) -> tuple[PositionTracker, ...]:
    """Return the intraday trackers that were opened on an earlier day (IST)."""
    midnight_ns = ist_midnight_ns(now.wall_ns)
    return tuple(tracker for tracker in trackers if tracker.is_of_an_ended_day(midnight_ns))


def share_out(
    trackers: Sequence[PositionTracker],
    net: int,
    trades: Iterable[TradeReport],
    own: frozenset[BrokerOrderId],
) -> tuple[ForeignClose, ...]:
    """Return what each tracker of one key lost; nothing where foreign trades do not explain it.

    Args:
        trackers: all trackers of the key, ended ones too: trades they were closed by are used up.
        trades: of every day since the oldest holder was opened, as far as they could be read.
        own: every order of ours; their trades are no strangers'.
    """
    missing = missing_quantity(trackers, net)
    if missing == 0:
        return ()
    trades = tuple(trades)
    first_ns = _first_times(trades)
    dated = [(_opened_ns(tracker, first_ns), tracker) for tracker in holders_of(trackers)]
    dated.sort(key=lambda each: each[0])
    pieces = unbooked_pieces(dated[0][1], trackers, trades, own)
    lost = _lost_by(dated, missing, pieces)
    if sum(lost) < missing:
        return ()
    return tuple(_shares(dated, lost, pieces))


def has_unnamed_order(trackers: Iterable[PositionTracker], side: Side) -> bool:
    """Say whether an order of ours may be at the broker under an id that we do not know: its
    trades look like a stranger's until its outcome is settled."""
    return any(
        order.side is side and (order.has_unresolved_send or order.has_unseen_send)
        for tracker in trackers
        for order in tracker.orders
    )


def unbooked_pieces(
    holder: PositionTracker,
    trackers: Iterable[PositionTracker],
    trades: Iterable[TradeReport],
    own: frozenset[BrokerOrderId],
) -> list[Piece]:
    """Return what strangers closed on the key since the holder was opened and none of `trackers`
    has booked, oldest first. What is booked was traded first, be it before the holder was opened.
    """
    trades = distinct(trades)
    booked = [tracker for tracker in trackers if _has_booked_beside(holder, tracker)]
    used = sum(tracker.externally_closed_quantity for tracker in booked)
    first_ns = _first_times(trades)
    since_ns = min(_opened_ns(tracker, first_ns) for tracker in (holder, *booked))
    opened_ns = _opened_ns(holder, first_ns)
    return [
        piece
        for piece in _without_first(_foreign_trades(holder, since_ns, trades, own), used)
        if (piece.trade.exchange_time_ns or opened_ns) >= opened_ns
    ]


def _has_booked_beside(holder: PositionTracker, tracker: PositionTracker) -> bool:
    """Say whether it booked a close, and held the key together with the holder."""
    ended_ns = tracker.exited_at_ns or holder.created_at_ns
    is_beside = tracker.side is holder.side and ended_ns >= holder.created_at_ns
    return is_beside and tracker.externally_closed_quantity > 0


def _foreign_trades(
    tracker: PositionTracker,
    since_ns: int,
    trades: Iterable[TradeReport],
    own: frozenset[BrokerOrderId],
) -> Iterator[TradeReport]:
    for trade in trades:
        if (
            trade.instrument_id == tracker.instrument.instrument_id
            and trade.product_type is tracker.product_type
            and trade.side is tracker.side.exit_order_side
            and trade.broker_order_id not in own
            and (trade.exchange_time_ns or since_ns) >= since_ns
        ):
            yield trade


def _opened_ns(tracker: PositionTracker, first_ns: Mapping[BrokerOrderId, int]) -> int:
    """Return the earliest time that the broker may give a trade made after an opening.

    Where a trade of our entry is known (`first_ns`: the first of each order), that is told by the
    broker's own clock. Else the opening is our clock's, and the trades' times have a grain of one
    second: as much as our clock may be ahead without an alarm is allowed for, or a close by hand
    right after it would explain nothing for ever.
    """
    entries = (
        each.broker_order_id for order in tracker.entry_orders for each in order.broker_orders
    )
    told = [first_ns[name] for name in entries if name in first_ns]
    if told:
        return min(told)
    earliest = tracker.created_at_ns - seconds_to_ns(OFFSET_SECONDS_MAX)
    return earliest - earliest % NANOSECONDS_PER_SECOND


def _first_times(trades: Iterable[TradeReport]) -> dict[BrokerOrderId, int]:
    first: dict[BrokerOrderId, int] = {}
    for trade in trades:
        if (time_ns := trade.exchange_time_ns) is not None:
            first[trade.broker_order_id] = min(time_ns, first.get(trade.broker_order_id, time_ns))
    return first


def distinct(trades: Iterable[TradeReport]) -> tuple[TradeReport, ...]:
    """Drop repeated rows; rows without a trade id cannot be told apart and all count."""
    rows: dict[object, TradeReport] = {}
    for place, trade in enumerate(trades):
        name = (trade.broker_order_id, trade.exec_id) if trade.exec_id else place
        rows.setdefault(name, trade)
    return tuple(rows.values())


def _without_first(trades: Iterable[TradeReport], used: int) -> list[Piece]:
    """Return the trades as pieces, less the units that are booked already, oldest first."""
    pieces = []
    for trade in sorted(trades, key=lambda each: each.exchange_time_ns or 0):
        left = max(0, trade.quantity - used)
        used = max(0, used - trade.quantity)
        if left:
            pieces.append(Piece(left, trade))
    return pieces


class _Explained:
    """How many units the pieces can still explain, by when what was closed was opened.

    What was opened early may have been closed by any later piece, so what counts is the least that
    is left since any time before an opening.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        rows = sorted((_made_ns(piece), piece.quantity) for piece in pieces)
        self._times = [made_ns for made_ns, _ in rows]
        self._left_since = list(accumulate(quantity for _, quantity in reversed(rows)))[::-1]

    def take(self, opened_ns: int, wanted: int) -> int:
        """Give up to so many units to a tracker opened then; return how many."""
        places = range(bisect_left(self._times, opened_ns) + 1)
        if len(places) > len(self._times):
            return 0
        quantity = min(wanted, *(self._left_since[place] for place in places))
        for place in places:
            self._left_since[place] -= quantity
        return quantity


def _lost_by(
    dated: Sequence[tuple[int, PositionTracker]], missing: int, pieces: Iterable[Piece]
) -> list[int]:
    """Return who loses how much, as far as the pieces explain it: what no exit is about to close
    goes first, for an exit at rest may fill before it can be cancelled."""
    explained = _Explained(pieces)
    lost = [0] * len(dated)
    for keeps_exits in (True, False):
        for place, (opened_ns, tracker) in enumerate(dated):
            kept = tracker.exit_leaves_quantity if keeps_exits else 0
            free = max(0, tracker.open_quantity - kept - lost[place])
            taken = explained.take(opened_ns, min(missing, free))
            lost[place] += taken
            missing -= taken
    return lost


def _shares(
    dated: Sequence[tuple[int, PositionTracker]], lost: Sequence[int], pieces: list[Piece]
) -> Iterator[ForeignClose]:
    for (opened_ns, tracker), quantity in zip(dated, lost, strict=True):
        if quantity:
            taken = take_pieces(pieces, quantity, opened_ns)
            last_ns = last_trade_ns(taken)
            yield ForeignClose(tracker.tracker_id, quantity, average_price(taken), last_ns)


def _made_ns(piece: Piece) -> float:
    """Return when it was traded; what tells no time may have been traded at any."""
    time_ns = piece.trade.exchange_time_ns
    return math.inf if time_ns is None else time_ns


def units_of(pieces: Iterable[Piece]) -> int:
    """Return how many units the pieces are."""
    return sum(piece.quantity for piece in pieces)


def take_pieces(pieces: list[Piece], quantity: int, opened_ns: int = 0) -> list[Piece]:
    """Take units off the pieces, oldest first, of those made since then, which hold as many."""
    taken: list[Piece] = []
    left: list[Piece] = []
    for piece in pieces:
        used = min(piece.quantity, quantity) if _made_ns(piece) >= opened_ns else 0
        quantity -= used
        if used:
            taken.append(Piece(used, piece.trade))
        if piece.quantity > used:
            left.append(Piece(piece.quantity - used, piece.trade))
    pieces[:] = left
    return taken


def average_price(pieces: Collection[Piece]) -> Decimal:
    """Return the quantity-weighted price of some pieces, rupees."""
    notional = sum((units * trade.price for units, trade in pieces), Decimal(0))
    return round_average_half_even(notional, units_of(pieces))


def last_trade_ns(pieces: Iterable[Piece]) -> int | None:
    """Return when the last of some pieces was traded (UTC), None where none tells."""
    return last_made_ns(trade for _, trade in pieces)


def last_made_ns(trades: Iterable[TradeReport]) -> int | None:
    """Return when the last of some trades was made (UTC), None where none tells."""
    times = (trade.exchange_time_ns for trade in trades)
    return max((time_ns for time_ns in times if time_ns is not None), default=None)


def on_closed_by_others(step: Step, event: ClosedByOthers) -> None:
    """Book what others closed of this position, unless it moved in the meantime.

    Exits that rest may fill what is gone: `advance` cancels them once it is booked. Of one that we
    do not know the end of, a fill may be what the broker's positions show.
    """
    tracker = step.tracker
    unsettled = sum(each.leaves_quantity for each in tracker.exit_orders if not each.is_resting)
    free = tracker.open_quantity - unsettled
    if tracker.status not in _HOLDING or not 0 < event.quantity <= free:
        return
    quantity, price, last_ns = event.quantity, event.price, event.last_trade_ns
    step.record(ClosedExternally(tracker.tracker_id, quantity, price, last_ns))
    who = "the broker's own square-off, by its time" if _is_broker(step, event) else "somebody else"
    step.alarm(
        Severity.WARNING,
        "closed_externally",
        f"{event.quantity} units of {tracker.instrument.trading_symbol} ({tracker.tracker_id}) "
        f"were closed at {event.price} by {who}; {step.tracker.open_quantity} are still held.",
    )


def _is_broker(step: Step, event: ClosedByOthers) -> bool:
    if step.tracker.product_type is not ProductType.INTRADAY or event.last_trade_ns is None:
        return False
    time = Now(event.last_trade_ns, 0).ist()
    return (time.hour, time.minute) >= BROKER_SQUARE_OFF_FROM
