"""SIGUSR1 is kept until somebody listens, and then halts at every arrival."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any, cast

import pytest

from squareoff.cli.halt_signal import HALT_SIGNAL, HaltSignal, hold_halt_signal
from squareoff.services.account.local_halt import LocalHalt


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Halts:
    """What is to be halted; remembers how often it was."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def halt(self, how: str) -> None:
        """Note it."""
        self.asked.put_nowait(how)


def test_a_signal_that_came_early_is_obeyed() -> None:
    """The process does not end by it, and whoever listens later hears it.

    It is sent to this thread: a thread of another test may not hold it, as all of an engine's do.
    """
    hold_halt_signal()
    signal.raise_signal(HALT_SIGNAL)

    async def body() -> list[str]:
        halts, halt_signal = Halts(), HaltSignal()
        halt_signal.listen()
        obeying: asyncio.Task[Any]
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            obeying = tasks.create_task(halt_signal.obey(cast("LocalHalt", halts)))
            first = await halts.asked.get()
            signal.raise_signal(HALT_SIGNAL)
            second = await halts.asked.get()
            obeying.cancel()
        return [first, second]

    assert asyncio.run(body()) == ["SIGUSR1", "SIGUSR1"]
