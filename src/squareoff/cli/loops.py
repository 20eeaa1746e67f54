"""Run one coroutine as the whole program, until it ends or the process is told to."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import structlog

from squareoff.cli.api_client import CommandRefused
from squareoff.domain.errors import CommitLost, OwnershipLost, SquareoffError

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

_log = structlog.get_logger("squareoff.cli")


def run_until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run until the work ends, or SIGINT or SIGTERM asks for the end; then clean up and return.

    Raises:
        SquareoffError: what the work raised, out of its group where it is the only one; the loss of
            the account or of a commit also where other parts failed with it.
        CommandRefused: several parts failed, or one by a defect; the log has all of them.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(_cancelled_by_signals(work))
        except BaseExceptionGroup as group:
            raise _one_of(group) from group


async def _cancelled_by_signals(work: Coroutine[Any, Any, None]) -> None:
    main, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert main is not None, "runs as a task"
    told: list[int] = []

    def tell(number: int) -> None:
        told.append(number)
        main.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell, number)
    try:
        await work
    except asyncio.CancelledError:
        if not told:
            raise


def _one_of(group: BaseExceptionGroup[BaseException]) -> SquareoffError:
    errors = list(_leaves(group))
    for error in errors:
        _log.error("part_failed", error=str(error), kind=type(error).__name__, exc_info=error)
    lost = [error for error in errors if isinstance(error, OwnershipLost | CommitLost)]
    if lost:
        return lost[0]  # the cause; every part that wrote or waited failed by it
    if len(errors) == 1 and isinstance(errors[0], SquareoffError):
        return errors[0]
    names = ", ".join(sorted({type(error).__name__ for error in errors}))
    return CommandRefused(f"stopped by a failure ({names}); see the log above")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
