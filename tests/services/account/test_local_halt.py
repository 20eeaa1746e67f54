"""A halt from the engine's own machine holds at once, is stored, and is told until it is over."""

import asyncio

from exit_story.values import TRACKER
from service_world.virtual import run_virtual
from service_world.world import running_world
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait


def test_a_local_halt_holds_everything_back_until_it_is_lifted() -> None:
    """Exits wait, the alarm stands, and lifting the switch lets them go and ends the alarm."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.local_halt.halt("SIGUSR1")
            switch = await world.engine.desk.kill_switch()
            await world.engine.desk.exit(TRACKER, "x", Wait.ACCEPTED, 1.0)

            assert (switch.active, switch.level) == (True, "all")
            assert switch.reason == "halted by SIGUSR1"
            assert world.gateway.requests == []
            (alarm,) = [a for a in await world.engine.desk.alarms() if a.code == "halted_locally"]
            assert alarm.cleared_at_ns is None
            await world.engine.desk.set_kill_switch(active=False, level="new", reason="calm")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            (alarm,) = [a for a in await world.engine.desk.alarms() if a.code == "halted_locally"]
            assert alarm.cleared_at_ns is not None

    run_virtual(body())


def test_a_database_that_is_away_delays_no_local_halt() -> None:
    """It holds and is told at once, and is stored once the database is back."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.down = StoreUnavailable("away")
            await world.engine.local_halt.halt("SIGUSR1")

            assert (await world.engine.desk.kill_switch()).level == "all"
            assert world.alarms.codes == ["halted_locally"]
            world.store.down = None
            await asyncio.sleep(5.0)
            assert (await world.store.kill_switch()).level == "all"
            assert (await world.store.kill_switch()).reason == "halted by SIGUSR1"

    run_virtual(body())
