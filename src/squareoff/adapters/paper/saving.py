"""Save a desk's state, one save at a time; callers at the same time share one."""

import asyncio
from collections.abc import Callable

from squareoff.adapters.paper.state import PaperLedgerStore, PaperState, StateEncoder


class StateSaver:
    """Keeps one account's ledger durable; knows which version of it already is."""

    def __init__(self, store: PaperLedgerStore) -> None:
        self._store = store
        self._encoder = StateEncoder()
        self._saved_version = 0
        self._saving = asyncio.Lock()

    async def save(self, wanted: int, look: Callable[[], tuple[int, PaperState]]) -> None:
        """Have this version durable, and what came since.

        Args:
            look: returns the version and the state of its instant.

        Raises:
            StoreError: it may or may not have been kept; it is tried again with the next call.
        """
        async with self._saving:
            if self._saved_version >= wanted:
                return  # a caller at the same time saved this too
            version, state = look()
            await self._store.save(self._encoder.encode(state))
            self._saved_version = version
