"""What remains of the wish to close everything, told so that a person can deal with it.

Never says that nothing remains unless the broker's positions could be read and agree, and never
sends anybody to close what the broker does not hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import BrokerPosition, PositionSide
from squareoff.domain.results import ExitResult
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock, ExitAllState
from squareoff.services.exits.exit_all import ExitAll
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.position_book import PositionActor, PositionBook

READ_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RemainingPosition:
    """A position under watch that is not closed: `why` says what it waits for, in words."""

    tracker_id: str
    trading_symbol: str
    side: PositionSide
    status: PositionStatus
    open_quantity: int
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class UnknownPosition:
    """What the broker holds beyond our trackers; `how` says what can be done about it."""

    exchange_segment: str
    security_id: str
    product_type: str
    trading_symbol: str
    net_quantity: int
    how: str


@dataclass(frozen=True, slots=True)
class ExitAllReport:
    """The wish and what became of it; `unknown` is None where the broker could not be read."""

    state: ExitAllState | None
    results: tuple[ExitResult, ...]
    remaining: tuple[RemainingPosition, ...]
    unknown: tuple[UnknownPosition, ...] | None

    @property
    def nothing_remains(self) -> bool:
        """Say whether the account is flat as far as we and the broker know."""
        return not self.remaining and self.unknown == ()


async def report_of(
    exit_all: ExitAll, book: PositionBook, reads: BrokerReads, clock: Clock
) -> ExitAllReport:
    """Return the report as of now; reads the broker's positions.

    Where all of ours is closed, and units that the broker shows beyond that may still be a reading
    that lags behind our own fills, it reads again until that is no excuse any more.
    """
    patient_until_ns = clock.now().monotonic_ns + seconds_to_ns(
        READING_LAG_SECONDS + READ_AGAIN_SECONDS
    )
    while True:
        reading = await reads.positions()
        now_ns = clock.now().monotonic_ns
        remaining = tuple(_remaining(actor) for actor in book if _remains(actor.tracker))
        if reading is None:
            return ExitAllReport(exit_all.state, exit_all.results(), remaining, None)
        found = unknown_positions(reading.rows, book, now_ns - seconds_to_ns(READING_LAG_SECONDS))
        is_settled = not found.may_be_ours or bool(remaining)
        if is_settled or now_ns >= patient_until_ns:
            # What is not settled by now moves without end: nobody may take it for nothing.
            unknown = found.positions if is_settled else (*found.positions, *found.may_be_ours)
            return ExitAllReport(exit_all.state, exit_all.results(), remaining, unknown)
        await clock.sleep(READ_AGAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class UnknownFound:
    """What a reading shows beyond our trackers; `may_be_ours` may be fills of ours that the
    reading lacks, or shows before we know of them."""

    positions: tuple[UnknownPosition, ...]
    may_be_ours: tuple[UnknownPosition, ...]


def unknown_positions(
    rows: Iterable[BrokerPosition], book: PositionBook, since_ns: int
) -> UnknownFound:
    """Return what the broker holds that no tracker accounts for; fills since an instant may."""
    ours: dict[tuple[object, object], int] = {}
    closed: dict[tuple[object, object], int] = {}
    for key in book.position_keys():
        name = key.instrument_id, key.product_type
        ours[name] = sum(t.side.sign * t.open_quantity for t in _open_on(book, key))
        closed[name] = book.closed_since(key, since_ns) + _leaves(book, key)
    positions: list[UnknownPosition] = []
    may_be_ours: list[UnknownPosition] = []
    for row in rows:
        name = row.instrument_id, row.product_type
        known = ours.get(name, 0)
        beyond = _beyond(row, known)
        if beyond:
            is_excused = abs(row.net_quantity - known) <= closed.get(name, 0)
            (may_be_ours if is_excused else positions).append(_unknown(row, beyond))
    return UnknownFound(tuple(positions), tuple(may_be_ours))


def _beyond(row: BrokerPosition, ours: int) -> int:
    """Return the part of the broker's net that is not ours: never more than it holds, never of the
    other side. Where it holds less than we do, `position_mismatch` tells; delivered shares that
    nobody watches are no position."""
    net = beyond = row.net_quantity
    if net != 0 and (net > 0) == (ours > 0):
        rest = max(0, abs(net) - abs(ours))
        beyond = rest if net > 0 else -rest
    if row.open_quantity == net:
        return beyond
    return max(0, min(beyond, row.open_quantity))


def _open_on(book: PositionBook, key: PositionKey) -> list[PositionTracker]:
    return [tracker for tracker in book.on_key(key) if not tracker.status.is_final]


def _leaves(book: PositionBook, key: PositionKey) -> int:
    return sum(order.leaves_quantity for tracker in book.on_key(key) for order in tracker.orders)


def _unknown(row: BrokerPosition, beyond: int) -> UnknownPosition:
    instrument_id, product = row.instrument_id, row.product_type.value
    long = beyond > 0
    price = row.buy_average if long else row.sell_average
    track = (
        f"squareoff track --segment {instrument_id.exchange_segment.value} "
        f"--security-id {instrument_id.security_id} --product {product} "
        f"--side {'LONG' if long else 'SHORT'} --quantity {abs(beyond)} --entry-price {price}"
    )
    return UnknownPosition(
        exchange_segment=instrument_id.exchange_segment.value,
        security_id=instrument_id.security_id,
        product_type=product,
        trading_symbol=row.trading_symbol,
        net_quantity=beyond,
        how=f"close it in the broker's app, or take it under watch and exit it: {track}",
    )


def _remains(tracker: PositionTracker) -> bool:
    entry_lives = any(not order.state.is_terminal for order in tracker.entry_orders)
    return entry_lives or not tracker.status.is_final


def _remaining(actor: PositionActor) -> RemainingPosition:
    tracker, intent = actor.tracker, actor.tracker.intent
    return RemainingPosition(
        tracker_id=tracker.tracker_id,
        trading_symbol=tracker.instrument.trading_symbol,
        side=tracker.side,
        status=tracker.status,
        open_quantity=tracker.open_quantity,
        reason="" if intent is None else intent.reason,
        why=_why(actor),
    )


def _why(actor: PositionActor) -> str:
    tracker, intent = actor.tracker, actor.tracker.intent
    if actor.is_halted:
        return "halted by a defect: close it in the broker's app"
    if tracker.status is PositionStatus.PENDING:
        return "its entry order is being cancelled"
    if tracker.status.is_final:
        return "a late entry order is being cancelled"
    if intent is None or not intent.status.is_live:
        return "waits for its turn: shorts are bought back first"
    if intent.note:
        return f"{intent.status.value}: {intent.note}"
    return "its exit is on its way"
