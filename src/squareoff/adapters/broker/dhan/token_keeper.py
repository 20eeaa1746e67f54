"""The access token of a running engine: one place that holds it, replaces it and saves it.

Sockets and REST calls take the token from here (`TokenSource`); `services.session.session_watch`
decides when it is renewed (`ports.BrokerSession`) and never sees its text.

Invariants:
1. A token that was replaced is never taken again, whatever the file says.
2. A new token is in use before it is saved: a disk that fails costs the next start, not this exit.
3. A token that somebody else put into the file while ours was being made is not written over: it
   may be the newer one, which killed ours, and is taken as soon as ours is refused.
4. No token, PIN or code appears in a repr or an error.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from squareoff.adapters.broker.dhan.jwt_claims import expires_ns_of, is_renewable
from squareoff.adapters.broker.dhan.session_calls import IssuedToken, SessionCalls
from squareoff.adapters.broker.dhan.token_file import TokenFile
from squareoff.adapters.broker.dhan.totp import TotpSecret
from squareoff.domain.errors import BrokerSessionExpired, ConfigError
from squareoff.domain.orders import BrokerProfile
from squareoff.ports import AddressState, Clock, TokenState

_log = structlog.get_logger("squareoff.token_keeper")
REPLACED_TOKENS_MAX = 16
"""Tokens that are remembered as dead; a file holds at most one of them."""


@dataclass(frozen=True, slots=True)
class LoginSecrets:
    """PIN and the secret of the one-time codes."""

    pin: str = field(repr=False)
    totp: TotpSecret = field(repr=False)


class TokenKeeper:
    """Fulfils `TokenSource` for the adapters and `ports.BrokerSession` for the services.

    Args:
        token: the token at the start, "" where only a login can make one.
        file: where the token is kept, None where it is kept nowhere.
        on_secret: told each new token, for the redaction of logs.
    """

    def __init__(
        self,
        token: str,
        calls: SessionCalls,
        clock: Clock,
        *,
        file: TokenFile | None = None,
        login: LoginSecrets | None = None,
        on_secret: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._token = token
        self._expires_ns = expires_ns_of(token)
        self._is_refused = not token
        self._is_suspected = False
        self._generation = 0
        self._replaced: deque[str] = deque(maxlen=REPLACED_TOKENS_MAX)
        self._calls = calls
        self._clock = clock
        self._file = file
        self._login = login
        self._on_secret = on_secret
        self._changed = asyncio.Event()
        self.file_fault = ""

    def current(self) -> str:
        """Return the token in use; "" before the first login."""
        return self._token

    def is_refused(self) -> bool:
        """Say whether the token is known to be dead."""
        return self._is_refused

    async def refresh(self, dead: str) -> bool:
        """Note that the broker refused a token, and take what the file holds now."""
        if self._token != dead:
            return True
        self._note_refused()
        return await self.reload()

    async def suspect(self, token: str) -> None:
        """Note what looks like a dead token and proves nothing; a question settles it."""
        if self._token == token and not self._is_refused:
            self._is_suspected = True
            self._announce()

    async def usable(self) -> str:
        """Return the token; waits while it is known to be dead."""
        while self._is_refused:
            await self._changed.wait()
        return self._token

    def watch_replaced(self, token: str) -> Coroutine[Any, Any, None]:
        """Return what waits until another token is in use."""

        async def watch() -> None:
            while self._token == token:
                await self._changed.wait()

        return watch()

    @property
    def state(self) -> TokenState:
        """The token in use, without its text."""
        return TokenState(
            self._generation,
            self._is_refused,
            self._is_suspected,
            self._expires_ns,
            is_renewable(self._token),
        )

    @property
    def has_file(self) -> bool:
        """Say whether the token is kept in a file."""
        return self._file is not None

    @property
    def can_log_in(self) -> bool:
        """Say whether PIN and secret are at hand."""
        return self._login is not None

    async def wait_for_change(self, known: TokenState) -> None:
        """Return once `state` is another than `known`."""
        while self.state == known:
            await self._changed.wait()

    async def reload(self) -> bool:
        """Read the file again; a token that is unreadable or was replaced before is none."""
        if self._file is None:
            return False
        before = self._token
        try:
            token = await asyncio.to_thread(self._file.read)
        except ConfigError as error:
            self.file_fault = str(error)
            return False
        self.file_fault = ""
        if token == before or token in self._replaced or self._token != before:
            return self._token != before
        self._take(token, expires_ns_of(token))
        return True

    async def profile(self) -> BrokerProfile:
        """Ask the broker about the token; its answer settles whether it is dead."""
        token = self._token
        if not token:
            raise BrokerSessionExpired("read profile: there is no access token yet")
        try:
            profile = await self._calls.profile(token)
        except BrokerSessionExpired:
            if self._token == token:
                self._note_refused()
            raise
        if self._token == token and (self._is_refused or self._is_suspected):
            self._is_refused = self._is_suspected = False
            self._announce()
        return profile

    async def renew(self) -> bool:
        """Let the broker replace the living token; say whether the new one could be saved.

        Only a living token is renewed: one that took its place while the answer was on its way was
        made after the renewal, and killed what the renewal made.
        """
        renewed = self._token
        issued = await self._calls.renew(renewed)
        if self._token != renewed:
            self._on_secret(issued.token)
            return True
        return await self._take_issued(issued)

    async def log_in(self) -> bool:
        """Make a token by PIN and one-time code; say whether it could be saved."""
        assert self._login is not None, "asked before: can_log_in"
        code = self._login.totp.code(self._clock.now().wall_ns)
        return await self._take_issued(await self._calls.log_in(self._login.pin, code))

    async def address(self) -> AddressState:
        """Ask from which addresses the broker takes orders."""
        return await self._calls.address(self._token)

    async def _take_issued(self, issued: IssuedToken) -> bool:
        self._take(issued.token, issued.expires_ns)
        if self._file is None:
            return True
        if await self._holds_another(self._file, issued.token):
            _log.warning("token_of_others_in_file")
            return True
        try:
            await asyncio.to_thread(self._file.write, issued.token)
        except OSError as error:
            _log.error("token_not_saved", error=type(error).__name__)
            return False
        return True

    async def _holds_another(self, file: TokenFile, token: str) -> bool:
        """Say whether the file holds neither this token nor one that it took the place of."""
        try:
            held = await asyncio.to_thread(file.read)
        except ConfigError:
            return False
        return held != token and held not in self._replaced

    def _take(self, token: str, expires_ns: int | None) -> None:
        self._on_secret(token)
        self._replaced.append(self._token)
        self._token, self._expires_ns = token, expires_ns
        self._generation += 1
        self._is_refused = self._is_suspected = False
        self._announce()

    def _note_refused(self) -> None:
        self._is_suspected = False
        if not self._is_refused:
            self._is_refused = True
            self._announce()

    def _announce(self) -> None:
        """Wake whoever waits; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
