"""Tests of services.positions.key_lock: what is free is had at once."""

import asyncio

from service_world.virtual import run_virtual, settle
from squareoff.services.positions.key_lock import KeyLock


def test_a_lock_is_free_until_somebody_holds_it() -> None:
    """Held it is not free, given back it is."""

    async def body() -> None:
        lock = KeyLock()
        assert lock.is_free
        async with lock:
            assert not lock.is_free
        assert lock.is_free

    run_virtual(body())


def test_a_lock_that_is_passed_on_is_not_free() -> None:
    """Between its release and the next holder's turn nobody may take it without a wait."""

    async def body() -> None:
        lock = KeyLock()

        async def hold() -> None:
            async with lock:
                await asyncio.sleep(1.0)

        await lock.acquire()
        waiting = asyncio.get_running_loop().create_task(hold())
        await settle()
        lock.release()
        assert not lock.locked()
        assert not lock.is_free

        await waiting
        assert lock.is_free

    run_virtual(body())


def test_who_gives_up_waiting_leaves_it_free() -> None:
    """A cancelled wait is no wait any more."""

    async def body() -> None:
        lock = KeyLock()
        await lock.acquire()
        waiting = asyncio.get_running_loop().create_task(lock.acquire())
        await settle()
        waiting.cancel()
        await settle()
        lock.release()

        assert lock.is_free

    run_virtual(body())
