"""SIGUSR1 halts an engine: the local way, for when its API does not answer or its token is lost.

Invariants:
1. A signal that comes while the engine opens, or while a standby waits, is kept: nothing leaves
   before it is obeyed.
2. It ends no process: one that is started anew by its service manager would send again.
"""

import asyncio
import signal

from squareoff.services.account.local_halt import LocalHalt

HALT_SIGNAL = signal.SIGUSR1


def hold_halt_signal() -> None:
    """Keep the signal waiting until somebody listens; by itself it would end the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {HALT_SIGNAL})


class HaltSignal:
    """Listens for the signal in the running loop."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def listen(self) -> None:
        """Hear the signal from now on, and one that waited."""
        asyncio.get_running_loop().add_signal_handler(HALT_SIGNAL, self._came.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {HALT_SIGNAL})

    async def obey(self, local_halt: LocalHalt) -> None:
        """Halt at every signal; never returns."""
        while True:
            await self._came.wait()
            self._came.clear()
            await local_halt.halt(HALT_SIGNAL.name)
