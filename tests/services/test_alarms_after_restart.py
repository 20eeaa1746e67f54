"""What the last process complained of is over where the next one sees that all is well."""

import asyncio
from decimal import Decimal

import pytest

from exit_story.values import ACCOUNT
from service_world.session import ScriptedSession, ScriptedTimes
from service_world.store import FaultyStore, memory_store
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import make_world, running
from squareoff.core.state.facts import Severity
from squareoff.domain.account_rules import AccountRules
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics

WITH_RULES = AccountRules(max_loss=Decimal(10_000))
CODES = (
    "order_breaker_open",
    "exit_queue_slow",
    "position_mismatch",
    "clock_offset",
    "account_pnl_unknown",
    "token_dead",
    "token_not_made",
    "token_ends_soon",
    "static_ip_refused",
)


async def left_behind(*codes: str) -> FaultyStore:
    """Return a store in which the last process left an alarm of each code."""
    store = await memory_store(ACCOUNT)
    desk = AlarmDesk(store, (), VirtualClock(), Metrics())
    for code in codes:
        await desk.raise_alarm(Severity.CRITICAL, code, f"{code}, says the last process")
    return store


@pytest.mark.parametrize("rules", [AccountRules(), WITH_RULES], ids=["no rules", "rules"])
def test_a_healthy_engine_ends_what_the_last_one_raised(rules: AccountRules) -> None:
    """Each is told to be over, once."""

    async def body() -> None:
        world = await make_world(
            store=await left_behind(*CODES),
            session=ScriptedSession(),
            broker_time=ScriptedTimes(),
            account_rules=rules,
        )
        async with running(world):
            await asyncio.sleep(600.0)

            left = [alarm.code for alarm in await world.store.alarms() if alarm.is_open]
            assert left == []
            told = sorted(code for _, code, text in world.alarms.heard if text.startswith("OVER"))
            assert told == sorted(CODES)

    run_virtual(body())


def test_a_cause_that_goes_on_is_not_said_to_be_over() -> None:
    """A token that is dead, a clock that is off: the next process goes on telling of them."""

    async def body() -> None:
        session, times = ScriptedSession(), ScriptedTimes()
        session.kill()
        session.refuse()
        times.offset_seconds = 9.0
        codes = ("token_dead", "token_ends_soon", "clock_offset")
        world = await make_world(
            store=await left_behind(*codes), session=session, broker_time=times
        )
        async with running(world, until_ready=False):
            await asyncio.sleep(600.0)

            assert [text for _, _, text in world.alarms.heard if text.startswith("OVER")] == []

    run_virtual(body())
