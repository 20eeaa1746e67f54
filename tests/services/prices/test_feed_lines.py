"""Feed connections are kept up one by one; what the broker says at the end may hold them all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from exit_story.values import ACCOUNT
from service_world.store import memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import FullJitter, RecordedAlarms
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.ports import FeedConnected, FeedEvent, FeedLine, FeedLost, MarketFeed, TrackerStore
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.prices.feed_lines import FeedLines


class Line:
    """A connection that ends as it is told, or lives."""

    def __init__(self, *ends: FeedDisconnected, is_needed: bool = True) -> None:
        self.ends = list(ends)
        self.is_needed = is_needed
        self.instrument_ids: tuple[InstrumentId, ...] = ()
        self.opened_at: list[float] = []
        self._cut: asyncio.Future[FeedDisconnected] | None = None

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened_at.append(loop.time())
        if self.ends:
            raise self.ends.pop(0)
        publish(FeedConnected(()))
        self._cut = loop.create_future()
        raise await self._cut

    @property
    def opened(self) -> int:
        return len(self.opened_at)

    def cut(self, code: int | None = None) -> None:
        assert self._cut is not None, "connected"
        self._cut.set_result(FeedDisconnected("cut", code))

    def watch(self, instruments: Any) -> None:
        """Not asked for here."""

    def unwatch(self, instrument_ids: Any) -> None:
        """Not asked for here."""


class Rig:
    def __init__(self, first: Line, *further: Line) -> None:
        self.heard = RecordedAlarms()
        self.metrics = Metrics()
        self.events: list[FeedEvent] = []
        self.first, self.further = first, further
        self.is_wide = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FeedLines]:
        clock = VirtualClock()
        store = cast("TrackerStore", await memory_store(ACCOUNT))
        desk = AlarmDesk(store, (self.heard,), clock, self.metrics)
        all_lines = (self.first, *self.further) if self.is_wide else ()
        lines = FeedLines(
            cast("MarketFeed", self.first),
            cast("tuple[FeedLine, ...]", all_lines),
            clock=clock,
            chance=FullJitter(),
            alarms=desk,
            metrics=self.metrics,
        )
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(_run(lines, self.events.append))
            await settle()
            yield lines
            work.cancel()


async def _run(lines: FeedLines, publish: Callable[[FeedEvent], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        lines.start(tasks, publish)


def _is_whole(lines: FeedLines) -> bool:
    return lines.is_connected


def test_an_end_is_told_with_what_it_carried() -> None:
    """The prices of that connection are lost, and no others."""

    async def body() -> None:
        rig = Rig(Line(), Line())
        rig.further[0].instrument_ids = (InstrumentId(ExchangeSegment.NSE_EQ, "2885"),)
        async with rig.running():
            rig.further[0].cut()
            await settle()
            rig.first.cut()
            await settle()

            lost = [event for event in rig.events if isinstance(event, FeedLost)]
            assert lost == [FeedLost(rig.further[0].instrument_ids), FeedLost(())]

    run_virtual(body())


def test_the_only_line_of_a_feed_carries_all() -> None:
    """A feed that is no wide one says nothing of what it carried."""

    async def body() -> None:
        rig = Rig(Line())
        rig.is_wide = False
        async with rig.running():
            rig.first.cut()
            await settle()

            assert [event for event in rig.events if isinstance(event, FeedLost)] == [FeedLost()]

    run_virtual(body())


def test_one_end_leaves_the_others_alone() -> None:
    """Only the connection that ended is opened again, and the feed is whole once it is up."""

    async def body() -> None:
        rig = Rig(Line(), Line(), Line(is_needed=False))
        async with rig.running() as lines:
            assert _is_whole(lines)
            rig.further[0].cut()
            await settle()
            assert not _is_whole(lines)
            assert b'squareoff_socket_up{socket="market_feed"} 0.0' in rig.metrics.render()
            await asyncio.sleep(1.0)

            assert _is_whole(lines)
            assert [line.opened for line in (rig.first, *rig.further)] == [1, 2, 1]
            assert b'squareoff_socket_up{socket="market_feed"} 1.0' in rig.metrics.render()
            assert rig.heard.codes == []

    run_virtual(body())


def test_a_line_that_is_not_needed_makes_no_feed_incomplete() -> None:
    """A connection that ended and carries nothing any more is not waited for."""

    async def body() -> None:
        rig = Rig(Line(), Line(*[FeedDisconnected("no")] * 50))
        async with rig.running() as lines:
            assert not _is_whole(lines)
            rig.further[0].is_needed = False

            assert _is_whole(lines)

    run_virtual(body())


def test_429_at_the_handshake_cools_all_connections_down() -> None:
    """After it nobody connects for a minute, then two; a person is told once it is so."""

    async def body() -> None:
        refused = FeedDisconnected("no", 429)
        rig = Rig(Line(), Line())
        async with rig.running():
            start = rig.first.opened_at[0]
            rig.first.ends = [refused]
            rig.first.cut(429)
            await settle()
            rig.further[0].cut()
            await asyncio.sleep(400.0)

            _, second, third = (at - start for at in rig.first.opened_at)
            assert 60.0 <= second < 65.0
            assert 120.0 <= third - second < 125.0
            assert rig.further[0].opened_at[1] - start >= 60.0
            assert rig.heard.codes[0] == "market_feed_refused"

    run_virtual(body())


def test_too_many_connections_opens_none_for_a_while() -> None:
    """805: the account's connections are used elsewhere; ours do not push each other out."""

    async def body() -> None:
        rig = Rig(Line(), Line())
        async with rig.running():
            rig.first.cut(805)
            await settle()
            rig.further[0].cut()
            await asyncio.sleep(14.0)
            assert [line.opened for line in (rig.first, *rig.further)] == [1, 1]
            await asyncio.sleep(16.0)

            assert [line.opened for line in (rig.first, *rig.further)] == [2, 2]
            assert rig.heard.codes == ["market_feed_refused"]

    run_virtual(body())


