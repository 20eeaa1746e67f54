"""What was closed within the broker's lag before a start is known to the one who sizes."""

import asyncio
from typing import Any, cast

from exit_story.values import ACCOUNT, INSTRUMENT, TRACKER, held
from service_world.store import LostAfterCommit
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import ClosedExternally, JournalEntry, OrderReported
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now
from squareoff.ports import Journal
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.late_closes import PAGE_ENTRIES, note_late_closes
from squareoff.services.positions.position_book import PositionBook

KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
NOW = Now(1_000_000_000_000, 500_000_000_000)
SECOND_NS = 1_000_000_000


class Pages:
    """A journal of the given facts and times; counts the entries it was asked for."""

    def __init__(self, *told: tuple[Any, int]) -> None:
        self._entries = [JournalEntry(n, at, fact, "") for n, (fact, at) in enumerate(told, 1)]
        self.read = 0

    async def head(self) -> int:
        """Return the newest number."""
        return len(self._entries)

    async def entries(self, *, after_seq: int, limit: int) -> tuple[JournalEntry, ...]:
        """Return a page."""
        page = self._entries[after_seq : after_seq + limit]
        self.read += len(page)
        return tuple(page)


def closed_within_lag(*told: tuple[Any, int]) -> int:
    """Return what a book with one position takes from a journal."""
    book = PositionBook()
    book.add(held())
    asyncio.run(note_late_closes(book, cast("Journal", Pages(*told)), NOW))
    return book.closed_since(KEY, 0)


def by_others(quantity: int, tracker_id: str = TRACKER) -> Any:
    """Return the fact that somebody else closed so much."""
    return ClosedExternally(tracker_id, quantity, INSTRUMENT.tick_size)  # type: ignore[arg-type]


def _part_filled(world: World) -> BrokerOrderId:
    """Fill 40 units of the one order and let the rest of it end."""
    (order_id,) = world.gateway.orders
    world.gateway.fill(order_id, 40)
    world.gateway.end(order_id, BrokerOrderStatus.CANCELLED)
    return order_id


def test_a_start_within_the_lag_knows_what_was_filled_before_it() -> None:
    """As long as the process before would have known it, to the same instant."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            world.gateway.gates["positions"] = asyncio.Event()
            _part_filled(world)
            await world.until(lambda: world.tracker(TRACKER).open_quantity == 60)
            filled_ns = VirtualClock().now().monotonic_ns
            assert world.engine.exit_engine.book.closed_since(KEY, filled_ns - SECOND_NS) == 40
        await asyncio.sleep(2.0)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again, until_ready=False):
            await settle()
            book = again.engine.exit_engine.book
            assert book.closed_since(KEY, filled_ns - SECOND_NS) == 40
            assert book.closed_since(KEY, filled_ns + SECOND_NS) == 0

    run_virtual(body())


def test_a_start_after_the_lag_holds_nothing_back() -> None:
    """A fill that every reading has is not taken off it a second time."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            await world.until_status(TRACKER, PositionStatus.EXITED)
        await asyncio.sleep(READING_LAG_SECONDS + 1.0)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            assert again.engine.exit_engine.book.closed_since(KEY, 0) == 0

    run_virtual(body())


def test_what_others_closed_lately_counts_by_its_own_quantity() -> None:
    """Only what is young enough, of positions that are known; a clock set back makes none old."""
    now, lag_ns = NOW.wall_ns, round(READING_LAG_SECONDS * SECOND_NS)
    late, early = (by_others(7), now - lag_ns), (by_others(9), now - lag_ns - 1)

    assert closed_within_lag(early, late) == 7
    assert closed_within_lag((by_others(7, "trk-unknown"), now)) == 0
    assert closed_within_lag((by_others(7), now + 3_600 * SECOND_NS)) == 7


def test_the_journal_is_read_no_further_than_the_lag() -> None:
    """One page where nothing is young, more only as long as each holds something young."""
    old, young = (by_others(1), 0), (by_others(1), NOW.wall_ns)
    for pages in (1, 2):
        journal = Pages(*[old] * 1_000, *[young] * (PAGE_ENTRIES * (pages - 1)))
        asyncio.run(note_late_closes(PositionBook(), cast("Journal", journal), NOW))

        assert journal.read == PAGE_ENTRIES * pages


def test_a_report_without_a_fill_counts_nothing() -> None:
    """An order that was only accepted, or is not ours, closed nothing."""
    report = OrderReported(
        TRACKER,
        "sqx-1",  # type: ignore[arg-type]
        BrokerOrderId("B1"),
        BrokerOrderStatus.TRADED,
        100,
        None,
        "",
        None,  # type: ignore[arg-type]
    )

    assert closed_within_lag((report, NOW.wall_ns)) == 0


def test_a_fill_whose_commit_was_in_doubt_counts_as_late() -> None:
    """What memory takes over from the database is as new as what it decided itself."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            unknown = LostAfterCommit("the connection broke in COMMIT")
            world.store.failures.append(unknown)
            world.store.load_errors.append(unknown)
            began_ns = VirtualClock().now().monotonic_ns
            _part_filled(world)
            await world.until(lambda: world.tracker(TRACKER).open_quantity == 60)

            assert world.engine.exit_engine.book.closed_since(KEY, began_ns) == 40

    run_virtual(body())
