"""The broker's calls about the token itself and the address it may be used from.

Source: dhanhq-v2.md 1.3 (RenewToken, login by PIN and TOTP), 1.4 (profile), 1.5 (static IP).
Unlike the rest client these calls take the token as an argument: they are made with tokens that
are known to be dead, and their answers hold new ones.

Invariants:
1. No error holds a token, a PIN or a code: of a refused answer only the broker's own words are
   kept, with every secret of the call and everything of a token's shape blotted out.
2. One method is one request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squareoff.adapters.broker.dhan.errors import (
    CallSite,
    error_from_response,
    error_from_transport,
    read_fault,
    scrub,
)
from squareoff.adapters.broker.dhan.json_values import (
    Row,
    Unreadable,
    load_json,
    ns_from_ist_text,
    only_object,
    optional_text_of,
)
from squareoff.adapters.broker.dhan.jwt_claims import expires_ns_of
from squareoff.adapters.broker.dhan.token_file import checked_token
from squareoff.adapters.broker.dhan.transport import (
    HttpRequest,
    HttpResponse,
    HttpTransport,
    TransportError,
)
from squareoff.adapters.broker.dhan.wire import read_profile
from squareoff.domain.errors import (
    BrokerError,
    BrokerProtocolError,
    BrokerRejected,
    BrokerSessionExpired,
    ConfigError,
)
from squareoff.domain.ids import AccountId
from squareoff.domain.orders import BrokerProfile
from squareoff.ports import AddressState

CALL_SECONDS_MAX = 5.0
LOGIN_SECONDS_MAX = 10.0
"""A login is answered by another host, which is slower; giving it up too early loses a token."""

LOGIN_PATH = "/app/generateAccessToken"
_ACCEPT = {"accept": "application/json"}
_TOKEN_NAMES = ("accessToken", "token", "access_token")
"""What a new token is called: the first by dhanhq-v2.md 1.3, the second by public clients that read
the answer of RenewToken. The old token is dead by then, so whatever may be the new one is taken."""

_TOKEN_SHAPE = re.compile(r"[\w-]{8,}\.[\w-]{8,}\.[\w-]+")
_YES, _NO = frozenset({"true", "yes", "match", "matched"}), frozenset({"false", "no"})


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token the broker has just made; `expires_ns` is UTC, None where nothing says."""

    token: str = field(repr=False)
    expires_ns: int | None


class SessionCalls:
    """Makes the calls; `auth` reaches the login's host, None where logins are not made."""

    def __init__(
        self, account_id: AccountId, rest: HttpTransport, auth: HttpTransport | None = None
    ) -> None:
        self._account_id = account_id
        self._rest = rest
        self._auth = auth

    async def profile(self, token: str) -> BrokerProfile:
        """Ask what the broker says of a token; `GET /profile`.

        Raises:
            BrokerSessionExpired: it is dead.
            BrokerError: nothing can be said.
        """
        site = CallSite("read profile", is_write=False)
        response = await self._get(site, "/profile", token)
        row = _object(site, response, token)
        try:
            return read_profile(row)
        except Unreadable as error:
            raise _senseless(site, response) from error

    async def renew(self, token: str) -> IssuedToken:
        """Let the broker kill a living token and make another; `GET /RenewToken`.

        Raises:
            BrokerSessionExpired: it was dead before. BrokerRejected: it is not renewable.
            BrokerError: with `sent` MAYBE the token may have been killed all the same.
        """
        site = CallSite("renew the access token", is_write=True)
        headers = {"access-token": token, "dhanClientId": self._account_id}
        request = HttpRequest("GET", "/RenewToken", headers=headers | _ACCEPT)
        response = await self._send(site, self._rest, request, CALL_SECONDS_MAX)
        return _issued(site, response, token)

    async def log_in(self, pin: str, code: str) -> IssuedToken:
        """Make a token by PIN and one-time code; `POST /app/generateAccessToken`.

        Raises:
            BrokerRejected: refused, in the broker's words.
            BrokerError: with `sent` MAYBE a token may have been made and lost.
        """
        assert self._auth is not None, "only sessions with PIN and secret log in"
        site = CallSite("log in by PIN and TOTP", is_write=True)
        query = {"dhanClientId": self._account_id, "pin": pin, "totp": code}
        request = HttpRequest("POST", LOGIN_PATH, query=query, headers=_ACCEPT)
        response = await self._send(site, self._auth, request, LOGIN_SECONDS_MAX)
        return _issued(site, response, pin, code)

    async def address(self, token: str) -> AddressState:
        """Ask from which addresses orders are taken; `GET /ip/getIP`.

        Raises:
            BrokerSessionExpired: the token is dead.
            BrokerError: nothing can be said, also where an error comes as HTTP 200.
        """
        site = CallSite("read the registered addresses", is_write=False)
        response = await self._get(site, "/ip/getIP", token)
        return read_address(_object(site, response, token))

    async def _get(self, site: CallSite, path: str, token: str) -> HttpResponse:
        headers = {"access-token": token, "client-id": self._account_id}
        headers |= {"dhanClientId": self._account_id}
        request = HttpRequest("GET", path, headers=headers | _ACCEPT)
        return await self._send(site, self._rest, request, CALL_SECONDS_MAX)

    @staticmethod
    async def _send(
        site: CallSite, transport: HttpTransport, request: HttpRequest, seconds: float
    ) -> HttpResponse:
        try:
            return await transport.send(request, seconds)
        except TransportError as error:
            raise error_from_transport(site, error) from error


