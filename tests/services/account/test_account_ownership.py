"""An account changes hands in virtual time: never two that may send, never none for long."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from service_world.virtual import VirtualClock, run_virtual
from squareoff.adapters.sql.database import open_inline_database
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.session.lease import (
    SEND_DEADLINE_SECONDS,
    TAKEOVER_MARGIN_SECONDS,
    AccountOwner,
    OwnerClaim,
)
from squareoff.core.state.facts import AlarmRaised, Severity
from squareoff.domain.errors import (
    AccountLocked,
    CommitOutcomeUnknown,
    OwnershipLost,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.ids import AccountId
from squareoff.ports import Ownership, SendFence
from squareoff.services.account.account_ownership import LOOK_SECONDS_MAX, AccountOwnership
from squareoff.simulator.virtual.virtual_lock import LockFile, VirtualLock

LEASE_SECONDS = 5.0
ALARM = AlarmRaised(Severity.WARNING, "x", "y")
SILENCE_SECONDS = LEASE_SECONDS + SEND_DEADLINE_SECONDS + TAKEOVER_MARGIN_SECONDS


class PausableClock(VirtualClock):
    """A clock whose process can be stopped: no wait of it ends meanwhile."""

    def __init__(self) -> None:
        self.is_running = asyncio.Event()
        self.is_running.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, and go on only while the process runs."""
        await asyncio.sleep(seconds)
        await self.is_running.wait()


class FailingStore(SqlOwnerStore):
    """A store that is away while `is_away`."""

    is_away = False
    answer_seconds = 0.0
    """How long after a renewal is durable its answer comes."""

    async def renew(self, epoch: int, *, holds_lock: bool, lease_until_ns: int) -> None:
        """Renew, unless the database is away."""
        if self.is_away:
            raise StoreUnavailable("the database is away")
        await super().renew(epoch, holds_lock=holds_lock, lease_until_ns=lease_until_ns)
        await asyncio.sleep(self.answer_seconds)


class Process:
    """One process with its clock, store and lock; `kill` ends it without a word."""

    def __init__(self, world: "OwnersWorld", number: int, **claim: Any) -> None:
        self.clock = PausableClock()
        self.store = FailingStore(world.database.runner, AccountId("1100000001"))
        self.is_dead = False
        self.lock = VirtualLock(
            world.lock_file, lambda: self.is_dead, proves_death=world.proves_death
        )
        base = OwnerClaim("host", number, f"key-{number}", "1.0", "abc", LEASE_SECONDS)
        self.ownership = AccountOwnership(
            self.store,
            self.lock,
            replace(base, **claim),
            self.clock,
            is_gone=lambda key: world.knows_the_gone and world.by_key[key].is_dead,
        )
        self.keeping: asyncio.Task[None] | None = None
        world.by_key[f"key-{number}"] = self

    @property
    def may_send(self) -> bool:
        """Whether an order of now could leave."""
        now_ns = self.clock.now().monotonic_ns
        return not self.is_dead and self.ownership.refusal(now_ns + 1) is None

    def keep(self) -> None:
        """Renew in the background."""
        self.keeping = asyncio.get_running_loop().create_task(self.ownership.keep())

    def kill(self) -> None:
        """End at once."""
        self.is_dead = True
        if self.keeping is not None:
            self.keeping.cancel()


class OwnersWorld:
    """One database and one lock for many processes."""

    def __init__(self, *, proves_death: bool = True, knows_the_gone: bool = False) -> None:
        self.database = open_inline_database()
        self.lock_file = LockFile()
        self.proves_death = proves_death
        self.knows_the_gone = knows_the_gone
        self.by_key: dict[str, Process] = {}
        self.seen: list[AccountOwner | None] = []

    async def owner(self, number: int = 1, **claim: Any) -> Process:
        """Return a process that owns the account and keeps it."""
        process = Process(self, number, **claim)
        await process.ownership.take()
        process.keep()
        return process

    async def standby(self, number: int = 2, **claim: Any) -> tuple[Process, asyncio.Task[int]]:
        """Return a process that stands by, and its waiting."""
        process = Process(self, number, **claim)
        work = process.ownership.stand_by(self.seen.append)
        return process, asyncio.get_running_loop().create_task(work)


