"""The store as its ports describe it, on every database."""

import asyncio
from typing import cast

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.util import await_only

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of, claimed, legal_history
from sql_samples.histories import opened as opening
from squareoff.adapters.sql.group_commit import Work
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.adapters.sql.runners import Result, Runner
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import exit_intents
from squareoff.core.session.lease import OwnerClaim, TakeoverCause
from squareoff.core.state import facts as f
from squareoff.core.state.change import Change
from squareoff.core.state.evolve import fold
from squareoff.domain.errors import InvariantBroken, LostUpdate, StoreError
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.ports import Journal, KillSwitchState, RememberedAnswer, TrackerStore

ALARM = f.AlarmRaised(f.Severity.CRITICAL, "over_exit", "more was closed than held", None)
HISTORIES = 12
CHANGES_PER_HISTORY = 30


def _ports(runner: Runner) -> tuple[TrackerStore, Journal]:
    """The type checker proves here that the store fulfils both ports."""
    store = SqlStore(runner, ACCOUNT)
    return store, store


def test_stored_trackers_and_folded_journals_equal_the_evolved_ones(opened) -> None:
    """After any legal history both the stored tracker and its journal's fold are the tracker."""

    async def body() -> None:
        async with opened() as database:
            store, journal = _ports(database.runner)
            for seed in range(HISTORIES):
                print(f"seed {seed}")
                tracker_id = TrackerId(f"trk-{seed}")
                for at_ns, change in legal_history(seed, tracker_id, CHANGES_PER_HISTORY):
                    entries = await store.commit(change, at_ns)
                    assert tuple(entry.fact for entry in entries) == change.facts
                    assert all(entry.time_ns == at_ns for entry in entries)

                stored = await store.load(tracker_id)
                entries = await journal.entries(tracker_id=tracker_id)
                assert stored == change.after
                assert repr(stored) == repr(change.after), "a decimal changed its digits"
                assert fold((entry.time_ns, entry.fact) for entry in entries) == stored
            loaded = await store.load_all()
            assert [each.tracker_id for each in loaded] == [f"trk-{n}" for n in range(HISTORIES)]
            assert (await SqlStore(database.runner, ACCOUNT).verify_chain()).is_intact

    run_async(body(), within_seconds=120)


def test_every_step_of_a_history_can_be_loaded(opened) -> None:
    """The stored tracker equals the committed one after every single change."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            for at_ns, change in legal_history(7, "trk-7", 60):
                await store.commit(change, at_ns)
                assert await store.load(TrackerId("trk-7")) == change.after

    run_async(body())


def test_entries_are_numbered_without_gaps_and_can_be_paged(opened) -> None:
    """Entries carry 1, 2, 3, ... and come in pages after a number, of one tracker or of all."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.head() == 0
            await store.commit(change_of(None, opening("trk-1")), START_NS)
            await store.commit(change_of(None, opening("trk-2"), claimed("trk-2")), START_NS)
            await store.record([ALARM], START_NS)

            assert await store.head() == 4
            assert [entry.seq for entry in await store.entries()] == [1, 2, 3, 4]
            assert [entry.seq for entry in await store.entries(after_seq=1, limit=2)] == [2, 3]
            of_second = await store.entries(tracker_id=TrackerId("trk-2"))
            assert [entry.kind for entry in of_second] == ["tracker_opened", "exit_claimed"]

    run_async(body())


def test_trackers_are_filtered_by_status_and_account(opened) -> None:
    """`load_all` gives the wanted statuses of its own account, in the order of opening."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.commit(change_of(None, opening("trk-b")), START_NS)
            await store.commit(change_of(None, opening("trk-a", awaits_entry=True)), START_NS)
            other = SqlStore(database.runner, AccountId("1100000002"))

            pending = await store.load_all([PositionStatus.PENDING])
            assert [each.tracker_id for each in pending] == ["trk-a"]
            assert [each.tracker_id for each in await store.load_all()] == ["trk-b", "trk-a"]
            assert await store.load_all([]) == ()
            assert await other.load_all() == () and await other.load(TrackerId("trk-b")) is None
            assert await other.head() == 0

    run_async(body())


def test_a_change_from_an_old_version_writes_nothing(opened) -> None:
    """A commit whose `before` is not the stored version is lost and leaves no trace."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening())
            await store.commit(first, START_NS)
            claim = change_of(first.after, claimed())
            await store.commit(claim, START_NS)

            with pytest.raises(LostUpdate, match="no longer at version 0"):
                await store.commit(change_of(first.after, claimed(intent_id="int-2")), START_NS)
            with pytest.raises(LostUpdate):
                await store.commit(first, START_NS)
            assert await store.load(TrackerId("trk-1")) == claim.after
            assert await store.head() == 2
            assert (await store.verify_chain()).is_intact

    run_async(body())


