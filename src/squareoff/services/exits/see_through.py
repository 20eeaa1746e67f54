"""Finish work that has begun, even where its caller is cancelled.

A commit and what follows from it belong together. Were a caller cancelled between the two (an API
client that went away), an exit would stand in the database with nobody to drive it.

The work starts in its caller's task, where it cannot be cancelled before its first wait: most
decisions commit nothing, end there and cost no task. From the first wait on, the rest of the work
is a task of the group, which the caller's cancellation does not reach.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from squareoff.domain.errors import SquareoffError

_Result = TypeVar("_Result")
_Work = Coroutine[Any, Any, _Result]


async def see_through(tasks: asyncio.TaskGroup | None, work: _Work[_Result]) -> _Result:
    """Run `work` and return its result; what it has to wait for, it waits for in the group.

    Only the end of the group ends the work early. A `SquareoffError` of the work goes to the caller
    alone; any other exception is a defect and ends the group. Without a group, or where it takes no
    more tasks, the work runs here. Before its first wait the work must not ask which task it is in,
    as `asyncio.timeout` does.
    """
    if tasks is None:
        return await work
    try:
        waits_for = work.send(None)
    except StopIteration as end:
        result: _Result = end.value
        return result
    except SquareoffError:
        raise
    except Exception as defect:
        await _rest_of(tasks, _failing(defect), None)  # raised in the group, which it ends
        raise
    return await _rest_of(tasks, work, waits_for)


async def _rest_of(tasks: asyncio.TaskGroup, work: _Work[_Result], waits_for: Any) -> _Result:
    """Let the group see begun work through; its outcome is for this caller alone."""
    outcome: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
    begun = _Begun(work, waits_for, outcome)
    try:
        tasks.create_task(begun)
    except RuntimeError:  # the group is ending
        await begun
    return await outcome


async def _failing(defect: Exception) -> Any:
    raise defect


class _Begun(Generator[Any, Any, None], Coroutine[Any, Any, None]):
    """The rest of a coroutine that waits for something already; its end is told to `outcome`.

    A coroutine function would not do: a task that is cancelled before its first step never runs
    one, and the work would be left standing where it is.
    """

    def __init__(
        self, work: _Work[_Result], waits_for: Any, outcome: asyncio.Future[_Result]
    ) -> None:
        self._work = work
        self._waits_for = [waits_for]
        self._outcome = outcome

    def send(self, value: Any) -> Any:
        """Go on; the first step only waits for what the work waits for already."""
        if self._waits_for:
            return self._waits_for.pop()
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """Let the work know of a cancellation, or of the failure of what it waited for."""
        self._waits_for.clear()
        return self._step(self._work.throw, *error)

    def close(self) -> None:
        """Close the work where it stands."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def _step(self, step: Callable[..., Any], *argument: Any) -> Any:
        outcome = self._outcome
        try:
            return step(*argument)
        except StopIteration as end:
            if not outcome.done():  # else its caller was cancelled and nobody asks
                outcome.set_result(end.value)
            raise
        except SquareoffError as error:
            if not outcome.done():
                outcome.set_exception(error)
            raise StopIteration from None
        except BaseException:
            outcome.cancel()
            raise
