"""Alarms, kill switch and remembered answers."""

from dataclasses import replace
from decimal import Decimal as D

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS
from squareoff.adapters.sql.account_rows import ANSWERS_KEPT_NS
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.facts import (
    AccountPeakReached,
    AccountRuleFired,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmRaised,
    AlarmRepeated,
    BooksReconciled,
    BrokerLockAnswered,
    BrokerLockSent,
    EngineStarted,
    ExitAllAsked,
    ExitAllEnded,
    KillSwitchSet,
    Severity,
)
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.ports import AccountDayState, Alarm, ExitAllState, KillSwitchState, RememberedAnswer

RAISED = AlarmRaised(Severity.CRITICAL, "over_exit", "75 too many", TrackerId("trk-1"))


def test_alarms_follow_their_facts(opened) -> None:
    """A raised alarm shows under its fact's number until and after it is acknowledged."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED], START_NS)
            await store.record([AlarmAcknowledged(1)], START_NS + 5)
            await store.record([AlarmAcknowledged(1), RAISED], START_NS + 9)

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
            assert await store.alarms(open_only=True) == (second,)
            assert await store.alarms(since_ns=START_NS + 10) == (second,)
            assert await store.alarms(since_ns=START_NS) == (first, second)
            await store.record([AlarmCleared(second.seq, "over")], START_NS + 11)
            assert await store.alarms(open_only=True) == ()
            assert await store.alarms(since_ns=START_NS + 10) == ()

    run_async(body())


def test_alarms_of_one_kind_are_one_while_they_stand(opened) -> None:
    """A repeat is counted with its newest words; another position or text is another alarm."""
    about_account = AlarmRaised(Severity.WARNING, "position_mismatch", "A", None)
    newer = replace(RAISED, message="150 too many", severity=Severity.WARNING)
    other = replace(RAISED, tracker_id=TrackerId("trk-2"))

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED, newer, other], START_NS)
            await store.record([about_account, replace(about_account, message="B")], START_NS + 1)
            await store.record([about_account, AlarmRepeated(3, 7)], START_NS + 2)

            rows = [(a.seq, a.message, a.repeats) for a in await store.alarms()]
            assert rows == [(1, "150 too many", 1), (3, "75 too many", 7), (4, "A", 1), (5, "B", 0)]
            first, _, third, _ = await store.alarms()
            assert first.severity is Severity.CRITICAL
            assert third.last_raised_at_ns == START_NS + 2

    run_async(body())


def test_a_cleared_alarm_stands_no_more_and_a_new_one_is_new(opened) -> None:
    """What comes after the cause was gone is an alarm of its own."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED, AlarmCleared(1, "over")], START_NS)
            await store.record([RAISED], START_NS + 1)

            first, second = await store.alarms()
            assert (first.cleared_at_ns, first.is_open, first.repeats) == (START_NS, False, 0)
            assert (second.seq, second.is_open) == (3, True)

    run_async(body())


def test_the_wish_to_close_everything_is_kept_with_its_end(opened) -> None:
    """The newest wish counts; what becomes of an older one does not touch it."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.exit_all() is None
            await store.record([ExitAllAsked("all-1", "storm", True)], START_NS)
            await store.record([BrokerLockSent("all-1")], START_NS + 1)

            sent = ExitAllState("all-1", "storm", True, START_NS, lock_outcome="sent")
            assert await store.exit_all() == sent
            await store.record([BrokerLockAnswered("all-1", "locked", "done")], START_NS + 2)
            await store.record([ExitAllEnded("all-1", "closed", "all")], START_NS + 3)
            ended = ExitAllState(
                "all-1", "storm", True, START_NS, "closed", "locked", "all", START_NS + 3
            )
            assert await store.exit_all() == ended
            await store.record([ExitAllAsked("all-2", "again", False)], START_NS + 4)
            await store.record([ExitAllEnded("all-1", "lifted", "late")], START_NS + 5)
            assert await store.exit_all() == ExitAllState("all-2", "again", False, START_NS + 4)

    run_async(body())


def test_a_narrow_wish_is_kept_as_such(opened) -> None:
    """What it spares is known to the process that goes on with it."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([ExitAllAsked("all-1", "15:15", False, True)], START_NS)

            state = await store.exit_all()
            assert state == ExitAllState("all-1", "15:15", False, START_NS, intraday_only=True)

    run_async(body())


def test_the_account_day_follows_its_facts(opened) -> None:
    """Peak and what fired are of one day; a fact of another day begins it anew, all but
    why everything was closed last."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.account_day() is None
            await store.record([AccountPeakReached("2025-12-29", D("12.50"))], START_NS)
            await store.record([_fired(AccountRuleName.TARGET)], START_NS + 1)
            await store.record([AccountPeakReached("2025-12-29", D("13.00000001"))], START_NS + 2)
            both = _fired(AccountRuleName.TARGET, AccountRuleName.MAX_LOSS)
            await store.record([replace(both, closes_all=False, reason="too")], START_NS + 3)
            spent = (AccountRuleName.TARGET, AccountRuleName.MAX_LOSS)
            assert await store.account_day() == AccountDayState(
                "2025-12-29", D("13.00000001"), spent, "reached", START_NS + 1
            )

            await store.record([AccountPeakReached("2025-12-30", D(1))], START_NS + 4)
            assert await store.account_day() == AccountDayState(
                "2025-12-30", D(1), reason="reached"
            )
            other = SqlStore(database.runner, AccountId("1100000002"))
            assert await other.account_day() is None

    run_async(body())


def _fired(*spent: AccountRuleName) -> AccountRuleFired:
    return AccountRuleFired("2025-12-29", spent[-1], "reached", spent, True, D(5), D(6))


def test_acknowledging_an_unknown_alarm_changes_none(opened) -> None:
    """A number that is no alarm leaves all alarms open, and the fact in the journal."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([RAISED, AlarmAcknowledged(99)], START_NS)

            assert len(await store.alarms(open_only=True)) == 1
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


def test_answers_are_forgotten_after_a_week(opened) -> None:
    """The next answer takes the old ones along, of its own account alone."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            other = SqlStore(database.runner, AccountId("1100000002"))
            first = RememberedAnswer("hash-1", 201, "{}")
            for each in (store, other):
                await each.remember_answer("old", first, START_NS - 1)
            await store.remember_answer("of that instant", first, START_NS)
            await store.remember_answer("new", first, START_NS + ANSWERS_KEPT_NS)

            assert await store.recall_answer("old") is None
            assert await store.recall_answer("of that instant") == first
            assert await other.recall_answer("old") == first

    run_async(body())