def run_world(body: Callable[[OwnersWorld], Coroutine[Any, Any, None]], **kinds: bool) -> None:
    """Run a story, and see at every tenth of a second that at most one process may send."""

    async def watch(world: OwnersWorld) -> None:
        while True:
            assert sum(process.may_send for process in world.by_key.values()) <= 1
            await asyncio.sleep(0.1)

    async def story() -> None:
        world = OwnersWorld(**kinds)
        await prepare(world.database)
        watching = asyncio.get_running_loop().create_task(watch(world))
        await body(world)
        assert not watching.done(), watching.exception()
        for process in world.by_key.values():
            process.kill()
        watching.cancel()

    run_virtual(story())


def test_it_fulfils_its_ports() -> None:
    """The type checker proves here that one object is ownership and fence."""

    async def body(world: OwnersWorld) -> None:
        ownership: Ownership = (process := await world.owner()).ownership
        fence: SendFence = process.ownership
        assert ownership.takeover_text == ""
        assert fence.refusal(None) is None

    run_world(body)


def test_an_owner_may_send_as_long_as_it_renews() -> None:
    """Before it took the account nothing may leave; with renewals it may for ever."""

    async def body(world: OwnersWorld) -> None:
        process = Process(world, 1)
        assert process.ownership.refusal(None) == "this engine does not own the account"
        assert await process.ownership.take() == process.ownership.epoch == 1
        process.keep()
        for _ in range(100):
            await asyncio.sleep(1.0)
            assert process.may_send

    run_world(body)


def test_an_order_that_was_decided_too_long_ago_stays() -> None:
    """The send deadline holds for the owner itself; without one only the lease counts."""

    async def body(world: OwnersWorld) -> None:
        process = await world.owner()
        now_ns = process.clock.now().monotonic_ns
        assert process.ownership.refusal(now_ns + 1) is None
        assert "deadline" in (process.ownership.refusal(now_ns) or "")
        assert process.ownership.refusal(None) is None

    run_world(body)


def test_a_slow_renewal_shortens_the_lease_by_its_own_length() -> None:
    """The lease counts from before the renewal began: a standby may have seen it at once."""

    async def body(world: OwnersWorld) -> None:
        process = Process(world, 1)
        await process.ownership.take()
        process.store.answer_seconds = 3.0
        process.keep()
        await asyncio.sleep(3.5)  # the first renewal was answered
        process.store.is_away = True
        await asyncio.sleep(LEASE_SECONDS - 3.5 - 0.001)
        assert process.may_send
        await asyncio.sleep(0.001)

        assert "ran out" in (process.ownership.refusal(None) or "")

    run_world(body)


def test_a_lease_that_is_not_renewed_runs_out_and_comes_back() -> None:
    """A failed renewal gives nothing; with the database the lease is back, if nobody took over."""

    async def body(world: OwnersWorld) -> None:
        process = await world.owner()
        process.store.is_away = True
        await asyncio.sleep(LEASE_SECONDS - 0.001)
        assert process.may_send
        await asyncio.sleep(0.001)
        assert "ran out" in (process.ownership.refusal(None) or "")

        process.store.is_away = False
        await asyncio.sleep(LEASE_SECONDS)
        assert process.may_send, "the database is back and nobody took over"

    run_world(body)


def test_a_database_that_takes_nothing_is_trouble_once_the_lease_ran_out() -> None:
    """Told once when it begins and once when it ends; what the lease outlives is none."""

    async def body(world: OwnersWorld) -> None:
        process = await world.owner()
        told: list[str] = []
        process.ownership.on_trouble(told.append)
        process.store.is_away = True
        await asyncio.sleep(LEASE_SECONDS - 0.001)
        process.store.is_away = False
        await asyncio.sleep(LEASE_SECONDS)
        assert (told, process.ownership.trouble) == ([], "")

        process.store.is_away = True
        await asyncio.sleep(3 * LEASE_SECONDS)
        assert told == [process.ownership.trouble] == ["the database is away"]
        process.store.is_away = False
        await asyncio.sleep(LEASE_SECONDS)
        assert (told, process.ownership.trouble) == (["the database is away", ""], "")

    run_world(body)


