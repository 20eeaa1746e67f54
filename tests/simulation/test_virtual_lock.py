"""The lock of a virtual world behaves as the real ones do."""

import pytest

from async_body import run_async
from squareoff.domain.errors import AccountLocked
from squareoff.ports import ProcessLock
from squareoff.simulator.virtual.virtual_lock import LockFile, VirtualLock


def test_one_living_process_holds_it() -> None:
    """Others are refused until the holder releases it or dies; a release by others does nothing."""

    async def body() -> None:
        dead: set[str] = set()
        file = LockFile()
        first: ProcessLock = VirtualLock(file, lambda: "first" in dead)
        second: ProcessLock = VirtualLock(file, lambda: False)
        await first.acquire()
        with pytest.raises(AccountLocked, match="another engine"):
            await second.acquire()
        await second.release()
        assert await first.is_held() and not await second.is_held()

        dead.add("first")
        await second.acquire()
        assert await second.is_held() and not await first.is_held()
        await second.release()
        await second.acquire()

    run_async(body())


def test_a_servers_lock_can_be_cut() -> None:
    """Both sides live, the lock is free: what a server's restart does."""

    async def body() -> None:
        file = LockFile()
        first = VirtualLock(file, lambda: False, proves_death=False)
        await first.acquire()
        file.holder = None
        assert not await first.is_held()
        await VirtualLock(file, lambda: False, proves_death=False).acquire()

    run_async(body())
