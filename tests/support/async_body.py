"""Run the async body of a plain test function, and let others run meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

BODY_SECONDS_MAX = 30.0
"""Far above what any test body needs; a body that reaches it hangs."""

READY_TURNS = 60
"""More than any chain of callbacks in a test is long."""

_Result = TypeVar("_Result")


def run_async(
    body: Coroutine[Any, Any, _Result], within_seconds: float = BODY_SECONDS_MAX
) -> _Result:
    """Run `body` in an event loop of its own and return its result.

    Raises:
        TimeoutError: it did not end within `within_seconds` of real time.
    """
    return asyncio.run(_within(body, within_seconds))


async def _within(body: Coroutine[Any, Any, _Result], within_seconds: float) -> _Result:
    async with asyncio.timeout(within_seconds):
        return await body


async def settle(turns: int = READY_TURNS) -> None:
    """Let everything that is ready run, without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
