"""Work that must end once begun: its caller may be cancelled, it is not.

A commit and what follows from it belong together. A caller who is cancelled between the two (an API
client that went away) would leave an exit in the database that nobody drives.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from squareoff.domain.errors import SquareoffError

_Result = TypeVar("_Result")


async def see_through(
    tasks: asyncio.TaskGroup | None, work: Coroutine[Any, Any, _Result]
) -> _Result:
    """Run `work` as a task of the group and return its result; without a group, run it here.

    Only the end of the group ends the work early. A `SquareoffError` of the work goes to the caller
    alone; any other exception is a defect and ends the group.
    """
    if tasks is None:
        return await work
    outcome: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()

    def release(_task: asyncio.Task[None]) -> None:
        """The group may end the task before its first step: nobody must wait for it then."""
        work.close()
        if not outcome.done():
            outcome.cancel()

    tasks.create_task(_finish(work, outcome)).add_done_callback(release)
    return await asyncio.shield(outcome)


async def _finish(work: Coroutine[Any, Any, _Result], outcome: "asyncio.Future[_Result]") -> None:
    """Hand the end of `work` to whoever still waits for it."""
    try:
        outcome.set_result(await work)
    except SquareoffError as error:
        outcome.set_exception(error)
