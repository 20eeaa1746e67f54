"""A clock that is off or was set is told, and nothing else happens because of it."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import TRACKER
from service_world.session import ScriptedTimes
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running
from squareoff.core.session.trusted_time import TrustedTime
from squareoff.core.state.facts import Severity
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now
from squareoff.services.session.clock_watch import ClockWatch


def watched(body: Any, times: ScriptedTimes) -> None:
    """Run `body(world)` on an engine that hears this clock."""

    async def run() -> None:
        world = await make_world(broker_time=times)
        async with running(world):
            await body(world)

    run_virtual(run())


@pytest.mark.parametrize(
    ("offset", "is_told"), [(0.0, False), (1.4, False), (3.0, True), (-9.0, True)]
)
def test_more_than_two_seconds_are_told_once(offset: float, is_told: bool) -> None:
    """Ahead or behind; within the bound nobody is told."""
    times = ScriptedTimes()
    times.offset_seconds = offset

    async def body(world: World) -> None:
        await asyncio.sleep(30.0)
        assert world.alarms.codes == ["clock_offset"] * is_told
        if is_told:
            side = "ahead of" if offset > 0 else "behind"
            assert side in world.alarms.heard[0][2]

    watched(body, times)


def test_slow_answers_prove_nothing() -> None:
    """An answer that took long says little of the clock."""
    times = ScriptedTimes()
    times.offset_seconds, times.way_seconds = 5.0, 3.0

    async def body(world: World) -> None:
        await asyncio.sleep(30.0)
        assert world.alarms.codes == []

    watched(body, times)


def test_a_clock_that_is_right_again_clears_the_alarm() -> None:
    """The alarm ends with its cause."""
    times = ScriptedTimes()
    times.offset_seconds = 4.0

    async def body(world: World) -> None:
        await asyncio.sleep(30.0)
        times.offset_seconds = 0.0
        await asyncio.sleep(60.0)
        assert [a for a in await world.store.alarms(open_only=True) if a.is_open] == []

    watched(body, times)


@pytest.mark.parametrize("offset", [0.0, 9.0, -9.0])
def test_a_stop_fires_whatever_our_clock_is_off_by(offset: float) -> None:
    """Prices come with the exchange's time; ours, far ahead, makes none of them old."""
    times = ScriptedTimes()
    times.offset_seconds = offset

    async def body(world: World) -> None:
        await world.hold(rules=RuleSet(stop_loss=PriceRule(price=Decimal("145.00"))))
        await asyncio.sleep(30.0)
        world.tick("144.00", traded_ago=offset)
        await asyncio.sleep(5.0)
        assert world.tracker(TRACKER).status is PositionStatus.EXITED

    watched(body, times)


class SteppingClock:
    """Virtual time whose wall clock was set by `step_seconds`."""

    def __init__(self) -> None:
        self.step_seconds = 0.0

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        now = VirtualClock().now()
        return Now(now.wall_ns + round(self.step_seconds * 1e9), now.monotonic_ns)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


class HeardAlarms:
    """What was raised."""

    def __init__(self) -> None:
        self.raised: list[str] = []

    async def raise_alarm(self, severity: Severity, code: str, message: str) -> None:
        """Remember it."""
        self.raised.append(code)


@pytest.mark.parametrize(("step", "is_told"), [(0.2, False), (-1.0, True), (86_400.0, True)])
def test_a_step_of_the_wall_clock_is_seen(step: float, is_told: bool) -> None:
    """Slewing is not a step; setting the clock, or sleeping a day, is."""

    async def body() -> None:
        clock, alarms, times = SteppingClock(), HeardAlarms(), ScriptedTimes()
        times.offset_seconds = None
        metrics = (await make_world()).engine.metrics
        trusted = TrustedTime(clock.now())
        watch = ClockWatch(times, alarms, clock, metrics, trusted)  # type: ignore[arg-type]
        for number in range(5):
            clock.step_seconds = step if number > 2 else 0.0
            await clock.sleep(1.0)
            await watch.look()
        assert alarms.raised == ["clock_jumped"] * is_told

    run_virtual(body())
