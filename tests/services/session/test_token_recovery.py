"""A dead token is replaced from its file or by a login, and never in a race with others."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from service_world.session import ScriptedSession
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running
from squareoff.domain.errors import BrokerRejected, BrokerUnreachable

MINUTE = 60.0


def watched(body: Any, session: ScriptedSession) -> None:
    """Run `body(world)` on an engine with this session."""

    async def run() -> None:
        world = await make_world(session=session)
        async with running(world, until_ready=False):
            await asyncio.sleep(0.5)
            await body(world)

    run_virtual(run())


def test_the_file_is_read_every_second_and_cures_without_a_login() -> None:
    """A new token in the file is in use within two seconds; PIN and secret stay unused."""
    session = ScriptedSession(file_number=0, can_log_in=True)

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(0.5)
        session.file_number = session.live_number
        await asyncio.sleep(2.0)
        assert session.token_number == session.live_number
        assert session.count("log_in") == 0
        assert world.alarms.codes == []

    watched(body, session)


def test_without_a_cure_one_alarm_says_what_to_do() -> None:
    """A dead token, no file, no login: one critical alarm, cleared when the broker takes it."""
    session = ScriptedSession()

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(40.0)
        assert world.alarms.codes == ["token_dead"]
        assert "start this program again" in world.alarms.heard[0][2]
        session.live_number = session.token_number
        await asyncio.sleep(20.0)
        assert not session.state.is_refused
        raised = await world.store.alarms(open_only=True)
        assert [alarm for alarm in raised if alarm.is_open] == []

    watched(body, session)


def test_a_file_that_gives_no_token_is_told_with_the_reason() -> None:
    """Its owner has replaced it, and was told again and again to do so; a moment is none."""
    session = ScriptedSession(file_number=0)

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(5.0)
        session.file_fault = "half written"
        await asyncio.sleep(1.0)
        session.file_fault = ""
        await asyncio.sleep(5.0)
        assert world.alarms.codes == ["token_dead"]
        session.file_fault = "token.txt could not be read (Permission denied)"
        await asyncio.sleep(30.0)
        assert world.alarms.codes == ["token_dead", "token_file_unusable"]
        assert "Permission denied" in world.alarms.heard[1][2]
        session.file_number, session.file_fault = session.live_number, ""
        await asyncio.sleep(20.0)
        raised = await world.store.alarms(open_only=True)
        assert [alarm for alarm in raised if alarm.is_open] == []

    watched(body, session)


def test_a_broker_that_cannot_be_asked_starts_no_login() -> None:
    """No answer is no death: nothing is made until the broker has confirmed it."""
    session = ScriptedSession(can_log_in=True)
    session.failures["profile"] = []

    async def body(world: World) -> None:
        session.failures["profile"] = [BrokerUnreachable("no line")] * 5
        session.kill()
        session.refuse()
        await asyncio.sleep(6.0)
        assert session.count("log_in") == 0
        await asyncio.sleep(20.0)
        assert session.count("log_in") == 1

    watched(body, session)


@pytest.mark.parametrize("file_number", [None, 0])
def test_a_token_of_which_the_broker_says_nothing_is_told(file_number: int | None) -> None:
    """Calls are refused and the profile answers with something else: nothing leaves, so a person is
    told after a minute, once, and no more than that is done without the broker's word."""
    session = ScriptedSession(can_log_in=True, file_number=file_number)

    async def body(world: World) -> None:
        session.failures["profile"] = [BrokerRejected("no access", code="DH-902")] * 10_000
        session.refuse()
        await asyncio.sleep(50.0)
        assert world.alarms.codes == []
        await asyncio.sleep(MINUTE)
        assert world.alarms.codes == ["token_unproved"]
        assert session.count("log_in") == 0

        session.failures["profile"].clear()
        await asyncio.sleep(10.0)
        assert not session.state.is_refused
        raised = await world.store.alarms(open_only=True)
        assert [alarm for alarm in raised if alarm.is_open] == []

    watched(body, session)


def test_two_logins_lie_two_minutes_apart() -> None:
    """A login that fails is tried again after its pause, and told of once."""
    session = ScriptedSession(can_log_in=True)
    session.failures["log_in"] = [BrokerRejected("Invalid TOTP")] * 3

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(10 * MINUTE)
        times = session.times("log_in")
        assert len(times) == 4
        assert all(late - early >= 124.9 for early, late in pairwise(times))
        raised = [alarm.code for alarm in await world.store.alarms()]
        assert raised == ["token_dead", "token_not_made"]

    watched(body, session)


def test_another_program_that_makes_tokens_too_is_given_way() -> None:
    """Each token of ours is killed at once: logins become rare, and a person is told."""
    session = ScriptedSession(can_log_in=True)

    async def body(world: World) -> None:
        for _ in range(3 * 60):
            if session.token_number == session.live_number:
                session.kill()
                session.refuse()
            await asyncio.sleep(MINUTE)
        times = session.times("log_in")
        pauses = [late - early for early, late in pairwise(times)]
        assert pauses[0] >= 125
        assert all(later >= earlier * 0.9 for earlier, later in pairwise(pauses))
        assert pauses[-1] >= 1_800
        assert len(times) <= 9, "twice an hour, after the first few"
        assert "token_contested" in world.alarms.codes

    watched(body, session)


def test_a_token_that_flaps_is_told_and_starts_no_login() -> None:
    """Calls refuse, the profile does not: the questions become rare, nothing is made."""
    session = ScriptedSession(can_log_in=True)

    async def body(world: World) -> None:
        for _ in range(600):
            session.refuse()
            await asyncio.sleep(0.1)
        assert session.count("log_in") == 0
        assert session.count("profile") < 60
        assert "token_refused_in_part" in world.alarms.codes
        assert "token_dead" not in world.alarms.codes

    watched(body, session)


def test_a_token_that_could_not_be_saved_is_told() -> None:
    """It is in use; the next start would find the dead one."""
    session = ScriptedSession(can_log_in=True, file_number=0, is_saved=False)

    async def body(world: World) -> None:
        session.kill()
        session.refuse()
        await asyncio.sleep(10.0)
        assert session.token_number == session.live_number
        assert "token_not_saved" in world.alarms.codes

    watched(body, session)
