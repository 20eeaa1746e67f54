"""Wait for a condition of another process, with a deadline instead of a fixed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.05
_Found = TypeVar("_Found")


def wait_until(ask: Callable[[], _Found | None], what: str, within_seconds: float) -> _Found:
    """Ask until the answer is neither None nor False, and return it.

    Raises:
        AssertionError: it did not come in time; `what` names it.
    """
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        found = ask()
        if found is not None and found is not False:
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"not within {within_seconds:g} s: {what}")