def read_address(row: Mapping[str, Any]) -> AddressState:
    """Read what `getIP` says; `ordersAllowed` and `ipMatchStatus` are not always there.

    Where the broker says that no address is registered no order is taken; else only its word on
    orders counts, and an answer without a word of addresses says nothing.
    """
    names = ("primaryIP", "secondaryIP")
    registered = tuple(text for name in names if (text := optional_text_of(row, name)))
    allowed = _verdict(row.get("ordersAllowed"))
    if allowed is None:
        allowed = _verdict(row.get("ipMatchStatus"))
    if allowed is None and not registered and any(name in row for name in names):
        allowed = False
    return AddressState(allowed, optional_text_of(row, "detectedIP") or "", registered)


def _verdict(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    if word in _YES:
        return True
    is_no = word in _NO or "mismatch" in word or word.startswith("not")
    return False if is_no else None


def _object(site: CallSite, response: HttpResponse, token: str) -> dict[str, Any]:
    """Return the object that an answer consists of, also in an array of one or in `data` (2.7)."""
    content = load_json(response.body) if response.status == 200 else None
    row = only_object(content)
    if row is not None and read_fault(response.body) is None:
        return only_object(row.get("data")) or row
    raise _failure(site, response, token)


def _issued(site: CallSite, response: HttpResponse, *secrets: str) -> IssuedToken:
    content = load_json(response.body) if response.status in (200, 201) else None
    for row in _rows_with_tokens(content):
        for name in _TOKEN_NAMES:
            token = _token_of(row, name)
            if token is not None and token not in secrets:
                expires_ns = ns_from_ist_text(optional_text_of(row, "expiryTime") or "")
                return IssuedToken(token, expires_ns or expires_ns_of(token))
    raise _failure(site, response, *secrets)


def _rows_with_tokens(content: Any) -> tuple[Row, ...]:
    """Return the objects a token may stand in: the answer itself and its `data`."""
    row = only_object(content)
    inner = only_object(row.get("data")) if row is not None else None
    return tuple(each for each in (row, inner) if each is not None)


def _token_of(row: Row, name: str) -> str | None:
    text = optional_text_of(row, name)
    try:
        return None if text is None else checked_token(text, name)
    except ConfigError:
        return None


def _failure(site: CallSite, response: HttpResponse, *secrets: str) -> BrokerError:
    """Return the error of an answer that is no success, without any of its secrets."""
    text = response.body.decode("utf-8", "replace")
    for secret in secrets:
        text = scrub(text, secret)
    body = _TOKEN_SHAPE.sub("***", text).encode()
    clean = HttpResponse(response.status, response.headers, body)
    error, fault = error_from_response(site, clean, ""), read_fault(body)
    is_told = fault is not None and not fault.code and response.status < 500
    if fault is None or not is_told or isinstance(error, BrokerSessionExpired):
        return error
    told = " ".join((fault.text or "an error without a message").split())[:200]
    return BrokerRejected(
        f"{site.what}: refused, HTTP {response.status} {told}",
        text=told,
        http_status=response.status,
    )


def _senseless(site: CallSite, response: HttpResponse) -> BrokerProtocolError:
    return BrokerProtocolError(
        f"{site.what}: the answer makes no sense, HTTP {response.status}",
        http_status=response.status,
    )
