"""Where the access token comes from, read anew for each call.

A token lives 24 hours and a new one kills the old (1.3), so nobody keeps a copy. The running
engine's source is `token_keeper`; the two here serve programs that only look (`squareoff doctor`)
and rehearsals.
Invariant: a token never appears in a message or a repr.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

from squareoff.adapters.broker.dhan.token_file import TokenFile, checked_token
from squareoff.domain.errors import ConfigError


class TokenSource(Protocol):
    """Gives the access token, and a new one where the broker refused it."""

    def current(self) -> str:
        """Return the token to use now."""
        ...

    def is_refused(self) -> bool:
        """Say whether the token is known to be dead, so that no call with it need be made."""
        ...

    async def refresh(self, dead: str) -> bool:
        """Try to replace a token the broker refused; cheap and idempotent.

        Args:
            dead: the token that was refused. If another one is current already, nothing is done.

        Returns:
            Whether `current` now returns another token than `dead`.
        """
        ...

    async def suspect(self, token: str) -> None:
        """Note that a socket ended, or market data was refused, as with a dead token.

        It proves nothing, and stops no call.
        """
        ...

    async def usable(self) -> str:
        """Return the token to connect with; waits while it is known to be dead."""
        ...

    def watch_replaced(self, token: str) -> Coroutine[Any, Any, None] | None:
        """Return what waits until `token` is no longer the current one, None where it stays."""
        ...


class FixedToken:
    """A token given once (`DHAN_ACCESS_TOKEN`); cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = checked_token(token, "DHAN_ACCESS_TOKEN")

    def current(self) -> str:
        """Return the token."""
        return self._token

    def is_refused(self) -> bool:
        """Say no: every call asks the broker anew."""
        return False

    async def refresh(self, dead: str) -> bool:
        """Say whether the current token differs from the dead one."""
        return self._token != dead

    async def suspect(self, token: str) -> None:
        """Do nothing: there is no other token."""

    async def usable(self) -> str:
        """Return the token."""
        return self._token

    def watch_replaced(self, token: str) -> Coroutine[Any, Any, None] | None:
        """Return None: it stays."""
        return None


class FileToken:
    """A token kept in a file (`DHAN_ACCESS_TOKEN_FILE`), read again when the broker refuses it.

    Raises:
        ConfigError: at construction, where the file cannot be read or holds no token.
    """

    def __init__(self, path: Path) -> None:
        self._file = TokenFile(path)
        self._token = self._file.read()

    def current(self) -> str:
        """Return the token last read."""
        return self._token

    def is_refused(self) -> bool:
        """Say no: every call asks the broker anew."""
        return False

    async def refresh(self, dead: str) -> bool:
        """Read the file again; an unreadable file leaves the old token in place."""
        if self._token != dead:
            return True
        try:
            self._token = await asyncio.to_thread(self._file.read)
        except ConfigError:
            return False
        return self._token != dead

    async def suspect(self, token: str) -> None:
        """Read the file again: the next connect takes what it holds."""
        await self.refresh(token)

    async def usable(self) -> str:
        """Return the token last read."""
        return self._token

    def watch_replaced(self, token: str) -> Coroutine[Any, Any, None] | None:
        """Return None: the file is read for a refused token only."""
        return None
