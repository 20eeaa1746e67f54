"""What every request must pass before any route sees it, and what every answer carries.

Rules, in this order:
1. The Host header names this machine (DNS rebinding); so does Origin where a browser sends one.
2. A valid bearer token, on everything but the open paths; missing and wrong are answered alike,
   and ever more slowly.
3. No more calls than are taken of one role from one source; closing and halting have a reserve.
4. A change comes as JSON, is small, and arrives in time.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squareoff.web.admission import (
    TOO_MANY_CODE,
    TOO_MANY_HEADERS,
    TOO_MANY_TEXT,
    Admission,
    Call,
    source_text,
)
from squareoff.web.error_shape import error_body
from squareoff.web.errors import SECURITY_HEADERS
from squareoff.web.roles import CHANGING_METHODS, Caller

BODY_BYTES_MAX = 64 * 1024
"""Every request is a few hundred bytes; this leaves room for rules with many tiers."""

ADDRESS_LENGTH_MAX = 2_048
"""The longest of ours has a few hundred bytes."""

BODY_SECONDS_MAX = 5.0
"""A body of that size from this machine arrives at once; slower is a stuck or hostile caller."""

JSON_TYPE = "application/json"


def _tell_nobody(_first: str, _second: str) -> None:
    """Keep no trail: a standby writes no journal."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """Whom the guard lets in, and who is told of it. `hosts` are names without port, lower case.

    `on_refusal` is called with the code and the source of a refused call, `on_caller` with the role
    and the source of one that was let in.
    """

    admission: Admission
    hosts: frozenset[str]
    on_refusal: Callable[[str, str], None] = _tell_nobody
    on_caller: Callable[[str, str], None] = _tell_nobody


class Guard:
    """The ASGI middleware that holds the rules above."""

    def __init__(self, app: ASGIApp, *, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules
        self._admission = rules.admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it without effect."""
        if scope["type"] != "http":
            return  # sockets and lifespan have no business here
        headers = Headers(scope=scope)
        source = source_of(scope, headers)
        refusal = await self._caller_refusal(scope, headers, source)
        if refusal is not _TOO_MANY:  # each call is counted, whatever else is wrong with it
            refusal = _form_refusal(scope, headers, self._rules.hosts) or refusal
        body = b""
        if refusal is None and scope["method"] in CHANGING_METHODS:
            body, refusal = await _read_body(receive, headers)
        with_headers = _HeaderSender(send)
        if refusal is not None:
            self._rules.on_refusal(refusal.code, source)
            await refusal.answer()(scope, receive, with_headers)
            return
        if scope["method"] in CHANGING_METHODS:
            receive = _Replay(body, receive)
        await self._app(scope, receive, with_headers)

    async def _caller_refusal(
        self, scope: Scope, headers: Headers, source: str
    ) -> "_Refusal | None":
        """Find out who calls; return why not to let that one in."""
        now, admission = asyncio.get_running_loop().time(), self._admission
        role = admission.tokens.role_of(headers.get("authorization", ""))
        call = Call(scope["method"], scope["path"], _address_of(scope), role)
        is_open = admission.is_open(call.path)
        if role is None and not is_open:
            return await self._unknown_caller(call.address, now)
        if not admission.take(call, now):
            return _TOO_MANY
        if role is None or is_open:
            return None
        is_page = headers.get("sec-fetch-site") == "same-origin"
        scope["caller"] = Caller(role, source, is_page)
        self._rules.on_caller(role.value, source)
        return None

    async def _unknown_caller(self, address: str, now: float) -> "_Refusal":
        """Answer a missing or wrong token, ever more slowly."""
        delays = self._admission.delays
        delay = delays.next_delay(address, now)
        if delay == 0.0:
            return _UNAUTHORIZED
        if delays.is_full:
            return _TOO_MANY
        delays.delayed += 1
        try:
            await asyncio.sleep(delay)
        finally:
            delays.delayed -= 1
        return _UNAUTHORIZED


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request is refused, before any route sees it."""

    status: int
    code: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    def answer(self) -> JSONResponse:
        """Return the refusal in the one shape of errors."""
        body = error_body(self.code, self.text)
        return JSONResponse(body, status_code=self.status, headers=dict(self.headers))


_UNAUTHORIZED = _Refusal(
    401,
    "unauthorized",
    "a valid token is needed: send the header 'Authorization: Bearer TOKEN'",
    (("WWW-Authenticate", "Bearer"),),
)
_TOO_MANY = _Refusal(429, TOO_MANY_CODE, TOO_MANY_TEXT, TOO_MANY_HEADERS)
_FOREIGN_PAGE = _Refusal(403, "origin_refused", "pages of other sites may not call this API")
_FOREIGN_HOST = _Refusal(421, "host_refused", "the Host header must name this machine")
_TWO_LENGTHS = _Refusal(
    400, "ambiguous_length", "a request has a Content-Length or a Transfer-Encoding, not both"
)
_TOO_LONG = _Refusal(414, "address_too_long", f"an address has at most {ADDRESS_LENGTH_MAX} bytes")
_TOO_LARGE = _Refusal(413, "body_too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
_INCOMPLETE = _Refusal(400, "body_incomplete", "the caller went away")
_NOT_JSON = _Refusal(415, "unsupported_media_type", f"a change is sent as {JSON_TYPE}")


def source_of(scope: Scope, headers: Headers) -> str:
    """Return where a call comes from: the address, and by its own word the program."""
    return source_text(_address_of(scope), headers.get("user-agent", ""))


def _address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _form_refusal(scope: Scope, headers: Headers, hosts: frozenset[str]) -> _Refusal | None:
    """Refuse what no honest caller sends, whoever it is."""
    if len(scope["path"]) + len(scope["query_string"]) > ADDRESS_LENGTH_MAX:
        return _TOO_LONG
    if "content-length" in headers and "transfer-encoding" in headers:
        return _TWO_LENGTHS
    if _host_name(headers.get("host", "")) not in hosts:
        return _FOREIGN_HOST
    origin = headers.get("origin")
    if origin is not None and not _is_own_origin(origin, headers.get("host", "")):
        return _FOREIGN_PAGE
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return _FOREIGN_PAGE
    return None


async def _read_body(receive: Receive, headers: Headers) -> tuple[bytes, _Refusal | None]:
    """Read a small JSON body whole; return it, or what to refuse the request with."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
        return b"", _TOO_LARGE
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            is_complete = False
            while not is_complete:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", _INCOMPLETE
                body += message.get("body", b"")
                is_complete = not message.get("more_body", False)
                if len(body) > BODY_BYTES_MAX:
                    return b"", _TOO_LARGE
    except TimeoutError:
        text = f"a body arrives within {BODY_SECONDS_MAX:g} s"
        return b"", _Refusal(408, "body_too_slow", text)
    kind = headers.get("content-type", "")
    is_json = kind.partition(";")[0].strip().lower() == JSON_TYPE
    if (body or kind) and not is_json:
        return b"", _NOT_JSON
    return bytes(body), None


class _Replay:
    """Hands a body that was read whole to the app, and then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


class _HeaderSender:
    """Adds the security headers to whatever is answered."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
        await self._send(message)


def _host_name(host: str) -> str:
    """Return the name in a Host header without its port: `[::1]:8700` is `::1`."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_own_origin(origin: str, host: str) -> bool:
    """Say whether a page's origin is this very server; `null` (a sandbox, a file) is not."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def allowed_hosts(names: Collection[str]) -> frozenset[str]:
    """Return host names as the guard compares them."""
    return frozenset(name.strip("[]").lower() for name in names)
