"""The file that holds the access token: read whole, replaced whole.

Invariants:
1. No message holds the file's content.
2. A reader sees the old token or the new one, never a part: the new one is written beside it, made
   durable, and renamed over it. The file is readable by its owner alone from its first byte on.
"""

import os
import tempfile
from pathlib import Path

from squareoff.adapters.durable_files import sync_path
from squareoff.domain.errors import ConfigError

_TOKEN_LENGTH_MAX = 8_192  # a JWT of this broker has some 300 characters
_SETTING = "DHAN_ACCESS_TOKEN_FILE"


class TokenFile:
    """One file with one token. A link is followed, so that what it points to is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        """Return the token.

        Raises:
            ConfigError: the file cannot be read, or holds no token.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(2 * _TOKEN_LENGTH_MAX).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{_SETTING}: {self._path} could not be read ({_reason(error)})"
            ) from error
        return checked_token(text, _SETTING)

    def write(self, token: str) -> None:
        """Replace the token, durably and at once.

        Raises:
            OSError: it could not be written; the file holds what it held.
        """
        target = self._path.resolve()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:  # mkstemp: mode 0600
                file.write(f"{token}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        sync_path(target.parent)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return getattr(error, "strerror", None) or "it is no text in UTF-8"


def checked_token(text: str, setting: str) -> str:
    """Return the one token of a text.

    Raises:
        ConfigError: it is no single printable word; names the setting, not the text.
    """
    token = text.strip()
    is_clean = token.isascii() and token.isprintable() and " " not in token
    if not token or len(token) > _TOKEN_LENGTH_MAX or not is_clean:
        raise ConfigError(f"{setting}: must be one access token without blanks")
    return token