def test_a_busy_owner_lives_by_its_commits() -> None:
    """While renewals wait in a queue, every durable commit keeps owner and standby agreed."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        _, waiting = await world.standby()
        journal = SqlStore(
            world.database.runner, AccountId("1100000001"), first.ownership.epoch, first.ownership
        )
        first.store.is_away = True
        for _ in range(30):
            await journal.record((ALARM,), 0)
            await asyncio.sleep(LEASE_SECONDS - 1.0)
            assert first.may_send
        assert not waiting.done()
        waiting.cancel()

    run_world(body)


def test_a_second_engine_is_refused_with_the_owners_name() -> None:
    """Who holds it, since when, and what to do: and the owner goes on."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        with pytest.raises(AccountLocked, match=r"process 1 on host.*since.*--standby"):
            await Process(world, 2).ownership.take()
        assert first.may_send

    run_world(body)


def test_a_released_account_is_taken_at_once() -> None:
    """An engine that ends in good order leaves nothing to wait for, whatever the lock proves."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        await first.ownership.release()
        first.kill()
        assert not first.may_send
        began = world.by_key["key-1"].clock.now().monotonic_ns
        second = await world.owner(2)
        assert second.clock.now().monotonic_ns == began
        assert (second.ownership.epoch, second.ownership.takeover_text) == (2, "")

    run_world(body, proves_death=False)


@pytest.mark.parametrize(
    ("proves_death", "knows_the_gone", "wait_seconds"),
    [(True, False, 0.0), (False, True, 0.0), (False, False, SILENCE_SECONDS)],
    ids=["flock", "server and same machine", "server and elsewhere"],
)
def test_a_standby_takes_over_from_the_dead(
    proves_death: bool, knows_the_gone: bool, wait_seconds: float
) -> None:
    """At once where the death is proved, after lease, deadline and margin where it is not."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        second, waiting = await world.standby()
        await asyncio.sleep(60.0)
        assert not waiting.done()
        assert world.seen[-1] is not None and world.seen[-1].epoch == 1
        died_ns = first.clock.now().monotonic_ns
        first.kill()
        assert await waiting == 2

        took = (second.clock.now().monotonic_ns - died_ns) / 1e9
        earliest = wait_seconds - LEASE_SECONDS / 3
        assert max(0.0, earliest) <= took <= wait_seconds + 2 * LOOK_SECONDS_MAX
        assert "process 1 on host" in second.ownership.takeover_text

    run_world(body, proves_death=proves_death, knows_the_gone=knows_the_gone)


def test_a_restart_beside_a_servers_lock_waits_for_the_silent_owner() -> None:
    """A plain start where the death is likely but not proved waits, and then takes the account."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        first.kill()
        began_ns = first.clock.now().monotonic_ns
        second = await world.owner(2)
        took = (second.clock.now().monotonic_ns - began_ns) / 1e9
        assert SILENCE_SECONDS <= took <= SILENCE_SECONDS + LOOK_SECONDS_MAX

    run_world(body, proves_death=False)


def test_a_start_whose_rival_only_lost_its_lock_is_refused() -> None:
    """A cut connection frees a server's lock while the owner lives: its renewals refuse us, and it
    takes the lock again."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        world.lock_file.holder = None
        with pytest.raises(AccountLocked, match="process 1 on host"):
            await Process(world, 2).ownership.take()
        await asyncio.sleep(LEASE_SECONDS)
        assert await first.lock.is_held() and first.may_send

    run_world(body, proves_death=False)


def test_an_owner_whose_lock_file_was_replaced_stops() -> None:
    """A lock that proves death and is lost means that another engine may own the account."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        world.lock_file.holder = None
        await asyncio.sleep(LEASE_SECONDS)
        assert first.keeping is not None and first.keeping.done()
        assert isinstance(first.keeping.exception(), OwnershipLost)
        assert not first.may_send

    run_world(body)


@pytest.mark.parametrize("pause_seconds", [1.0, LEASE_SECONDS, SILENCE_SECONDS - 2.0])
def test_a_short_pause_changes_no_owner(pause_seconds: float) -> None:
    """An owner that slept less than the whole span goes on: not sending until it has renewed."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        _, waiting = await world.standby()
        await asyncio.sleep(20.0)
        first.clock.is_running.clear()
        await asyncio.sleep(pause_seconds)
        assert first.may_send == (pause_seconds < LEASE_SECONDS - LEASE_SECONDS / 3)
        first.clock.is_running.set()
        await asyncio.sleep(LEASE_SECONDS)

        assert first.may_send and not waiting.done()
        waiting.cancel()

    run_world(body)


