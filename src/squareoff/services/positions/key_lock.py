"""The lock that orders the sizing decisions on one position at the broker.

Whoever holds a position's own lock may only try this one: others hold this one and wait for that.
"""

import asyncio


class KeyLock(asyncio.Lock):
    """An `asyncio.Lock` that says whether it can be had without any wait."""

    def __init__(self) -> None:
        super().__init__()
        self._asking = 0

    @property
    def is_free(self) -> bool:
        """Say whether acquiring it now waits for nobody: `locked` alone is False as well while it
        passes from one holder to the next."""
        return self._asking == 0 and not self.locked()

    async def acquire(self) -> bool:  # type: ignore[override]
        """Wait for the lock, first come first served."""
        self._asking += 1
        try:
            return await super().acquire()
        finally:
            self._asking -= 1
