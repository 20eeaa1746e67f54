"""Run the async body of a plain test function."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

BODY_SECONDS_MAX = 30.0
"""Far above what any test body needs; a body that reaches it hangs."""

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
