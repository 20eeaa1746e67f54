"""How much comes with a price follows what the positions need of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from exit_story.values import INSTRUMENT, held
from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.core.prices.watched_instrument import Nearness
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.states import PositionStatus
from squareoff.ports import FeedLine, PriceDetail
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.price_details import KEEP_SECONDS, TURN_INSTRUMENTS, PriceDetails

NAME = INSTRUMENT.instrument_id


class Feed:
    """Notes what is preferred, and how often it was asked."""

    lines: tuple[FeedLine, ...] = ()

    def __init__(self) -> None:
        self.details: dict[InstrumentId, PriceDetail] = {}

    def prefer(self, instrument_id: InstrumentId, detail: PriceDetail) -> None:
        self.details[instrument_id] = detail


class Rig:
    def __init__(self) -> None:
        self.book, self.feed = PositionBook(), Feed()
        self.nearness = Nearness.FAR
        self.asked = 0
        self.details = PriceDetails(
            self.book, self.feed, lambda _: self.nearness, self._is_any_near, VirtualClock()
        )

    def _is_any_near(self) -> bool:
        self.asked += 1
        return self.nearness is Nearness.NEAR

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self.details.run())
            await settle()
            yield
            work.cancel()


@pytest.mark.parametrize(
    ("nearness", "detail"),
    [
        (Nearness.NEAR, PriceDetail.DEPTH),
        (Nearness.FAR, PriceDetail.DAY),
        (Nearness.NO_LEVEL, PriceDetail.LAST),
    ],
)
def test_the_detail_follows_the_levels(nearness: Nearness, detail: PriceDetail) -> None:
    """Depth near a level, the day's range far from it, the price alone without one."""

    async def body() -> None:
        rig = Rig()
        rig.book.add(held())
        rig.nearness = nearness
        async with rig.running():
            await asyncio.sleep(KEEP_SECONDS + 1)

            assert rig.feed.details == {NAME: detail}
            assert rig.details.is_any_near() is (nearness is Nearness.NEAR)

    run_virtual(body())


def test_depth_comes_at_once_and_stays_a_while() -> None:
    """A price that comes near is asked for in depth within a round; less is asked for later."""

    async def body() -> None:
        rig = Rig()
        rig.book.add(held())
        async with rig.running():
            await asyncio.sleep(KEEP_SECONDS + 1)
            rig.nearness = Nearness.NEAR
            await asyncio.sleep(0.3)
            assert rig.feed.details[NAME] is PriceDetail.DEPTH
            rig.nearness = Nearness.FAR
            await asyncio.sleep(KEEP_SECONDS - 1)
            assert rig.feed.details[NAME] is PriceDetail.DEPTH
            await asyncio.sleep(2.0)

            assert rig.feed.details[NAME] is PriceDetail.DAY

    run_virtual(body())


def test_an_exit_under_way_needs_the_depth() -> None:
    """An exiting position has no level armed any more, and its orders are priced by the book."""

    async def body() -> None:
        rig = Rig()
        actor = rig.book.add(held())
        rig.nearness = Nearness.NO_LEVEL
        async with rig.running():
            await asyncio.sleep(KEEP_SECONDS + 1)
            actor.tracker = replace(actor.tracker, status=PositionStatus.EXITING)
            await asyncio.sleep(KEEP_SECONDS * 3)
            assert rig.feed.details[NAME] is PriceDetail.DEPTH

            rig.feed.details.clear()
            actor.tracker = replace(actor.tracker, status=PositionStatus.EXITED)
            await asyncio.sleep(KEEP_SECONDS * 2)
            assert rig.feed.details == {}

    run_virtual(body())


def test_many_instruments_are_looked_at_in_turns() -> None:
    """Between two goes others may act; all have had their turn soon."""

    async def body() -> None:
        rig = Rig()
        count = TURN_INSTRUMENTS * 3
        for number in range(count):
            name = InstrumentId(NAME.exchange_segment, str(number + 1))
            instrument = replace(INSTRUMENT, instrument_id=name)
            one = replace(held(), tracker_id=TrackerId(f"t{number}"), instrument=instrument)
            rig.book.add(one)
        async with rig.running():
            assert len(rig.feed.details) == TURN_INSTRUMENTS
            await asyncio.sleep(0.2)

            assert len(rig.feed.details) == count
            rig.nearness = Nearness.NEAR
            assert not rig.details.is_any_near()
            await asyncio.sleep(0.5)
            assert rig.details.is_any_near()
            assert rig.asked == 0

    run_virtual(body())