def test_a_failure_after_the_state_leaves_neither_state_nor_journal(opened) -> None:
    """Where the last write of a transaction fails, its first ones are gone too."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening())
            await store.commit(first, START_NS)
            # Text that is no Unicode is found out only when the journal is written.
            bad = f.AlarmRaised(f.Severity.WARNING, "code", "\udcff")
            claim = change_of(first.after, claimed())

            with pytest.raises(StoreError):
                await store.commit(Change(claim.before, claim.after, claim.facts, (bad,)), START_NS)
            assert await store.load(TrackerId("trk-1")) == first.after
            assert await store.head() == 1
            await store.commit(claim, START_NS)
            assert await store.load(TrackerId("trk-1")) == claim.after

    run_async(body())


def test_alarms_of_a_change_are_in_its_transaction(opened) -> None:
    """Account facts of a change follow its facts in the journal and show as alarms."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening())
            entries = await store.commit(Change(None, first.after, first.facts, (ALARM,)), START_NS)

            assert [entry.kind for entry in entries] == ["tracker_opened", "alarm_raised"]
            assert [alarm.seq for alarm in await store.alarms()] == [2]

    run_async(body())


def test_a_change_without_steps_still_checks_the_version(opened) -> None:
    """A change that only raises alarms is lost where the tracker has moved on."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening())
            await store.commit(first, START_NS)
            only_alarm = Change(first.after, first.after, (), (ALARM,))
            await store.commit(only_alarm, START_NS)
            await store.commit(change_of(first.after, claimed()), START_NS)

            with pytest.raises(LostUpdate):
                await store.commit(only_alarm, START_NS)
            assert len(await store.alarms()) == 1

    run_async(body())


def test_an_intent_that_ends_and_is_followed_in_one_change_is_kept(opened) -> None:
    """Withdrawing one intent and claiming the next in one change keeps the first as withdrawn."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening(), claimed())
            await store.commit(first, START_NS)
            withdrawn = f.ExitWithdrawn(TrackerId("trk-1"), "operator")
            second = change_of(first.after, withdrawn, claimed(intent_id="int-2"))
            await store.commit(second, START_NS)

            stored = await store.load(TrackerId("trk-1"))
            assert stored == second.after
            assert stored is not None and stored.intent is not None
            assert stored.intent.status is IntentStatus.OPEN
            query = select(exit_intents.c.status).order_by(exit_intents.c.intent_id)
            statuses = await database.runner.read(lambda c: c.execute(query).scalars().all())
            assert statuses == ["WITHDRAWN", "OPEN"]

    run_async(body())


