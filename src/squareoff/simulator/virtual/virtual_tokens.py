"""The access tokens of one run, and the file that people keep the newest one in.

A person who writes a new token may be seen in the midst of it: the file is empty, or holds a part
or something else, for as long as the writing takes.
"""

import random

from squareoff.adapters.broker.dhan.token_file import TokenFile, checked_token
from squareoff.domain.errors import ConfigError

_SETTING = "DHAN_ACCESS_TOKEN_FILE"


class VirtualTokenFile(TokenFile):
    """A token file without a disk. `tokens` are all that ever were good, the newest last."""

    def __init__(self, token: str) -> None:
        self.tokens = [token]
        self._text = token
        self._is_written = True

    def read(self) -> str:
        """Return what the file holds, if that can be a token; see `TokenFile.read`."""
        return checked_token(self._text, _SETTING)

    def read_at_start(self) -> str:
        """Return the token that a process starts with, "" where the file holds none just then."""
        try:
            return self.read()
        except ConfigError:
            return ""

    def write(self, token: str) -> None:
        """Replace the token, as a person does or the engine that renewed it."""
        if token != self.tokens[-1]:
            self.tokens.append(token)
        self._text = f"{token}\n"
        self._is_written = True

    def begin_writing(self, fresh: str, chance: random.Random) -> None:
        """A person begins to write a new token; `finish_writing` ends it."""
        dead = self.tokens[-1]
        self.tokens.append(fresh)
        half = fresh[: len(fresh) // 2]
        self._is_written = False
        self._text = chance.choice(("", half, f"{dead}\n{half}", "\x00\x7f\ufffd", "token = "))

    def finish_writing(self) -> None:
        """The newest token is in the file, whole, if it was not before."""
        if not self._is_written:
            self.write(self.tokens[-1])
