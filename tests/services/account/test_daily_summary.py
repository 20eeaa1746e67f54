"""The day is told once, after its end, whatever restarts."""

import asyncio
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import cast

import pytest

from exit_story.values import ACCOUNT, TRACKER
from service_world.store import FaultyStore, memory_store
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import Severity
from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.time import IST
from squareoff.ports import RememberedAnswer
from squareoff.services.account.daily_summary import AFTER_CLOSE, DailySummary
from squareoff.services.exits.exit_results import Wait

USUAL = Session(time(9, 15), time(15, 30))
TOLD_AT = time(15, 40)
BEFORE_CLOSE = time(15, 25)
NO_SESSION = TradingDay((), USUAL)


def summary_in(world: World, store: FaultyStore | None = None) -> DailySummary:
    """Return the summary of an engine whose exchange keeps the usual hours."""
    world.calendar.hours = TradingDay((USUAL,), USUAL)
    return DailySummary(
        world.engine.exit_engine.book,
        store or world.store,
        world.calendar,
        VirtualClock(),
        (world.alarms,),
        "paper",
    )


async def at(clock: time) -> None:
    """Let virtual time pass until it is so late today."""
    now = VirtualClock().now().ist()
    then = datetime.combine(now.date(), clock, IST)
    await asyncio.sleep(max(0.0, (then - now) / timedelta(seconds=1)))


def test_the_day_is_told_when_it_is_over_and_once() -> None:
    """Not at the close, ten minutes later; not again, by the next process either."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            summary = summary_in(world)
            await at(time(15, 39, 59))
            await summary.look()
            assert world.alarms.told == []
            await at(TOLD_AT)
            for each in (summary, summary, summary_in(world)):
                await each.look()

            ((title, text),) = world.alarms.told
            assert title == "squareoff: 15 Sep 2026, paper"
            assert "Exits: 1 (manual 1). Their P&L: +150.00 rupees." in text
            assert "Still open: nothing." in text
            assert "Alarms: none." in text

    assert timedelta(minutes=10) == AFTER_CLOSE
    run_virtual(body(), begins=BEFORE_CLOSE)


def test_what_is_left_is_said_first_of_all() -> None:
    """A position that is held over and an alarm that nobody saw."""

    async def body() -> None:
        async with running_world() as world:
            held = await world.hold()
            await world.engine.desk._alarms.raise_alarm(Severity.CRITICAL, "over_exit", "x")
            summary = summary_in(world)
            await at(TOLD_AT)
            await summary.look()

            ((_, text),) = world.alarms.told
            assert "Exits: none." in text
            assert "STILL OPEN: 1." in text
            assert f"{held.instrument.trading_symbol} LONG 100" in text
            assert "Alarms: 1 critical, 0 warnings. Unseen: over_exit." in text

    run_virtual(body(), begins=BEFORE_CLOSE)


def test_a_day_that_ends_about_midnight_is_told_after_it() -> None:
    """The commodity exchange's winter close; the day that it was is told, once, and not at noon."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            summary = summary_in(world)
            world.calendar.hours = TradingDay((Session(time(9, 0), time(23, 55)),), USUAL)
            await at(time(23, 59, 59))
            await summary.look()
            assert world.alarms.told == []
            await asyncio.sleep(6 * 60)
            for each in (summary, summary, summary_in(world)):
                world.calendar.hours = TradingDay((Session(time(9, 0), time(23, 55)),), USUAL)
                await each.look()

            ((title, _),) = world.alarms.told
            assert title == "squareoff: 15 Sep 2026, paper"

    run_virtual(body(), begins=time(23, 50))


def test_a_day_that_ended_long_before_midnight_is_not_told_on_the_next() -> None:
    """A start the next morning is no time for it."""

    async def body() -> None:
        async with running_world() as world:
            summary = summary_in(world)
            await at(time(23, 59, 59))
            await asyncio.sleep(2)
            await summary.look()
            assert world.alarms.told == []

    run_virtual(body(), begins=time(23, 50))


def test_a_day_without_a_session_is_not_told() -> None:
    """Nor is one that has no end."""

    async def body() -> None:
        async with running_world() as world:
            summary = summary_in(world)
            world.calendar.hours = NO_SESSION
            await at(time(23, 0))
            await summary.look()
            assert world.alarms.told == []

    run_virtual(body(), begins=time(22, 55))


def test_a_database_that_is_away_delays_the_summary() -> None:
    """The next look tells it; the task itself goes on."""

    async def body() -> None:
        async with running_world() as world:
            away = _AwayOnce(await memory_store(ACCOUNT))
            summary = summary_in(world, away)
            async with asyncio.TaskGroup() as tasks:
                run = tasks.create_task(summary.run())
                await at(TOLD_AT)
                await asyncio.sleep(180)
                run.cancel()

            assert away.failed
            assert len(world.alarms.told) == 1

    run_virtual(body(), begins=BEFORE_CLOSE)


class _AwayOnce:
    def __init__(self, inner: FaultyStore) -> None:
        self._inner = inner
        self.failed = False

    async def recall_answer(self, key: str) -> object:
        if not self.failed:
            self.failed = True
            raise StoreUnavailable("away")
        return await self._inner.recall_answer(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize("is_written", [True, False])
def test_a_day_whose_note_was_not_answered_is_told_once(*, is_written: bool) -> None:
    """A connection that breaks in that commit neither loses the summary nor doubles it."""

    async def body() -> None:
        async with running_world() as world:
            store = _UnansweredOnce(world.store, is_written=is_written)
            summary = summary_in(world, cast("FaultyStore", store))
            await at(TOLD_AT)
            with pytest.raises(CommitOutcomeUnknown):
                await summary.look()
            assert world.alarms.told == []
            for each in (summary, summary, summary_in(world)):
                await each.look()

            assert len(world.alarms.told) == 1

    run_virtual(body(), begins=BEFORE_CLOSE)


class _UnansweredOnce:
    def __init__(self, inner: FaultyStore, *, is_written: bool) -> None:
        self._inner = inner
        self._is_written = is_written
        self._has_failed = False

    async def remember_answer(self, key: str, answer: RememberedAnswer, at_ns: int) -> None:
        if self._has_failed or self._is_written:
            await self._inner.remember_answer(key, answer, at_ns)
        if not self._has_failed:
            self._has_failed = True
            raise CommitOutcomeUnknown("cut")

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def test_an_engine_tells_the_day_where_it_is_wanted() -> None:
    """It is wired to the channels of the alarms, and only where the world asks for it."""

    async def body() -> None:
        world = await make_world(tells_the_day=True)
        world.calendar.hours = TradingDay((USUAL,), USUAL)
        async with running(world):
            await at(TOLD_AT)
            await asyncio.sleep(120)
            assert len(world.alarms.told) == 1
        silent = await make_world()
        silent.calendar.hours = TradingDay((replace(USUAL, closes=time(15, 0)),), USUAL)
        async with running(silent):
            await at(time(16, 0))
            assert silent.alarms.told == []

    run_virtual(body(), begins=BEFORE_CLOSE)


def test_a_reading_that_fails_delays_the_summary() -> None:
    """The day is told at the next look, for it was not written down as told."""

    async def body() -> None:
        world = await make_world()
        summary = summary_in(world)
        await at(TOLD_AT)
        world.store.down = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            await summary.look()
        world.store.down = None
        await summary.look()

        assert len(world.alarms.told) == 1

    run_virtual(body(), begins=BEFORE_CLOSE)
