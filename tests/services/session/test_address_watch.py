"""A refused address is one alarm that names it, and over when orders are taken again."""

import asyncio
from typing import Any

import pytest

from exit_story.values import TRACKER
from service_world.session import ScriptedSession
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running
from squareoff.domain.errors import STATIC_IP_CODE, BrokerRejected
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.ports import AddressState
from squareoff.services.exits.exit_results import Wait

REFUSED = AddressState(False, "203.0.113.7", ("192.0.2.1",))
ALLOWED = AddressState(True, "203.0.113.7", ("203.0.113.7",))
SILENT = AddressState(None, "", ("192.0.2.1",))


def watched(body: Any, session: ScriptedSession) -> None:
    """Run `body(world)` on an engine with this session."""

    async def run() -> None:
        world = await make_world(session=session)
        async with running(world):
            await asyncio.sleep(2.0)
            await body(world)

    run_virtual(run())


async def open_alarms(world: World) -> list[str]:
    return [a.code for a in await world.store.alarms(open_only=True) if a.is_open]


def test_an_unregistered_address_is_told_at_the_start_and_when_it_is_over() -> None:
    """The alarm names where we are and where we may be; registering the address clears it."""
    session = ScriptedSession()
    session.addresses = REFUSED

    async def body(world: World) -> None:
        assert world.alarms.codes == ["static_ip_refused"]
        text = world.alarms.heard[0][2]
        assert "203.0.113.7" in text and "192.0.2.1" in text
        session.addresses = ALLOWED
        await asyncio.sleep(40.0)
        assert await open_alarms(world) == []

    watched(body, session)


def test_no_answer_is_no_all_clear() -> None:
    """While getIP fails the alarm stands; its word that all is well ends it."""
    session = ScriptedSession()
    session.addresses = REFUSED

    async def body(world: World) -> None:
        session.addresses = None
        await asyncio.sleep(300.0)
        assert await open_alarms(world) == ["static_ip_refused"]
        session.addresses = ALLOWED
        await asyncio.sleep(40.0)
        assert await open_alarms(world) == []

    watched(body, session)


def test_a_silent_answer_ends_the_alarm_only_after_a_while() -> None:
    """An answer without a word on orders is no all-clear so soon after one that said no."""
    session = ScriptedSession()
    session.addresses = REFUSED

    async def body(world: World) -> None:
        session.addresses = SILENT
        await asyncio.sleep(120.0)
        assert await open_alarms(world) == ["static_ip_refused"]
        await asyncio.sleep(70.0)
        assert await open_alarms(world) == []

    watched(body, session)


def test_a_token_that_is_refused_meanwhile_is_no_all_clear() -> None:
    """The broker cannot be asked with a dead token: the alarm about the address stands."""
    session = ScriptedSession()
    session.addresses = REFUSED

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(100.0)
        assert "static_ip_refused" in await open_alarms(world)

    watched(body, session)


@pytest.mark.parametrize("answer", [SILENT, None, REFUSED])
def test_a_refused_exit_waits_slowly_and_is_told_once(answer: AddressState | None) -> None:
    """Whatever getIP says: one alarm, a try a minute, no attempt used up, and then it goes on."""
    session = ScriptedSession()

    async def body(world: World) -> None:
        session.addresses = answer
        await world.hold()
        refusal = BrokerRejected("Invalid IP", code=STATIC_IP_CODE, text="Invalid IP")
        world.gateway.answers.extend([refusal] * 15)
        await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.CLAIMED)
        await asyncio.sleep(14.5 * 60)
        intent = world.tracker(TRACKER).intent
        assert intent is not None and intent.block_reason is BlockReason.STATIC_IP
        assert len(world.gateway.answers) in (0, 1)
        codes = [code for code in world.alarms.codes if code != "static_ip_refused"]
        assert codes == [], "told by the one alarm, which is repeated until seen"
        await world.until_status(TRACKER, PositionStatus.EXITED)

    watched(body, session)


def test_an_address_refused_while_an_exit_rests_is_told() -> None:
    """Modifies need the address too: an exit that cannot be moved does not merely rest."""
    session = ScriptedSession()

    async def body(world: World) -> None:
        session.addresses = SILENT
        world.gateway.fills = False
        await world.hold()
        world.tick("150.00")
        await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.CLAIMED)
        await world.until(lambda: bool(world.gateway.orders))
        refusal = BrokerRejected("Invalid IP", code=STATIC_IP_CODE, text="Invalid IP")
        world.gateway.failures["modify_order"] = refusal
        for price in range(150, 140, -1):
            world.tick(f"{price}.00")
            await asyncio.sleep(1.0)

        assert "static_ip_refused" in world.alarms.codes

    watched(body, session)
