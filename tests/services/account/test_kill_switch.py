"""The durable switch: thrown at once, released only when the release is committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from exit_story.values import ACCOUNT
from service_world.store import memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.rules import Urgency
from squareoff.ports import KillSwitchState, TrackerStore
from squareoff.services.account.kill_switch import KillSwitch


class SlowRecords:
    """A store that holds every record until it is let go."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Event] = []

    async def record(self, facts: Any, at_ns: int) -> tuple[()]:
        """Wait for this record's gate."""
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        return ()


def test_the_switch_survives_a_restart() -> None:
    """What was set is read back by the next process."""

    async def body() -> None:
        store = cast("TrackerStore", await memory_store(ACCOUNT))
        await KillSwitch(store, VirtualClock()).set(active=True, level="all", reason="storm")
        fresh = KillSwitch(store, VirtualClock())
        await fresh.load()

        assert fresh.state == KillSwitchState(active=True, level="all", reason="storm")
        assert fresh.blocks_exits

    run_virtual(body())


def test_the_first_reading_undoes_no_throw() -> None:
    """A halt that comes while the engine opens stands, stored or not."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        store.down = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            await switch.set(active=True, level="all", reason="halt")
        store.down = None
        await switch.load()

        assert switch.blocks_exits

    run_virtual(body())


@pytest.mark.parametrize(
    ("active", "level", "stops_entries", "stops_exits"),
    [(False, "all", False, False), (True, "new", True, False), (True, "all", True, True)],
)
def test_each_level_stops_what_it_names(
    active: bool, level: str, stops_entries: bool, stops_exits: bool
) -> None:
    """`new` lets only exits through, `all` nothing."""

    async def body() -> None:
        switch = KillSwitch(cast("TrackerStore", await memory_store(ACCOUNT)), VirtualClock())
        await switch.set(active=active, level=level, reason="x")

        assert switch.stops(Urgency.ENTRY) is switch.blocks_entries is stops_entries
        assert switch.stops(Urgency.STOP) is switch.blocks_exits is stops_exits

    run_virtual(body())


def test_throwing_takes_effect_before_its_commit_and_even_without_it() -> None:
    """A store that is away keeps nobody from stopping the engine."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        store.down = StoreUnavailable("away")
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())

        with pytest.raises(StoreUnavailable):
            await switch.set(active=True, level="all", reason="storm")
        assert switch.blocks_exits
        for active in (False, True):  # lifted, and lowered to `new`
            with pytest.raises(StoreUnavailable):
                await switch.set(active=active, level="new", reason="calm")
            assert switch.blocks_exits

    run_virtual(body())


def test_a_release_that_is_overtaken_does_not_release() -> None:
    """A switch thrown while its release is being committed stays thrown, without a gap."""

    async def body() -> None:
        store = SlowRecords()
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        loop = asyncio.get_running_loop()
        release = loop.create_task(switch.set(active=False, level="new", reason="calm"))
        await settle()
        throw = loop.create_task(switch.set(active=True, level="all", reason="storm"))
        await settle()
        store.gates[0].set()
        await release

        assert switch.blocks_exits
        await settle()
        store.gates[1].set()
        await throw
        assert switch.blocks_exits

    run_virtual(body())


def test_settings_are_committed_in_the_order_in_which_they_were_asked_for() -> None:
    """A slow commit of a throw cannot land after the release that followed it."""

    async def body() -> None:
        store = SlowRecords()
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        loop = asyncio.get_running_loop()
        throw = loop.create_task(switch.set(active=True, level="new", reason="storm"))
        await settle()
        release = loop.create_task(switch.set(active=False, level="new", reason="calm"))
        await settle()

        assert len(store.gates) == 1
        store.gates[0].set()
        await throw
        await settle()
        assert switch.blocks_entries
        store.gates[1].set()
        await release
        assert not switch.blocks_entries

    run_virtual(body())


@asynccontextmanager
async def watched(switch: KillSwitch) -> AsyncIterator[None]:
    """Run the switch's watch around the body."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(switch.run())
        yield
        running.cancel()


@pytest.mark.parametrize("level", ["new", "all"])
def test_every_process_on_the_database_follows_within_a_second(level: str) -> None:
    """A switch that another process throws or lifts holds here too."""

    async def body() -> None:
        store = cast("TrackerStore", await memory_store(ACCOUNT))
        here, there = KillSwitch(store, VirtualClock()), KillSwitch(store, VirtualClock())
        released = []

        async def note() -> None:
            released.append(asyncio.get_running_loop().time())

        here.on_release(note)
        async with watched(here):
            await there.set(active=True, level=level, reason="storm")
            await asyncio.sleep(1.0)
            assert here.state == there.state
            await there.set(active=False, level="new", reason="calm")
            await asyncio.sleep(1.0)

        assert not here.blocks_entries
        assert len(released) == (1 if level == "all" else 0)

    run_virtual(body())


def test_a_throw_that_could_not_be_stored_is_stored_later() -> None:
    """Until then the older stored state does not undo it; then every process knows of it."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        store.down = StoreUnavailable("away")
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        async with watched(switch):
            with pytest.raises(StoreUnavailable):
                await switch.set(active=True, level="all", reason="storm")
            with capture_logs() as logs:
                await asyncio.sleep(10.0)
            assert "kill_switch_stored_late" not in [each["event"] for each in logs]
            assert switch.blocks_exits
            assert switch.store_failure is not None
            store.down = None
            with capture_logs() as logs:
                await asyncio.sleep(1.0)

            assert [each["event"] for each in logs] == ["kill_switch_stored_late"]
            assert (await store.kill_switch()).active
            assert switch.blocks_exits
            assert switch.store_failure is None

    run_virtual(body())


def test_a_reading_under_way_does_not_undo_a_throw() -> None:
    """What was read before the switch was thrown here is old news."""

    async def body() -> None:
        store = SlowReads()
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        async with watched(switch):
            await asyncio.sleep(0.6)
            await switch.set(active=True, level="all", reason="storm")
            store.gate.set()
            await settle()

            assert switch.blocks_exits

    run_virtual(body())


class SlowReads:
    """A store whose reading of the switch, which is off there, waits to be let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def record(self, facts: Any, at_ns: int) -> tuple[()]:
        """Take everything."""
        return ()

    async def kill_switch(self) -> KillSwitchState:
        """Return off, once let go."""
        await self.gate.wait()
        return KillSwitchState(active=False, level="new", reason="")


def test_a_reading_that_begins_during_a_commit_does_not_undo_a_throw() -> None:
    """What is stored is older than what is on its way there."""

    async def body() -> None:
        store = SlowCommits()
        switch = KillSwitch(cast("TrackerStore", store), VirtualClock())
        async with watched(switch):
            throw = asyncio.get_running_loop().create_task(
                switch.set(active=True, level="all", reason="storm")
            )
            await asyncio.sleep(2.0)
            assert store.reads > 0
            assert switch.blocks_exits
            store.gates[0].set()
            await throw

            assert switch.blocks_exits

    run_virtual(body())


class SlowCommits(SlowRecords):
    """A store that reads off while a record waits to be let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def kill_switch(self) -> KillSwitchState:
        """Return off."""
        self.reads += 1
        return KillSwitchState(active=False, level="new", reason="")
