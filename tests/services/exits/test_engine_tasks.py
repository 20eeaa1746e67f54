"""The group of an engine's tasks."""

import asyncio

import pytest

from squareoff.services.exits.engine_tasks import EngineTasks


def test_what_comes_in_while_the_engine_ends_makes_no_failure_of_it() -> None:
    """A task that is asked for during the end never begins, and the end is a plain cancel."""
    began: list[str] = []

    async def handle(name: str) -> None:
        began.append(name)

    async def take_in(tasks: asyncio.TaskGroup) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.create_task(handle("late"))

    async def serve() -> None:
        async with EngineTasks() as tasks:
            tasks.create_task(handle("early"))
            tasks.create_task(take_in(tasks))
            await asyncio.Event().wait()

    async def body() -> None:
        serving = asyncio.ensure_future(serve())
        await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(body())

    assert began == ["early"]


def test_a_failure_still_ends_the_engine_as_one() -> None:
    """What a task raises comes out in a group, alone."""

    async def fail() -> None:
        raise ValueError("a defect")

    async def body() -> None:
        async with EngineTasks() as tasks:
            tasks.create_task(fail())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(body())

    assert [str(each) for each in caught.value.exceptions] == ["a defect"]
