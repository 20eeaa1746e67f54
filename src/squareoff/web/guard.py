"""What every request must pass before any route sees it, and what every answer carries.

Rules, in this order:
1. The Host header names this machine (DNS rebinding); so does Origin where a browser sends one.
2. A valid bearer token, on everything but the open paths; missing and wrong are answered alike.
3. A change comes as JSON, is small, and arrives in time.
"""

import asyncio
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squareoff.web.errors import SECURITY_HEADERS, error_body

BODY_BYTES_MAX = 64 * 1024
"""Every request is a few hundred bytes; this leaves room for rules with many tiers."""

BODY_SECONDS_MAX = 5.0
"""A body of that size from this machine arrives at once; slower is a stuck or hostile caller."""

JSON_TYPE = "application/json"
_CHANGING = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class GuardRules:
    """Whom the guard lets in. `hosts` are names without port, lower case."""

    token: str
    hosts: frozenset[str]
    open_paths: frozenset[str]


class Guard:
    """The ASGI middleware that holds the rules above."""

    def __init__(self, app: ASGIApp, *, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules
        self._expected = f"Bearer {rules.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it without effect."""
        if scope["type"] != "http":
            return  # sockets and lifespan have no business here
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        body = b""
        if refusal is None and scope["method"] in _CHANGING:
            body, refusal = await _read_body(receive, headers)
        with_headers = _HeaderSender(send)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        if scope["method"] in _CHANGING:
            receive = _Replay(body, receive)
        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        if _host_name(headers.get("host", "")) not in self._rules.hosts:
            return _refuse(421, "host_refused", "the Host header must name this machine")
        origin = headers.get("origin")
        if origin is not None and not _is_own_origin(origin, headers.get("host", "")):
            return _refuse(403, "origin_refused", "pages of other sites may not call this API")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return _refuse(403, "origin_refused", "pages of other sites may not call this API")
        if scope["path"] in self._rules.open_paths:
            return None
        given = headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            return _refuse(
                401,
                "unauthorized",
                "a valid token is needed: send the header 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )
        return None


async def _read_body(receive: Receive, headers: Headers) -> tuple[bytes, JSONResponse | None]:
    """Read a small JSON body whole; return it, or what to refuse the request with."""
    too_large = _refuse(413, "body_too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
        return b"", too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            is_complete = False
            while not is_complete:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", _refuse(400, "body_incomplete", "the caller went away")
                body += message.get("body", b"")
                is_complete = not message.get("more_body", False)
                if len(body) > BODY_BYTES_MAX:
                    return b"", too_large
    except TimeoutError:
        return b"", _refuse(408, "body_too_slow", f"a body arrives within {BODY_SECONDS_MAX:g} s")
    kind = headers.get("content-type", "")
    is_json = kind.partition(";")[0].strip().lower() == JSON_TYPE
    if (body or kind) and not is_json:
        text = f"a change is sent as {JSON_TYPE}"
        return b"", _refuse(415, "unsupported_media_type", text)
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


def _refuse(
    status: int, code: str, text: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(error_body(code, text), status_code=status, headers=headers)


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
