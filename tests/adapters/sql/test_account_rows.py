"""Alarms, kill switch and remembered answers."""

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.facts import (
    AlarmAcknowledged,
    AlarmRaised,
    BooksReconciled,
    EngineStarted,
    KillSwitchSet,
    Severity,
)
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.ports import Alarm, KillSwitchState, RememberedAnswer

RAISED = AlarmRaised(Severity.CRITICAL, "over_exit", "75 too many", TrackerId("trk-1"))


def test_alarms_follow_their_facts(opened) -> None:
    """A raised alarm shows under its fact's number until and after it is acknowledged."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED, RAISED], START_NS)
            await store.record([AlarmAcknowledged(1)], START_NS + 5)
            await store.record([AlarmAcknowledged(1)], START_NS + 9)

            first, second = await store.alarms()
            assert first == Alarm(
                1,
                Severity.CRITICAL,
                "over_exit",
                "75 too many",
                TrackerId("trk-1"),
                START_NS,
                START_NS + 5,
            )
            assert second.acknowledged_at_ns is None
            assert await store.alarms(unacknowledged_only=True) == (second,)

    run_async(body())


def test_acknowledging_an_unknown_alarm_changes_none(opened) -> None:
    """A number that is no alarm leaves all alarms open, and the fact in the journal."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED, AlarmAcknowledged(99)], START_NS)

            assert len(await store.alarms(unacknowledged_only=True)) == 1
            assert await store.head() == 2

    run_async(body())


def test_the_kill_switch_is_off_until_set_and_then_as_last_set(opened) -> None:
    """Each setting replaces the one before; other accounts are not touched."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.kill_switch() == KillSwitchState(False, "new", "")
            await store.record([KillSwitchSet(True, "all", "panic")], START_NS)
            await store.record([KillSwitchSet(False, "new", "calm")], START_NS)

            assert await store.kill_switch() == KillSwitchState(False, "new", "calm")
            other = SqlStore(database.runner, AccountId("1100000002"))
            assert await other.kill_switch() == KillSwitchState(False, "new", "")

    run_async(body())


def test_other_facts_project_nothing(opened) -> None:
    """Starts and reconciliations are journal entries and nothing else."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            facts = [EngineStarted("0.1", "paper", 0), BooksReconciled("timer", 0, ())]
            await store.record(facts, START_NS)

            assert [entry.fact for entry in await store.entries()] == facts
            assert await store.alarms() == ()

    run_async(body())


def test_the_first_answer_under_a_key_stays(opened) -> None:
    """A later answer under the same key changes nothing, not even with another body."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = RememberedAnswer("hash-1", 201, '{"id": "trk-1"}')
            assert await store.recall_answer("key") is None
            await store.remember_answer("key", first, START_NS)
            await store.remember_answer("key", RememberedAnswer("hash-2", 409, "{}"), START_NS)

            assert await store.recall_answer("key") == first
            other = SqlStore(database.runner, AccountId("1100000002"))
            assert await other.recall_answer("key") is None

    run_async(body())
