"""Callers who ask at the same time share one read; a failed read is never an empty book."""

import asyncio
from datetime import date

import pytest

from exit_story.values import trade
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import TradeReport
from squareoff.domain.time import DAY_NS, Now
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.read_pace import ReadPace

YESTERDAY = date(2026, 9, 14)
_DAYS = YESTERDAY.toordinal() + 1 - date(1970, 1, 1).toordinal()
NOW = Now(wall_ns=_DAYS * DAY_NS, monotonic_ns=0)


def _pace() -> ReadPace:
    return ReadPace(VirtualClock(), reads_per_second=16)


def test_simultaneous_callers_share_one_read() -> None:
    """Ten who ask while a read is under way cost one call; the next one costs another."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook(), _pace())
        gateway.gates["order_book"] = asyncio.Event()
        asking = [asyncio.get_running_loop().create_task(reads.order_book()) for _ in range(10)]
        await settle()
        gateway.gates["order_book"].set()

        assert await asyncio.gather(*asking) == [()] * 10
        assert gateway.calls == ["order_book"]
        await reads.order_book()
        assert gateway.calls == ["order_book"] * 2

    run_virtual(body())


@pytest.mark.parametrize("book", ["order_book", "trade_book", "positions"])
def test_a_failed_read_is_none(book: str) -> None:
    """All who share a failed read are told None, which is no empty book."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook(), _pace())
        gateway.failures[book] = BrokerUnreachable("down")

        answers = await asyncio.gather(*(getattr(reads, book)() for _ in range(3)))

        assert answers == [None, None, None]

    run_virtual(body())


@pytest.mark.parametrize("seed", range(6))
def test_a_cancelled_first_caller_fails_nobody_else(seed: int) -> None:
    """Where the one who reads is cancelled, one of those who share reads anew."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook(), _pace())
        gateway.gates["positions"] = asyncio.Event()
        first = asyncio.get_running_loop().create_task(reads.positions())
        await settle()
        others = [asyncio.get_running_loop().create_task(reads.positions()) for _ in range(4)]
        await settle()
        first.cancel()
        await settle()
        gateway.gates["positions"].set()

        readings = await asyncio.gather(*others)

        assert all(reading is not None for reading in readings)
        assert gateway.calls == ["positions"] * 2

    run_virtual(body(), seed)


def test_a_cancelled_sharer_leaves_the_read_alone() -> None:
    """One who shares a read may go without ending it."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook(), _pace())
        gateway.gates["trade_book"] = asyncio.Event()
        first = asyncio.get_running_loop().create_task(reads.trade_book())
        await settle()
        second = asyncio.get_running_loop().create_task(reads.trade_book())
        await settle()
        second.cancel()
        gateway.gates["trade_book"].set()

        assert await first == ()

    run_virtual(body())


def test_a_reading_of_positions_carries_the_fill_count_of_its_beginning() -> None:
    """A reading is dated by the fills that were known when it began."""

    async def body() -> None:
        book = PositionBook()
        reading = await BrokerReads(ScriptedGateway(), book, _pace()).positions()

        assert reading is not None
        assert reading.fill_count == book.fill_count == 0

    run_virtual(body())


def test_the_same_days_are_read_from_the_history_once() -> None:
    """Exits of one earlier day share a call; each leaves out what today's book shows."""

    async def body() -> None:
        gateway = ScriptedGateway()
        gateway.history[YESTERDAY] = [trade(5, broker_order_id="1"), trade(5, broker_order_id="2")]
        gateway.gates["trade_history"] = asyncio.Event()
        reads = BrokerReads(gateway, PositionBook(), _pace())

        def asked(*todays: TradeReport) -> "asyncio.Task[tuple[TradeReport, ...] | None]":
            return asyncio.ensure_future(reads.earlier_trades(YESTERDAY, NOW, todays))

        asking = [asked(), asked(trade(5, broker_order_id="2")), asked()]
        await settle()
        gateway.gates["trade_history"].set()

        found = [[each.broker_order_id for each in await one or ()] for one in asking]
        assert found == [["1", "2"], ["1"], ["1", "2"]]
        assert gateway.calls == ["trade_history"]
        await asked()
        assert gateway.calls == ["trade_history"] * 2

    run_virtual(body())


def test_look_ups_wait_for_their_turn() -> None:
    """Thirty unknown orders are asked for over seconds, and a book is read meanwhile at once."""

    async def body() -> None:
        gateway, loop = ScriptedGateway(), asyncio.get_running_loop()
        reads = BrokerReads(gateway, PositionBook(), _pace())
        began = loop.time()
        look_ups = [
            asyncio.ensure_future(reads.orders_by_client_order_id(ClientOrderId(f"sqx-{number}")))
            for number in range(30)
        ]
        await settle()
        await reads.order_book()

        assert loop.time() == began
        assert await asyncio.gather(*look_ups) == [()] * 30
        assert loop.time() - began == pytest.approx(2.0)

    run_virtual(body())