def test_a_refusal_right_after_the_upgrade_still_grows() -> None:
    """806 comes on an open connection: being connected for an instant is no success."""

    async def body() -> None:
        rig = Rig(Line())
        async with rig.running():
            for seconds in (61.0, 125.0):
                rig.first.cut(806)
                await asyncio.sleep(seconds)
            assert rig.first.opened == 3
            gaps = [
                b - a for a, b in zip(rig.first.opened_at, rig.first.opened_at[1:], strict=False)
            ]

            assert 60.0 <= gaps[0] < 62.0
            assert 120.0 <= gaps[1] < 125.0

    run_virtual(body())


def test_an_alarm_is_cleared_by_a_connection_that_stands() -> None:
    """Ten seconds up, and the refusal is over; the next one begins at the first pause again."""

    async def body() -> None:
        rig = Rig(Line(FeedDisconnected("no", 806)))
        async with rig.running():
            await asyncio.sleep(62.0)
            assert rig.first.opened == 2
            assert len(rig.heard.codes) == 1
            await asyncio.sleep(15.0)

            assert "connected again" in rig.heard.heard[-1][2]

    run_virtual(body())


def test_a_new_token_ends_what_a_refused_login_holds_up() -> None:
    """808 to 810 speak of the old token; what the broker said of the account goes on to hold."""

    async def body() -> None:
        for code, opens_at_once in ((808, True), (809, True), (810, True), (806, False)):
            rig = Rig(Line(*[FeedDisconnected("no", code)] * 6), Line())
            async with rig.running() as lines:
                await asyncio.sleep(170.0)  # refused again and again: it is tried ever more rarely
                rig.further[0].cut()
                rig.first.ends.clear()
                await settle()
                opened = [line.opened for line in (rig.first, *rig.further)]
                lines.note_new_token()
                await asyncio.sleep(1.0)

                now_opened = [line.opened for line in (rig.first, *rig.further)]
                assert now_opened == [count + opens_at_once for count in opened]

    run_virtual(body())


def test_a_refusal_of_the_token_before_holds_nothing_up() -> None:
    """One connection is refused with the old token when the new one is here already."""

    async def body() -> None:
        rig = Rig(Line(), Line())
        async with rig.running() as lines:
            lines.note_new_token()
            rig.first.cut(808)
            await settle()
            rig.further[0].cut()
            await asyncio.sleep(1.0)

            assert [line.opened for line in (rig.first, *rig.further)] == [2, 2]
            assert rig.heard.codes == []

    run_virtual(body())
