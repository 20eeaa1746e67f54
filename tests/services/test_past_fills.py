"""An exit that filled in the last moments of a day is confirmed on the next by the history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date

import pytest

from exit_story.values import TRACKER
from service_world import virtual
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, running_world
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.orders import TradeReport
from squareoff.domain.results import ExitCode
from squareoff.domain.states import PositionStatus
from squareoff.services.exit_results import Wait

DAY_NS = 86_400_000_000_000


@asynccontextmanager
async def the_day_after(
    monkeypatch: pytest.MonkeyPatch, *, has_history: bool = True
) -> AsyncIterator[World]:
    """Yield an engine started on the day after its exit filled and was not confirmed."""
    with monkeypatch.context() as yesterday:
        yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
        async with running_world() as world:
            await world.hold()
            world.gateway.failures["trade_book"] = BrokerUnreachable("away")
            result = await world.engine.exit_engine.execute_exit(
                TRACKER, "by hand", wait=Wait.FILLED, wait_seconds=1.0
            )
            assert result.code is not ExitCode.EXITED
            world.gateway.end_day(VirtualClock().now().ist().date())
    del world.gateway.failures["trade_book"]
    if not has_history:
        world.gateway.failures["trade_history"] = BrokerUnreachable("away")
    async with running_world(store=world.store, gateway=world.gateway) as restarted:
        yield restarted


def test_fills_of_yesterday_are_confirmed_by_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price is the history's; nothing is sent again."""

    async def body() -> None:
        async with the_day_after(monkeypatch) as world:
            await world.until_status(TRACKER, PositionStatus.EXITED)

            (fills,) = world.gateway.history.values()
            assert world.tracker(TRACKER).exit_price == fills[0].price
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_history_that_cannot_be_read_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The position is not called closed on the stream's word alone, and asking goes on."""

    async def body() -> None:
        async with the_day_after(monkeypatch, has_history=False) as world:
            await asyncio.sleep(60.0)
            assert world.tracker(TRACKER).status is PositionStatus.EXITING

            del world.gateway.failures["trade_history"]
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_clock_that_is_a_day_ahead_counts_no_fill_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in today's trade book is not taken from the history as well."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.on_write = lambda _operation: monkeypatch.setattr(
                virtual, "START_WALL_NS", virtual.START_WALL_NS + DAY_NS
            )
            asked: list[date] = []

            async def history(day: date) -> tuple[TradeReport, ...]:
                asked.append(day)
                return tuple(replace(trade, exec_id="") for trade in world.gateway.trades)

            monkeypatch.setattr(world.gateway, "trade_history", history)
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.FILLED)

            assert asked
            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert world.tracker(TRACKER).exited_quantity == 100

    run_virtual(body())


def test_fills_of_today_need_no_history() -> None:
    """The history is read for earlier days alone."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.FILLED)

            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert "trade_history" not in world.gateway.calls

    run_virtual(body())