def test_a_paused_owner_is_followed_and_stops_when_it_wakes() -> None:
    """The standby acts after lease, deadline and margin; the sleeper may not send for a moment."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        second, waiting = await world.standby()
        await asyncio.sleep(20.0)
        first.clock.is_running.clear()
        stopped_ns = first.clock.now().monotonic_ns
        assert await waiting == 2
        second.keep()
        took = (second.clock.now().monotonic_ns - stopped_ns) / 1e9
        assert SILENCE_SECONDS - LEASE_SECONDS / 3 <= took <= SILENCE_SECONDS + LOOK_SECONDS_MAX
        assert "no sign of life" in second.ownership.takeover_text
        await asyncio.sleep(30.0)

        assert "ran out" in (first.ownership.refusal(None) or "")
        first.clock.is_running.set()
        await asyncio.sleep(LEASE_SECONDS)
        assert first.keeping is not None
        assert isinstance(first.keeping.exception(), OwnershipLost)
        assert first.ownership.refusal(None) == "this engine does not own the account"
        assert second.may_send

        first.is_dead = True  # it ends: its lock comes free and goes to the owner
        await asyncio.sleep(LEASE_SECONDS)
        assert await second.lock.is_held()
        stored = await second.store.owner()
        assert stored is not None and stored.holds_lock

    run_world(body)


def test_a_free_lock_of_a_sleeper_proves_nothing_about_its_successor() -> None:
    """The successor came without the lock; when the sleeper dies, a third one may not follow."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        second, waiting = await world.standby()
        await asyncio.sleep(20.0)
        first.clock.is_running.clear()
        await waiting
        first.kill()
        third = Process(world, 3)
        second.keep()  # its renewals begin only now
        with pytest.raises(AccountLocked, match="process 2 on host"):
            await third.ownership.take()
        assert second.may_send

    run_world(body)


def test_of_two_standbys_one_takes_over_and_the_other_stands_by_for_it() -> None:
    """They never both own; the one that lost goes on waiting, and takes over in its turn."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        two, three = await world.standby(2), await world.standby(3)
        await asyncio.sleep(5.0)
        first.kill()
        done, _ = await asyncio.wait((two[1], three[1]), return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        winner, other = (two, three) if two[1] in done else (three, two)
        winner[0].keep()
        await asyncio.sleep(60.0)
        assert not other[1].done() and winner[0].may_send
        winner[0].kill()
        assert await other[1] == 3

    run_world(body)


@pytest.mark.parametrize("call", ["owner", "take"])
@pytest.mark.parametrize("error", [StoreUnavailable("away"), CommitOutcomeUnknown("broke")])
def test_a_database_that_fails_in_a_takeover_only_delays_it(call: str, error: StoreError) -> None:
    """A standby that has the dead owner's lock in hand gives it back, and looks again."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        second, waiting = await world.standby()
        await asyncio.sleep(2.0)
        healthy = getattr(second.store, call)

        async def fail(*_: Any, **__: Any) -> None:
            raise error

        setattr(second.store, call, fail)
        first.kill()
        await asyncio.sleep(3.0)
        assert not waiting.done() and not await second.lock.is_held()
        setattr(second.store, call, healthy)
        async with asyncio.timeout(2 * LOOK_SECONDS_MAX):
            assert await waiting == 2

    run_world(body)


@pytest.mark.parametrize("change", [{"version": "2.0"}, {"config_hash": "def"}])
def test_a_standby_of_another_kind_is_refused(change: dict[str, str]) -> None:
    """Two versions or two settings never serve one account at a time."""

    async def body(world: OwnersWorld) -> None:
        await world.owner()
        _, waiting = await world.standby(2, **change)
        with pytest.raises(AccountLocked, match=r"cannot stand by.*here,.*there"):
            await waiting

    run_world(body)


def test_a_new_version_may_start_after_the_old_one_ended() -> None:
    """The comparison is between living engines: an upgrade is a stop and a start."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()
        await first.ownership.release()
        first.kill()
        second = await world.owner(2, version="2.0", config_hash="def")
        assert second.may_send

    run_world(body)


def test_a_database_that_is_away_delays_a_release_and_ends_nothing_else() -> None:
    """The end of an engine does not hang on its last write."""

    async def body(world: OwnersWorld) -> None:
        first = await world.owner()

        async def away(epoch: int) -> None:
            raise StoreUnavailable("away")

        first.store.release = away  # type: ignore[method-assign]
        await first.ownership.release()
        assert not await first.lock.is_held()
        assert first.ownership.refusal(None) == "this engine does not own the account"

    run_world(body)
