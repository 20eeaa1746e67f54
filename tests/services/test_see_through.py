"""Work that was begun ends, whatever becomes of its caller."""

import asyncio

import pytest

from service_world.virtual import run_virtual, settle
from squareoff.domain.errors import StoreUnavailable
from squareoff.services.see_through import see_through


def test_a_cancelled_caller_does_not_end_the_work() -> None:
    """The work goes on after its caller was cancelled."""

    async def body() -> None:
        done, gate = [], asyncio.Event()

        async def work() -> None:
            await gate.wait()
            done.append(True)

        async with asyncio.TaskGroup() as tasks:
            caller = asyncio.get_running_loop().create_task(see_through(tasks, work()))
            await settle()
            caller.cancel()
            await settle()
            gate.set()

        assert caller.cancelled()
        assert done == [True]

    run_virtual(body())


def test_an_error_of_ours_goes_to_the_caller_and_not_to_the_group() -> None:
    """A store that fails one caller leaves the group alive."""

    async def body() -> None:
        async def work() -> None:
            raise StoreUnavailable("busy")

        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(StoreUnavailable):
                await see_through(tasks, work())

    run_virtual(body())


@pytest.mark.parametrize("turns", range(4))
def test_the_end_of_the_group_leaves_no_caller_waiting(turns: int) -> None:
    """When the group ends first, at whatever moment, an outside caller is told by cancellation."""

    async def body() -> None:
        callers = []

        async def serve() -> None:
            async with asyncio.TaskGroup() as tasks:
                call = see_through(tasks, asyncio.sleep(3600))
                callers.append(asyncio.get_running_loop().create_task(call))
                await asyncio.Event().wait()

        server = asyncio.get_running_loop().create_task(serve())
        await settle(turns)
        server.cancel()
        await settle()

        assert all(caller.done() for caller in callers)

    run_virtual(body())
