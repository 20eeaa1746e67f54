"""Where the access token comes from, read anew for each call.

A token lives 24 hours and a new one kills the old (dhanhq-v2.md 1.3), so nobody keeps a copy.
Invariant: a token never appears in a message or a repr.
"""

import asyncio
from pathlib import Path
from typing import Protocol

from squareoff.domain.errors import ConfigError

_TOKEN_LENGTH_MAX = 8_192  # a JWT of this broker has some 300 characters


class TokenSource(Protocol):
    """Gives the access token, and a new one where the broker refused it."""

    def current(self) -> str:
        """Return the token to use now."""
        ...

    async def refresh(self, dead: str) -> bool:
        """Try to replace a token the broker refused; cheap and idempotent.

        Args:
            dead: the token that was refused. If another one is current already, nothing is done.

        Returns:
            Whether `current` now returns another token than `dead`.
        """
        ...


class FixedToken:
    """A token given once (`DHAN_ACCESS_TOKEN`); cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = _checked(token, "DHAN_ACCESS_TOKEN")

    def current(self) -> str:
        """Return the token."""
        return self._token

    async def refresh(self, dead: str) -> bool:
        """Say whether the current token differs from the dead one."""
        return self._token != dead


class FileToken:
    """A token kept in a file (`DHAN_ACCESS_TOKEN_FILE`), read again when the broker refuses it.

    Raises:
        ConfigError: at construction, where the file cannot be read or holds no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = self._read()

    def current(self) -> str:
        """Return the token last read."""
        return self._token

    async def refresh(self, dead: str) -> bool:
        """Read the file again; an unreadable file leaves the old token in place."""
        if self._token != dead:
            return True
        try:
            self._token = await asyncio.to_thread(self._read)
        except ConfigError:
            return False
        return self._token != dead

    def _read(self) -> str:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"DHAN_ACCESS_TOKEN_FILE: {self._path} could not be read ({type(error).__name__})"
            ) from error
        return _checked(text, "DHAN_ACCESS_TOKEN_FILE")


def _checked(text: str, setting: str) -> str:
    token = text.strip()
    is_clean = token.isascii() and token.isprintable() and " " not in token
    if not token or len(token) > _TOKEN_LENGTH_MAX or not is_clean:
        raise ConfigError(f"{setting}: must be one access token without blanks")
    return token