def test_facts_that_do_not_account_for_the_step_are_refused(opened) -> None:
    """A change whose facts would not rebuild its tracker is our bug and writes nothing."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            claim = change_of(change_of(None, opening()).after, claimed())

            with pytest.raises(InvariantBroken, match="would not rebuild"):
                await store.commit(Change(None, claim.after, claim.facts), START_NS)
            foreign = SqlStore(database.runner, AccountId("1100000002"))
            with pytest.raises(InvariantBroken, match="another account"):
                await foreign.commit(change_of(None, opening()), START_NS)
            assert await store.head() == 0

    run_async(body())


def test_of_simultaneous_claims_exactly_one_wins(shared_opened) -> None:
    """Any number of writers on connections of their own claim at once: one wins, the rest lose."""

    async def body() -> None:
        async with shared_opened() as one, shared_opened() as two, shared_opened() as three:
            stores = [SqlStore(database.runner, ACCOUNT) for database in (one, two, three)]
            first = change_of(None, opening())
            await stores[0].commit(first, START_NS)
            claims = [
                store.commit(change_of(first.after, claimed(intent_id=f"int-{n}")), START_NS)
                for n, store in enumerate(stores * 3)
            ]

            outcomes = await asyncio.gather(*claims, return_exceptions=True)

            won = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
            lost = [outcome for outcome in outcomes if isinstance(outcome, LostUpdate)]
            assert (len(won), len(lost)) == (1, 8), outcomes
            assert [entry.seq for entry in await stores[0].entries()] == [1, 2]

    run_async(body())


def test_simultaneous_openings_of_one_tracker_leave_one(shared_opened) -> None:
    """The same new tracker committed by two writers at once exists once."""

    async def body() -> None:
        async with shared_opened() as one, shared_opened() as two:
            stores = [SqlStore(database.runner, ACCOUNT) for database in (one, two)]
            openings = [store.commit(change_of(None, opening()), START_NS) for store in stores]

            outcomes = await asyncio.gather(*openings, return_exceptions=True)

            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LostUpdate", "tuple"]
            assert await stores[0].head() == 1

    run_async(body())


def test_numbers_stay_gapless_under_simultaneous_commits(shared_opened) -> None:
    """Writers that commit and fail at the same time leave numbers 1..n and an intact chain."""

    async def body() -> None:
        async with shared_opened() as one, shared_opened() as two:
            stores = [SqlStore(database.runner, ACCOUNT) for database in (one, two)]

            async def write(store: SqlStore, name: str) -> None:
                for number in range(15):
                    opening_change = change_of(None, opening(f"{name}-{number}"))
                    await store.commit(opening_change, START_NS)
                    with pytest.raises(LostUpdate):
                        await store.commit(opening_change, START_NS)

            await asyncio.gather(write(stores[0], "a"), write(stores[1], "b"))

            assert [entry.seq for entry in await stores[0].entries()] == list(range(1, 31))
            assert (await stores[1].verify_chain()).is_intact

    run_async(body())


def test_accounts_have_journals_of_their_own(shared_opened) -> None:
    """Each account's journal counts from 1 and its chain does not depend on another's."""

    async def body() -> None:
        async with shared_opened() as database:
            stores = [SqlStore(database.runner, AccountId(name)) for name in ("a", "b")]
            for store in (*stores, stores[0]):
                await store.record([ALARM], START_NS)

            assert [await store.head() for store in stores] == [2, 1]
            assert all([(await store.verify_chain()).is_intact for store in stores])

    run_async(body())


def test_kill_switch_and_answers_outlive_the_process(shared_opened) -> None:
    """What was set before closing the database is found by the next opening."""

    async def body() -> None:
        answer = RememberedAnswer("hash", 201, "{}")
        async with shared_opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record([f.KillSwitchSet(True, "all", "drill")], START_NS)
            await store.remember_answer("key", answer, START_NS)
        async with shared_opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.kill_switch() == KillSwitchState(True, "all", "drill")
            assert await store.recall_answer("key") == answer

    run_async(body())


class _Stalled:
    """A runner whose server has begun a COMMIT and does not come to its end."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def write(self, work: Work[Result]) -> Result:
        def stalled(connection: Connection) -> Result:
            result = work(connection)
            self.has_begun.set()
            await_only(self.may_end.wait())
            return result

        return await self._runner.write(stalled)


async def _wait_for_lock_or_end(runner: Runner, reading: "asyncio.Task[object]") -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not reading.done():
        if await runner.read(lambda connection: connection.execute(waiting).scalar_one()):
            return


@pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", ["tracker", "exit-all"])
def test_what_is_read_back_is_read_after_a_commit_that_the_server_is_at(
    shared_opened, what
) -> None:
    """A COMMIT whose answer was given up may yet end well; the state before it proves nothing."""

    async def body() -> None:
        async with shared_opened() as database, shared_opened() as other:
            claim = OwnerClaim("here", 1, "", "1", "", 10.0)
            owners = SqlOwnerStore(database.runner, ACCOUNT)
            first = TakeoverCause.FIRST
            epoch = await owners.take(claim, first, None, holds_lock=True, at_ns=START_NS)
            store = SqlStore(database.runner, ACCOUNT, epoch)
            opened = change_of(None, opening("trk-1"))
            await store.commit(opened, START_NS)
            stalled = _Stalled(other.runner)
            given_up = SqlStore(cast("Runner", stalled), ACCOUNT, epoch)
            claimed_change = change_of(opened.after, claimed("trk-1"))
            wish = f.ExitAllAsked("all-1", "enough", lock_account=False)

            is_tracker = what == "tracker"
            written = asyncio.create_task(
                given_up.commit(claimed_change, START_NS)
                if is_tracker
                else given_up.record((wish,), START_NS)
            )
            await stalled.has_begun.wait()
            reading: asyncio.Task[object] = asyncio.create_task(
                store.load(TrackerId("trk-1")) if is_tracker else store.exit_all()
            )
            await _wait_for_lock_or_end(database.runner, reading)
            stalled.may_end.set()
            await written

            found = await reading
            assert found == (claimed_change.after if is_tracker else await store.exit_all())
            assert found is not None

    run_async(body())
