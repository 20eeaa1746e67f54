"""Put the access token's keeper together from what the owner gave: token, file, PIN and secret.

Invariant: a fault names the setting, never its value.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.clock_readings import ClockReadings
from squareoff.adapters.broker.dhan.session_calls import SessionCalls
from squareoff.adapters.broker.dhan.token_file import TokenFile, checked_token
from squareoff.adapters.broker.dhan.token_keeper import LoginSecrets, TokenKeeper
from squareoff.adapters.broker.dhan.totp import TotpSecret
from squareoff.adapters.broker.dhan.transport import HttpRequest, HttpTransport
from squareoff.domain.errors import ConfigError
from squareoff.domain.ids import AccountId
from squareoff.ports import Clock


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """What the owner gave; None where it was not. A file goes before a fixed token."""

    account_id: AccountId
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    pin: str | None = field(default=None, repr=False)
    totp_secret: str | None = field(default=None, repr=False)


def make_keeper(
    given: GivenCredentials,
    rest: HttpTransport,
    auth: HttpTransport,
    clock: Clock,
    on_secret: Callable[[str], None] = lambda token: None,
) -> TokenKeeper:
    """Return the keeper; with PIN and secret it may start without any token.

    Raises:
        ConfigError: no token and no way to make one, or one of them is unusable.
    """
    login = _login(given)
    file = None if given.token_file is None else TokenFile(given.token_file)
    token = _first_token(given, file, has_login=login is not None)
    if token:
        on_secret(token)
    calls = SessionCalls(given.account_id, rest, auth)
    return TokenKeeper(token, calls, clock, file=file, login=login, on_secret=on_secret)


def _login(given: GivenCredentials) -> LoginSecrets | None:
    if given.pin is None or given.totp_secret is None:
        return None
    return LoginSecrets(given.pin, totp_secret(given.totp_secret))


def totp_secret(text: str) -> TotpSecret:
    """Return the secret of the one-time codes.

    Raises:
        ConfigError: it is none; its text is not shown.
    """
    try:
        return TotpSecret(text)
    except ValueError as error:
        raise ConfigError(f"DHAN_TOTP_SECRET: {error}") from None


def _first_token(given: GivenCredentials, file: TokenFile | None, *, has_login: bool) -> str:
    if file is None:
        if given.token is not None:
            return checked_token(given.token, "DHAN_ACCESS_TOKEN")
        if has_login:
            return ""
        raise ConfigError(
            "DHAN_ACCESS_TOKEN: is needed (or DHAN_ACCESS_TOKEN_FILE, or DHAN_PIN with "
            "DHAN_TOTP_SECRET)"
        )
    try:
        return file.read()
    except ConfigError:
        if has_login:
            return ""
        raise


class BrokerLine:
    """The line to the broker: transports, the clock readings on the side, and the token's keeper.

    Args:
        on_request: told each request as it is handed over, for benchmarks.
        on_secret: told each token, for the redaction of logs.

    Raises:
        ConfigError: see `make_keeper`; nothing was opened.
    """

    def __init__(
        self,
        rest_url: str,
        auth_url: str,
        given: GivenCredentials,
        clock: Clock,
        *,
        on_request: Callable[[HttpRequest], None] | None = None,
        on_secret: Callable[[str], None] = lambda token: None,
    ) -> None:
        self.transport = AiohttpTransport(rest_url, on_request=on_request)
        self._auth = AiohttpTransport(auth_url)
        self.timed = ClockReadings(self.transport, clock)
        self.keeper = make_keeper(given, self.timed, self._auth, clock, on_secret)

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()
        await self._auth.close()
