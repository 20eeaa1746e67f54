"""Silence of the order stream proves something only while the stream is up."""

import asyncio

from exit_story.values import held, report
from service_world.virtual import START_MONOTONIC_NS, VirtualClock, run_virtual
from squareoff.domain.orders import BrokerOrderStatus, Side
from squareoff.domain.time import seconds_to_ns
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.stranger_watch import StrangerWatch


def since(seconds: float) -> int:
    """Return the monotonic instant this long after the start of the test."""
    return START_MONOTONIC_NS + seconds_to_ns(seconds)


def test_it_is_quiet_since_the_stream_came_up() -> None:
    """What a stream that is down would have told is not known, nor what it told before."""

    async def body() -> None:
        watch, tracker = StrangerWatch(PositionBook(), VirtualClock()), held()
        assert watch.quiet_since_ns(tracker) is None
        await asyncio.sleep(1.0)
        watch.note_connection(True)
        await asyncio.sleep(1.0)
        assert watch.quiet_since_ns(tracker) == since(1.0)
        watch.note_connection(False)
        assert watch.quiet_since_ns(tracker) is None
        await asyncio.sleep(1.0)
        watch.note_connection(True)
        assert watch.quiet_since_ns(tracker) == since(3.0)

    run_virtual(body())


def test_a_stranger_who_closes_ends_the_quiet() -> None:
    """His order on the closing side counts; one that opens more, or one of ours, does not."""

    async def body() -> None:
        book = PositionBook()
        watch, tracker = StrangerWatch(book, VirtualClock()), held()
        book.add(tracker)
        watch.note_connection(True)
        await asyncio.sleep(1.0)
        watch.note_report(report(BrokerOrderStatus.PENDING, side=Side.BUY))
        assert watch.quiet_since_ns(tracker) == since(0.0)
        watch.note_report(report(BrokerOrderStatus.PENDING, side=Side.SELL))
        assert watch.quiet_since_ns(tracker) == since(1.0)

    run_virtual(body())


def test_units_that_are_missing_end_the_quiet() -> None:
    """Whoever closed them, the stream did not tell: one update may have been lost."""

    async def body() -> None:
        watch, tracker = StrangerWatch(PositionBook(), VirtualClock()), held()
        watch.note_connection(True)
        await asyncio.sleep(1.0)
        watch.note_missing(tracker.key)
        await asyncio.sleep(1.0)
        assert watch.quiet_since_ns(tracker) == since(1.0)

    run_virtual(body())


def test_an_order_that_only_the_book_shows_ends_the_quiet() -> None:
    """The stream may have lost it: what is new in the book counts once, and again when it fills."""

    async def body() -> None:
        book = PositionBook()
        watch, tracker = StrangerWatch(book, VirtualClock()), held()
        book.add(tracker)
        watch.note_connection(True)
        rests, filled = (
            report(status, cumulative, side=Side.SELL, broker_order_id="stranger")
            for status, cumulative in (
                (BrokerOrderStatus.PENDING, 0),
                (BrokerOrderStatus.TRADED, 50),
            )
        )
        quiet_since = []
        for rows in ((), (rests,), (rests,), (filled,), (filled,)):
            await asyncio.sleep(1.0)
            watch.note_book(rows)
            quiet_since.append(watch.quiet_since_ns(tracker))

        assert quiet_since == [since(at) for at in (0.0, 2.0, 2.0, 4.0, 4.0)]

    run_virtual(body())


def test_it_tells_whether_somebody_was_heard_since_an_instant() -> None:
    """Only on the side that closes the position: who buys more closes no long."""

    async def body() -> None:
        watch, tracker = StrangerWatch(PositionBook(), VirtualClock()), held()
        watch.note_connection(True)
        await asyncio.sleep(1.0)
        assert not watch.has_heard_since(tracker, since(0.0)), "a connection tells of nobody"
        watch.note_report(report(BrokerOrderStatus.TRADED, 50, side=Side.BUY))
        assert not watch.has_heard_since(tracker, since(0.0))
        watch.note_report(report(BrokerOrderStatus.TRADED, 50, side=Side.SELL))
        await asyncio.sleep(1.0)
        assert watch.has_heard_since(tracker, since(1.0))
        assert not watch.has_heard_since(tracker, since(1.5))

    run_virtual(body())
