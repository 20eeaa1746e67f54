"""The token is renewed in time, told of in time, and its death delays exits least."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from exit_story.values import TRACKER
from service_world.session import DAY_SECONDS, ScriptedSession
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running
from squareoff.core.state.facts import ExitBlocked, TokenReplaced
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUnreachable,
    FeedDisconnected,
)
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.services.exits.exit_results import Wait

HOUR = 3_600.0


async def replacements(world: World) -> list[str]:
    entries = await world.store.entries()
    return [entry.fact.how for entry in entries if isinstance(entry.fact, TokenReplaced)]


def watched(body: Any, session: ScriptedSession, **wanted: Any) -> None:
    """Run `body(world)` on an engine with this session."""

    async def run() -> None:
        world = await make_world(session=session, **wanted)
        async with running(world, until_ready=False):
            await asyncio.sleep(0.5)
            await body(world)

    run_virtual(run())


def test_the_status_knows_when_the_token_ends() -> None:
    """The end is known from the start, and a dead token makes the engine not ready."""
    session = ScriptedSession(lives_seconds=DAY_SECONDS)

    async def body(world: World) -> None:
        status = world.engine.status.view()
        assert status.token_expires_ns == session.state.expires_ns
        assert status.is_ready
        session.kill()
        session.refuse()
        await asyncio.sleep(1.0)
        refused = world.engine.status.view()
        assert "the broker refuses the access token" in refused.not_ready_because
        assert (status.token_is_refused, refused.token_is_refused) == (False, True)

    watched(body, session)


RENEWALS = {
    # name: (life of the token, session ends after, seconds to wait, renewals made)
    "far off": (8 * HOUR, None, 3 * HOUR, 0),
    "an hour and a half before": (8 * HOUR, None, 6.6 * HOUR, 1),
    "before the session is over": (5 * HOUR, 6 * HOUR, 60.0, 1),
    "after the session": (7 * HOUR, 6 * HOUR, 60.0, 0),
    "just after the session": (6.1 * HOUR, 6 * HOUR, 60.0, 1),
}


@pytest.mark.parametrize("name", RENEWALS)
def test_a_token_is_renewed_in_time_and_once(name: str) -> None:
    """From 90 minutes before its end, or at once where it ends before the session does."""
    life, closes, wait, renewals = RENEWALS[name]
    session = ScriptedSession(ends_seconds=life)

    async def body(world: World) -> None:
        world.calendar.closes_in_seconds = closes
        await asyncio.sleep(wait)
        assert session.count("renew") == renewals
        assert await replacements(world) == ["renewal"] * renewals
        assert world.alarms.codes == []

    watched(body, session)


def test_a_token_just_renewed_is_not_told_to_end_too_soon() -> None:
    """Shortly after midnight MCX closes in almost a day, and its margin reaches beyond a day.

    The new token ends within that margin: it is renewed once more when that helps, and no alarm
    says that it could not be.
    """
    session = ScriptedSession(ends_seconds=22.5 * HOUR)

    async def run() -> None:
        world = await make_world(session=session)
        world.calendar.closes_in_seconds = 23 * HOUR + 50 * 60.0
        async with running(world):
            await asyncio.sleep(600.0)
            assert session.count("renew") == 1
            world.calendar.closes_in_seconds = 23 * HOUR + 38 * 60.0
            await asyncio.sleep(600.0)
            assert session.count("renew") == 2
            assert world.alarms.codes == []

    run_virtual(run())


def test_a_renewal_waits_for_exits_and_then_no_longer() -> None:
    """While an exit is under way the old token stays, until 20 minutes before its end."""
    session = ScriptedSession(ends_seconds=2 * HOUR)

    async def body(world: World) -> None:
        await world.hold()
        world.gateway.fills = False
        await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.CLAIMED)
        await asyncio.sleep(1.5 * HOUR)
        assert session.count("renew") == 0
        await asyncio.sleep(0.3 * HOUR)
        assert session.count("renew") == 1

    watched(body, session)


def test_a_token_that_is_not_renewable_is_told_of_ahead() -> None:
    """Refused renewals: a warning an hour before, a critical one in the last quarter of an hour."""
    session = ScriptedSession(lives_seconds=3 * HOUR, is_renewable=False)

    async def body(world: World) -> None:
        await asyncio.sleep(1.9 * HOUR)
        assert world.alarms.codes == []
        await asyncio.sleep(0.2 * HOUR)
        assert world.alarms.codes == ["token_ends_soon"]
        await asyncio.sleep(0.7 * HOUR)
        assert world.alarms.heard[-1][0].value == "critical"
        assert session.count("renew") == session.count("log_in") == 0

    watched(body, session)


def test_a_token_of_the_api_is_replaced_by_a_login() -> None:
    """What RenewToken does not take, a login replaces ahead of the end."""
    session = ScriptedSession(ends_seconds=HOUR, is_renewable=False, can_log_in=True)

    async def body(world: World) -> None:
        await asyncio.sleep(60.0)
        assert await replacements(world) == ["login"]
        assert world.alarms.codes == []

    watched(body, session)


def test_a_renewal_without_an_answer_is_settled_by_asking() -> None:
    """The old token may be dead: asked, it is, and PIN and code bring a new one."""
    session = ScriptedSession(lives_seconds=HOUR, can_log_in=True)

    async def body(world: World) -> None:
        assert await replacements(world) == ["login"]
        assert session.count("renew") == 1

    session.failures["renew"] = [BrokerOutcomeUnknown("reset")]
    session.kill()
    watched(body, session)


def test_an_exit_goes_on_at_once_with_the_new_token() -> None:
    """An exit that was refused for the token waits for it alone, and is woken."""
    session = ScriptedSession(can_log_in=True)

    async def body(world: World) -> None:
        await world.hold()
        session.kill()
        session.failures["log_in"] = [BrokerUnreachable("no line")]
        world.gateway.answers.extend([BrokerSessionExpired("401")] * 3)
        session.refuse()
        await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.CLAIMED)
        await asyncio.sleep(5.0)
        intent = world.tracker(TRACKER).intent
        assert intent is not None and intent.block_reason is BlockReason.TOKEN_DEAD
        world.gateway.answers.clear()
        await world.until(lambda: session.count("log_in") == 2, 200.0)
        made = asyncio.get_running_loop().time()
        await world.until_status(TRACKER, PositionStatus.EXITED)

        assert asyncio.get_running_loop().time() - made < 3.0
        assert len(world.gateway.orders) == 1
        assert world.alarms.codes.count("token_dead") == 1
        assert not any(code.startswith("exit_blocked") for code in world.alarms.codes)

    watched(body, session)


def test_a_token_that_dies_while_positions_are_read_is_the_one_thing_told() -> None:
    """A reading that fails for the token is no book that cannot be read: one alarm, one cure."""
    session = ScriptedSession(can_log_in=True)

    async def body(world: World) -> None:
        await world.hold()
        session.failures["log_in"] = [BrokerUnreachable("no line")]
        world.gateway.failures["positions"] = BrokerSessionExpired("401")
        await asyncio.sleep(100.0)  # the last comparison is too old to go by
        await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.CLAIMED)
        await asyncio.sleep(0.5)
        session.kill()
        session.refuse()
        await asyncio.sleep(5.0)
        intent = world.tracker(TRACKER).intent
        assert intent is not None and intent.block_reason is BlockReason.TOKEN_DEAD
        del world.gateway.failures["positions"]
        await world.until(lambda: session.count("log_in") == 2, 200.0)
        await world.until_status(TRACKER, PositionStatus.EXITED)

        facts = [entry.fact for entry in await world.store.entries()]
        told = {fact.reason for fact in facts if isinstance(fact, ExitBlocked)}
        assert told == {BlockReason.TOKEN_DEAD}

    watched(body, session, policy=ExitPolicy(reconciled_age_seconds_max=60.0))


def test_the_feed_connects_at_once_with_the_new_token() -> None:
    """Refused with 808 again and again it is tried ever more rarely, until the token is another."""
    session = ScriptedSession(can_log_in=True)

    async def body(world: World) -> None:
        session.kill()
        session.failures["log_in"] = [BrokerUnreachable("no line")]
        session.refuse()
        world.feed.refusals = [FeedDisconnected("no", 808)] * 5
        world.feed.cut()
        await world.until(lambda: session.count("log_in") == 2, 200.0)
        assert world.feed.refusals == []
        connects = len(world.feed.connects_at)

        await world.until(lambda: len(world.feed.connects_at) == connects + 1, 1.0)

    watched(body, session)


def test_a_false_sign_replaces_nothing() -> None:
    """A refusal or a socket's end while the profile answers: the token stays, nobody is told."""
    session = ScriptedSession(can_log_in=True, file_number=0)

    async def body(world: World) -> None:
        for sign in (session.refuse, session.suspect):
            sign()
            await asyncio.sleep(5.0)
        assert not session.state.is_refused
        assert session.count("log_in") == session.count("renew") == 0
        assert world.alarms.codes == []

    watched(body, session)


def test_a_refused_renewal_is_not_tried_in_a_loop() -> None:
    """Each try may kill a living token: ten minutes lie between two."""
    session = ScriptedSession(lives_seconds=HOUR)
    session.failures["renew"] = [BrokerRejected("not renewable")] * 99

    async def body(world: World) -> None:
        await asyncio.sleep(0.75 * HOUR)
        times = session.times("renew")
        assert 2 <= len(times) <= 5
        assert all(later - earlier >= 599.9 for earlier, later in pairwise(times))

    watched(body, session)
