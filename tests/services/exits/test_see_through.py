"""Work that was begun ends, whatever becomes of its caller."""

import asyncio

import pytest

from service_world.virtual import run_virtual, settle
from squareoff.domain.errors import StoreUnavailable
from squareoff.services.exits.see_through import see_through


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


def test_work_that_waits_for_nothing_needs_no_task() -> None:
    """Its result is there at once, before anything else runs."""

    async def body() -> None:
        order: list[str] = []

        async def work() -> str:
            order.append("work")
            return "done"

        async with asyncio.TaskGroup() as tasks:
            asyncio.get_running_loop().call_soon(order.append, "others")
            result = await see_through(tasks, work())
            order.append("caller")

        assert result == "done"
        assert order == ["work", "caller"]

    run_virtual(body())


@pytest.mark.parametrize("is_late", [False, True])
def test_a_defect_of_the_work_ends_the_group(is_late: bool) -> None:
    """An exception that is none of ours ends the group, whenever it comes, and its caller too."""

    async def body() -> None:
        async def work() -> None:
            if is_late:
                await asyncio.sleep(1)
            raise KeyError("defect")

        callers = []

        async def serve() -> None:
            async with asyncio.TaskGroup() as tasks:
                call = see_through(tasks, work())
                callers.append(asyncio.get_running_loop().create_task(call))
                await asyncio.Event().wait()

        with pytest.raises(ExceptionGroup) as failure:
            await serve()

        assert [type(error) for error in failure.value.exceptions] == [KeyError]
        await settle()
        assert callers[0].cancelled()

    run_virtual(body())


@pytest.mark.parametrize("turns", range(4))
def test_the_work_learns_of_the_end_of_the_group(turns: int) -> None:
    """Wherever it waits, the work is cancelled and may finish what it has begun."""

    async def body() -> None:
        ends: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
                ends.append("finished")
                raise

        async def serve() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(see_through(tasks, work()))
                await asyncio.Event().wait()

        server = asyncio.get_running_loop().create_task(serve())
        await settle(2 + turns)
        server.cancel()
        await asyncio.wait([server])

        assert ends == ["finished"]

    run_virtual(body())


def test_a_group_that_takes_no_tasks_leaves_the_work_to_its_caller() -> None:
    """Begun work is seen through where it was begun when the group has ended meanwhile."""

    async def body() -> None:
        async def work() -> str:
            await asyncio.sleep(1)
            return "done"

        async with asyncio.TaskGroup() as tasks:
            pass

        assert await see_through(tasks, work()) == "done"

    run_virtual(body())


def test_an_error_after_a_wait_goes_to_the_caller_alone() -> None:
    """Also where the work had to wait first, an error of ours leaves the group alive."""

    async def body() -> None:
        async def work() -> None:
            await asyncio.sleep(1)
            raise StoreUnavailable("busy")

        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(StoreUnavailable):
                await see_through(tasks, work())

    run_virtual(body())
