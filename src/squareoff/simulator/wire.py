"""The wire's outer shapes: requests, answers, error bodies, times. Written from dhanhq-v2.md alone.

Floats appear only here and in `packets`, at the moment a price becomes JSON or bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from squareoff.domain.errors import SquareoffError
from squareoff.domain.time import IST, IST_OFFSET_SECONDS, NANOSECONDS_PER_SECOND

NEVER_TEXT = "0001-01-01 00:00:00"
"""The broker's sentinel for a time that has not come (dhanhq-v2.md 2.7)."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")

ERROR_TYPES = {
    "DH-901": "Invalid_Authentication",
    "DH-904": "Rate_Limit",
    "DH-905": "Input_Exception",
    "DH-906": "Order_Error",
    "DH-1111": "HOLDING_ERROR",
    "DHOLDING_ERROR": "HOLDING_ERROR",
}


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One REST request. `path` has no query, header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class WireResponse:
    """One REST answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class WireRefusal(SquareoffError):
    """The broker refuses a request synchronously; carries the answer. Nothing was done."""

    def __init__(self, response: WireResponse) -> None:
        super().__init__(response.body.decode())
        self.response = response


def json_response(status: int, value: Any) -> WireResponse:
    """Return a JSON answer; decimals become JSON numbers."""
    return WireResponse(status, encode_json(value))


def refusal(status: int, code: str, message: str) -> WireRefusal:
    """Return the normal three-field error (dhanhq-v2.md 9.2) as an exception to raise."""
    body = {
        "errorType": ERROR_TYPES.get(code, "Order_Error"),
        "errorCode": code,
        "errorMessage": message,
    }
    return WireRefusal(json_response(status, body))


def data_refusal(status: int, code: str, text: str) -> WireRefusal:
    """Return the error shape of the data APIs (dhanhq-v2.md 9.2) as an exception to raise."""
    return WireRefusal(json_response(status, {"data": {code: text}, "status": "failed"}))


def gateway_not_found(path: str, now_ns: int) -> WireResponse:
    """Return the gateway's 404 for a path that is not served."""
    body = {"timestamp": clock_text(now_ns), "status": 404, "error": "Not Found", "path": path}
    return json_response(404, body)


def encode_json(value: Any) -> bytes:
    """Return JSON bytes; decimals become numbers, digit by digit."""
    return _ENCODER.encode(value)


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request body.

    Raises:
        WireRefusal: DH-905, the body is no JSON object.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise refusal(400, "DH-905", "Missing required fields, bad values for parameters etc.")
    return value


def body_fields(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, empty where it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def clock_text(time_ns: int | None, *, in_utc: bool = False) -> str:
    """Return `YYYY-MM-DD HH:MM:SS` in IST (or UTC, as the sandbox), or the sentinel for None."""
    if time_ns is None:
        return NEVER_TEXT
    return _clock_text(time_ns // NANOSECONDS_PER_SECOND, in_utc)


@lru_cache(maxsize=4_096)
def _clock_text(seconds: int, in_utc: bool) -> str:
    """Return the text of one second; rows repeat the same few seconds very often."""
    return datetime.fromtimestamp(seconds, UTC if in_utc else IST).strftime("%Y-%m-%d %H:%M:%S")


def day_first_text(time_ns: int | None) -> str:
    """Return `DD/MM/YYYY HH:MM:SS` in IST as market quotes use; 1980 for never."""
    if time_ns is None:
        return "01/01/1980 00:00:00"
    return _instant(time_ns).strftime("%d/%m/%Y %H:%M:%S")


def profile_text(time_ns: int) -> str:
    """Return `DD/MM/YYYY HH:MM` in IST as the profile uses."""
    return _instant(time_ns).strftime("%d/%m/%Y %H:%M")


def date_text(time_ns: int) -> str:
    """Return the IST day as `YYYY-MM-DD`."""
    return clock_text(time_ns)[:10]


def ist_clock_as_epoch(time_ns: int) -> int:
    """Return the feed's LTT: the IST wall clock stored as if it were UTC seconds (7.6)."""
    return time_ns // NANOSECONDS_PER_SECOND + IST_OFFSET_SECONDS


def _instant(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // NANOSECONDS_PER_SECOND, IST)
