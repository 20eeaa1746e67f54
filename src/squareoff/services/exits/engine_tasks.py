"""The group of all tasks of one engine, which ends in good order whatever still comes in.

When the engine is told to stop, its group cancels every task. One of them may be about to take in
an order update or a price at that very moment, and ask the group for a task. asyncio refuses that
with a RuntimeError, which would end a stop that was asked for as a failure.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class EngineTasks(asyncio.TaskGroup):
    """A task group that cancels whoever asks it for a task while it ends."""

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],  # type: ignore[override]
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task.

        Raises:
            asyncio.CancelledError: the group ends, so does whoever asks; the task never began, and
                what it was for is read again from database and broker by the next start.
        """
        try:
            return super().create_task(coro, name=name, context=context)
        except RuntimeError as error:
            coro.close()
            raise asyncio.CancelledError("the engine is ending") from error
