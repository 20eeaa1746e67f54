"""Compare our book with the broker's: at start, after reconnects, on a timer, fast during exits.

Every order record goes through the same handler as the stream's. The reconciler itself places no
order. A difference that stands in two comparisons in a row is alarmed.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from squareoff.core.exits.foreign_closes import holders_of, missing_quantity
from squareoff.core.exits.setbacks import how_to_let_go
from squareoff.core.state.facts import BooksReconciled, Severity
from squareoff.core.state.policy import SHORT_READINGS_MAX
from squareoff.core.state.tracker import PositionTracker, SendOutcome, TrackedOrder
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import BrokerPosition
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, ist_midnight_ns, seconds_to_ns
from squareoff.ports import Clock, TrackerStore
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.positions.adoption import Adoption
from squareoff.services.positions.broker_reads import BrokerReads, PositionsReading
from squareoff.services.positions.foreign_closes import ForeignCloses
from squareoff.services.positions.rival_orders import RivalOrders

_log = structlog.get_logger("squareoff.reconciler")
START_RETRY_SECONDS = 1.0
START_ALARM_SECONDS = 30.0
"""How long the books may be unreadable at the start before a person hears of it: nothing leaves
meanwhile, and a broker that only stumbled is back sooner."""

RESTING_SECONDS = 2.0
"""How old a comparison may be while an exit rests: as old as its price gets."""

TIMER, SECOND_LOOK = "timer", "second_look"
"""Causes of comparisons that nobody asked for; they are journalled where they find news."""

UNREADABLE = "the broker's books could not be read"

_START_CODE = "books_not_compared"
_START_TEXT = (
    f"for {START_ALARM_SECONDS:g} s since its start this engine could not read the broker's order "
    "book and positions, and before it has compared them once no order leaves, of exits neither. "
    "Asking goes on every second; look at the broker's status and your connection, and close in "
    "the broker's app what cannot wait"
)


@dataclass(frozen=True, slots=True)
class ReconcilePace:
    """How often the books are compared, and how often while an exit is in flight (seconds)."""

    interval_seconds: float = 30.0
    in_flight_seconds: float = 1.0


class Reconciler:
    """Keeps our book equal to the broker's."""

    def __init__(
        self,
        engine: ExitEngine,
        reads: BrokerReads,
        handler: OrderUpdateHandler,
        *,
        store: TrackerStore,
        clock: Clock,
        alarms: AlarmDesk,
        metrics: Metrics,
        pace: ReconcilePace,
        adoption: Adoption | None = None,
    ) -> None:
        self._engine = engine
        self._reads = reads
        self._handler = handler
        self._store = store
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._pace = pace
        self._adoption = adoption
        self.foreign_closes = ForeignCloses(engine, reads, handler, clock)
        self._rivals = RivalOrders(engine.book, alarms)
        self._reconciled_at_ns: int | None = None
        self._last_differences: frozenset[str] = frozenset()
        self._short_keys: frozenset[PositionKey] = frozenset()
        self._compared: set[TrackerId] = set()
        self._on_short: Callable[[PositionKey], None] = lambda key: None
        self._advice: dict[str, str] = {}
        self._complained: set[str] = set()
        self._may_others_stand = True  # alarms of the last process
        self._asked: list[str] = []
        metrics.before_rendering(self._set_age)
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    def age_seconds(self) -> float | None:
        """Return how long ago the books were last compared in full, None for never."""
        if self._reconciled_at_ns is None:
            return None
        elapsed = self._clock.now().monotonic_ns - self._reconciled_at_ns
        return elapsed / NANOSECONDS_PER_SECOND

    def _set_age(self) -> None:
        age = self.age_seconds()
        self._metrics.reconciliation_age_seconds.set(math.nan if age is None else age)

    def agreed_age_seconds(self, tracker: PositionTracker) -> float | None:
        """Return how long ago the broker was seen to hold what a tracker and the others on its key
        hold.

        None where that was never compared, or where it showed less: our own word is no ground
        for an exit then. Nor is it for a position that was only named to us since; one that an
        entry order of ours bought is known by the broker's fills.
        """
        is_compared = tracker.tracker_id in self._compared or bool(tracker.entry_orders)
        return self.age_seconds() if is_compared and tracker.key not in self._short_keys else None

    def on_short(self, listener: Callable[[PositionKey], None]) -> None:
        """Call `listener` at each comparison with each key of which the broker shows less."""
        self._on_short = listener

    def request(self, cause: str) -> None:
        """Ask for a comparison soon; never waits."""
        self._asked.append(cause)
        self._wake.set()

    async def reconcile_until_done(self, cause: str) -> None:
        """Compare until it succeeds once; for the start, before anything may be sent."""
        began_ns, is_told = self._clock.now().monotonic_ns, False
        while UNREADABLE in await self.reconcile(cause):
            waited_ns = self._clock.now().monotonic_ns - began_ns
            if waited_ns >= seconds_to_ns(START_ALARM_SECONDS) and not is_told:
                is_told = True
                await self._alarms.raise_alarm(Severity.CRITICAL, _START_CODE, _START_TEXT)
            await self._clock.sleep(START_RETRY_SECONDS)
        await self._alarms.clear(_START_CODE, "the books were compared")

    async def reconcile(self, cause: str) -> tuple[str, ...]:
        """Compare once; return the differences in words, none where the books agree.

        Comparisons that are asked for at the same time follow each other: two at once would both
        take the same foreign position under watch.
        """
        async with self._turn:
            return await self._compare(cause)

    async def _compare(self, cause: str) -> tuple[str, ...]:
        orders = await self._reads.order_book()
        began = self._clock.now()
        positions = await self._reads.positions()
        if orders is None or positions is None:
            self._metrics.reconciliations.labels(cause, "unreadable").inc()
            return (UNREADABLE,)
        ours = await self._handler.handle_book(orders)
        if self._engine.book.fill_count == positions.fill_count:
            self._reconciled_at_ns = self._clock.now().monotonic_ns
            self._short_keys = self._keys_short_of_ours(positions)
            for key in self._short_keys:
                self._on_short(key)
            self._compared = {actor.tracker.tracker_id for actor in self._engine.book}
            # An older reading may show what our own exit has closed since.
            await self._adopt(positions.rows, began)
            await self.foreign_closes.review(positions)
            await self._rivals.review(orders, positions)
        unwatched = () if self._adoption is None else self._adoption.unwatched
        differences = (*self._differences(positions), *unwatched)
        await self._note(cause, ours, differences, unwatched)
        return differences

    async def _adopt(self, rows: tuple[BrokerPosition, ...], began: Now) -> None:
        if self._adoption is not None:
            taken = await self._adoption.review(rows, began)
            self._metrics.reconciliation_findings.labels("adopted").inc(taken)

    def _differences(self, reading: PositionsReading) -> tuple[str, ...]:
        """Compare net quantities of keys on which nothing of ours is moving."""
        found = []
        self._advice.clear()
        book = self._engine.book
        for key in book.position_keys():
            ours, theirs = book.signed_quantity(key), reading.net_of(key)
            # Delivered shares that no tracker claims are theirs who hold them.
            is_sum_right = ours <= theirs <= ours + reading.delivered_of(key)
            if (is_sum_right and book.is_all_there(key, theirs)) or book.is_moving(key):
                continue
            trackers = book.on_key(key)
            if is_sum_right:  # one that closed too much makes up for what another one lacks
                if missing_quantity(trackers, theirs) == 0:
                    continue
                ours = sum(t.side.sign * t.open_quantity for t in holders_of(trackers))
            # Once all of ours has ended, what is there is somebody else's.
            if ours != 0 or any(t.open_quantity for t in trackers if not t.status.is_final):
                shows = "surely shows only" if key in reading.unsure else "shows"
                text = f"{key}: our trackers hold {ours}, the broker {shows} {theirs}"
                found.append(text)
                held = [t for t in trackers if not t.status.is_final and t.open_quantity]
                if held and key in self._short_keys and key not in reading.unsure:
                    left = theirs if ours > 0 else -theirs
                    self._advice[text] = f" {how_to_let_go(*held, still_shown=left)}"
        return tuple(found)

    def _keys_short_of_ours(self, reading: PositionsReading) -> frozenset[PositionKey]:
        """Return the keys of which the broker shows less than we hold, beyond what orders of ours
        that are on their way may have closed."""
        short, book = set(), self._engine.book
        for key in book.position_keys():
            ours, theirs = book.signed_quantity(key), reading.net_of(key)
            lacking = abs(ours) - (theirs if ours > 0 else -theirs) if ours else 0
            if lacking <= 0 and not book.is_all_there(key, theirs):
                lacking = missing_quantity(book.on_key(key), theirs)
            if lacking > 0 and lacking > book.exit_leaves(key):
                short.add(key)
        return frozenset(short)

    async def _note(
        self, cause: str, ours: int, differences: tuple[str, ...], unwatched: tuple[str, ...]
    ) -> None:
        """Count, journal and alarm what was found; of `unwatched` the adoption alarms."""
        result = "differs" if differences else "agrees"
        self._metrics.reconciliations.labels(cause, result).inc()
        standing = self._last_differences & frozenset(differences)
        is_news = frozenset(differences) != self._last_differences
        new_count = len(frozenset(differences) - self._last_differences)
        self._metrics.reconciliation_findings.labels("difference").inc(new_count)
        self._metrics.reconciliation_differences.set(len(differences))
        self._last_differences = frozenset(differences)
        if cause not in (TIMER, SECOND_LOOK) or (differences and is_news):
            await self._journal(BooksReconciled(cause, ours, differences))
        for over in sorted(self._complained - standing):
            await self._alarms.clear("position_mismatch", "the books agree again", about=over)
        self._complained &= standing
        mismatches = frozenset(differences) - frozenset(unwatched)
        if self._may_others_stand and not mismatches:
            self._may_others_stand = False
            await self._alarms.clear("position_mismatch", "the books agree")
        for difference in sorted((standing & mismatches) - self._complained):
            self._complained.add(difference)
            await self._complain(difference)

    async def _journal(self, fact: BooksReconciled) -> None:
        try:
            await self._store.record((fact,), self._clock.now().wall_ns)
        except StoreError as error:
            _log.error("reconciliation_not_journalled", error=str(error))

    async def _complain(self, difference: str) -> None:
        await self._alarms.raise_alarm(
            Severity.WARNING,
            "position_mismatch",
            f"{difference}. Nothing is sent because of this; an exit will close no more than the "
            f"broker shows.{self._advice.get(difference, '')}",
        )

    async def run(self) -> None:
        """Compare on the timer and when asked; never returns."""
        next_full_ns = self._next_full_ns()
        while True:
            await self._wait(next_full_ns)
            if self._asked or self._clock.now().monotonic_ns >= next_full_ns:
                cause = self._asked[0] if self._asked else TIMER
                self._asked.clear()
                await self.reconcile(cause)
                next_full_ns = self._next_full_ns()
            elif self._wants_fast_comparison():
                await self.reconcile(SECOND_LOOK)
            elif self._wants_positions_of_resting():
                await self.reconcile(TIMER)
            elif self._has_in_flight():
                await self._handler.handle_book(await self._reads.order_book() or ())

    def _next_full_ns(self) -> int:
        interval = round(self._pace.interval_seconds * NANOSECONDS_PER_SECOND)
        return self._clock.now().monotonic_ns + interval

    async def _wait(self, next_full_ns: int) -> None:
        until_full = (next_full_ns - self._clock.now().monotonic_ns) / NANOSECONDS_PER_SECOND
        pause = max(0.0, min(self._pace.in_flight_seconds, until_full))
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _wants_fast_comparison(self) -> bool:
        """Others may have closed units or opened positions: comparisons find that, not orders."""
        if self._adoption is not None and self._adoption.wants_reading:
            return True
        return self.foreign_closes.wants_reading or any(
            0 < actor.pacing.short_readings < SHORT_READINGS_MAX and actor.tracker.has_live_intent
            for actor in self._engine.book
        )

    def _wants_positions_of_resting(self) -> bool:
        """An exit that rests closes what somebody may close by hand meanwhile."""
        age = self.age_seconds()
        return (age is None or age >= RESTING_SECONDS) and any(
            order.is_resting
            for tracker in self._not_ended_before_today()
            for order in tracker.exit_orders
        )

    def _has_in_flight(self) -> bool:
        today_ns = ist_midnight_ns(self._clock.now().wall_ns)
        return any(
            order.state.is_live or _may_come_late(order, today_ns)
            for tracker in self._not_ended_before_today()
            for order in tracker.orders
        )

    def _not_ended_before_today(self) -> Iterator[PositionTracker]:
        """Yield what may have an order of today; a week of what has ended is in memory."""
        today_ns = ist_midnight_ns(self._clock.now().wall_ns)
        held = (actor.tracker for actor in self._engine.book)
        return (tracker for tracker in held if not tracker.has_ended_before(today_ns))


def _may_come_late(order: TrackedOrder, today_ns: int) -> bool:
    """An order that was lost and declared absent today is watched to the day's end."""
    return any(
        send.outcome is SendOutcome.ABSENT and send.sent_at_ns >= today_ns for send in order.sends
    )
