"""Refuse what comes too often at the price of a look, before it costs the parsing of a request.

The engine serves the API in its own loop, so what a refused call costs is taken from the exits. The
guard refuses with every rule it has, for a third of a millisecond; here the bytes of a head are
looked at for the one question whether its caller has any call left, which takes some microseconds.

Invariants:
1. It only ever refuses, and only what the guard would refuse for its number (`too_many_calls`): it
   asks the guard's own counts, and takes nothing from them. Whatever it cannot read at a glance is
   the guard's.
2. A refused head is answered whole, and the connection ends where more than that head came.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

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

HEAD_BYTES_MAX = 64 * 1024
"""As many as the HTTP parser keeps of a head that is not whole."""

_WORDS = 3
_END = re.compile(rb"\n\r?\n")
# Linear whatever stands there: a pattern that could go back over its own steps would be a weapon.
_AUTHORIZATION = re.compile(rb"\nauthorization:([^\r\n]*)", re.IGNORECASE)
_USER_AGENT = re.compile(rb"\nuser-agent:([^\r\n]*)", re.IGNORECASE)
_MORE = re.compile(rb"\n(content-length|transfer-encoding|expect|connection):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QuickRefusal:
    """What to answer, and whether the connection ends with it."""

    answer: bytes
    ends_connection: bool


class Turnstile:
    """Looks at heads for one server; `on_refusal` is told the code and the source of a refusal."""

    def __init__(self, admission: Admission, on_refusal: Callable[[str, str], None]) -> None:
        self._admission = admission
        self._on_refusal = on_refusal

    def refusal_of(self, data: bytes, address: str, now: float) -> QuickRefusal | None:
        """Return how to refuse the request that begins with `data`, None to let it on.

        `data` holds a whole head where it can; `now` is seconds of the loop's clock.
        """
        end = _END.search(data)
        words = data.partition(b"\n")[0].split(b" ")
        if end is None or len(words) != _WORDS:
            return None
        head = data[: end.end()]
        method, target = words[0].decode("latin-1"), words[1].decode("latin-1")
        role = self._admission.tokens.role_of(_value(_AUTHORIZATION, head))
        call = Call(method, target.partition("?")[0], address, role)
        if self._admission.would_take(call, now):
            return None
        self._on_refusal(TOO_MANY_CODE, source_text(address, _value(_USER_AGENT, head)))
        is_plain = words[0] != b"HEAD" and words[2].strip() == b"HTTP/1.1"
        is_all = len(head) == len(data) and _MORE.search(head) is None
        return _KEPT if is_plain and is_all else _ENDED


def is_incomplete(data: bytes) -> bool:
    """Say whether the rest of a head may still be on its way, so that it is too early to judge."""
    is_head = data[:1].isalpha()  # what is not is no HTTP, and is told so at once
    return is_head and len(data) < HEAD_BYTES_MAX and _END.search(data) is None


def _value(header: re.Pattern[bytes], head: bytes) -> str:
    found = header.search(head)
    return "" if found is None else found[1].strip().decode("latin-1")


def _answer(headers: tuple[tuple[str, str], ...]) -> bytes:
    body = json.dumps(error_body(TOO_MANY_CODE, TOO_MANY_TEXT)).encode()
    lines = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *TOO_MANY_HEADERS,
        *SECURITY_HEADERS.items(),
        *headers,
    )
    text = "".join(f"{name.lower()}: {value}\r\n" for name, value in lines)
    return b"HTTP/1.1 429 Too Many Requests\r\n" + text.encode() + b"\r\n" + body


_KEPT = QuickRefusal(_answer(()), ends_connection=False)
_ENDED = QuickRefusal(_answer((("Connection", "close"),)), ends_connection=True)
