"""Callers who ask at the same time share one read; a failed read is never an empty book."""

import asyncio

import pytest

from service_world.broker import ScriptedGateway
from service_world.virtual import run_virtual, settle
from squareoff.domain.errors import BrokerUnreachable
from squareoff.services.broker_reads import BrokerReads
from squareoff.services.position_book import PositionBook


def test_simultaneous_callers_share_one_read() -> None:
    """Ten who ask while a read is under way cost one call; the next one costs another."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook())
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
        reads = BrokerReads(gateway, PositionBook())
        gateway.failures[book] = BrokerUnreachable("down")

        answers = await asyncio.gather(*(getattr(reads, book)() for _ in range(3)))

        assert answers == [None, None, None]

    run_virtual(body())


@pytest.mark.parametrize("seed", range(6))
def test_a_cancelled_first_caller_fails_nobody_else(seed: int) -> None:
    """Where the one who reads is cancelled, one of those who share reads anew."""

    async def body() -> None:
        gateway = ScriptedGateway()
        reads = BrokerReads(gateway, PositionBook())
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
        reads = BrokerReads(gateway, PositionBook())
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
        reading = await BrokerReads(ScriptedGateway(), book).positions()

        assert reading is not None
        assert reading.fill_count == book.fill_count == 0

    run_virtual(body())
