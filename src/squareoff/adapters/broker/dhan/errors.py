"""Judge failed answers by one question: did the request take effect?

Sources: dhanhq-v2.md 1.6 (token), 9.2 (body shapes), 9.3 and 9.4 (codes).

Invariants:
1. `sent = NO` needs the broker's own word or proof from the transport; a status code alone proves
   it only for 401. A 429 of a write without a readable refusal stays unknown, and so does a write
   refused with a code that says the broker itself broke down (9.3: reconcile), or with 408.
2. Any 5xx, any redirect, any answer that is not the broker's JSON is unknown for a write,
   whatever its text says.
3. No message or text holds the access token.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from squareoff.adapters.broker.dhan.json_values import load_json, only_object, word_of
from squareoff.adapters.broker.dhan.transport import (
    Forbidden,
    HttpResponse,
    NotSent,
    TransportError,
)
from squareoff.domain.errors import (
    STATIC_IP_CODE,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSendForbidden,
    BrokerSessionExpired,
    BrokerUnreachable,
)

RAW_TEXT_LENGTH_MAX = 2_000
"""How much of an answer an error keeps; a page of HTML tells no more after that."""

_MESSAGE_TEXT_LENGTH_MAX = 300
_TOKEN_DEAD_CODES = frozenset({"DH-901", "807", "809"})
_NO_ACCESS_CODES = frozenset({"DH-902", "DH-903", "806"})
"""What the account may not use; the token may be alive, whatever the status (9.3, 9.4)."""

_ADDRESS_TEXTS = ("invalid ip", "ip is not whitelisted", "ip not whitelisted", "unregistered ip")
_ORDER_RATE_CODE = "DH-904"
"""The broker's word that a request was refused for its rate before it was executed."""
_DATA_RATE_CODE = "805"
"""The same of the data calls; what it would mean under an order write is written nowhere."""
_UNDECIDED_CODES = frozenset({"", "DH-908", "DH-909", "DH-910", "800"})
"""None, internal error, backend unreachable, "other": a write may have gone on before it broke, and
a look-up says nothing of the order."""

_NO_ORDER_CODES = frozenset({"DH-906", "DH-907"})
"""What a look-up of an unknown tag is refused with: an order error, no data."""


@dataclass(frozen=True, slots=True)
class CallSite:
    """What was asked: one phrase for messages (`place order sqx-...`), whether it writes, and the
    monotonic instant at which a write has become too old to leave. A call for market data is served
    by other rules of access than orders are."""

    what: str
    is_write: bool
    send_before_ns: int | None = None
    is_market_data: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What the broker's own error body says."""

    code: str
    text: str


def read_fault(body: bytes) -> Fault | None:
    """Return the broker's code and text, or None where the body is no error body of the broker.

    Knows `{"errorCode", "errorMessage"}`, `{"status": "failed", "data": {"<code>": "text"}}`,
    `{"errorCode", "internalErrorMessage"}` and `{"status": "ERROR", "message"}`, which has no code
    (9.2), each also as the one element of an array. A gateway's `{"status", "error", "path"}` and
    HTML are not the broker's word.
    """
    content = only_object(load_json(body))
    if content is None:
        return None
    code = content.get("errorCode") or content.get("internalErrorCode")
    if isinstance(code, str | int):
        text = content.get("errorMessage") or content.get("internalErrorMessage") or ""
        return Fault(str(code).strip().upper(), str(text).strip())
    match word_of(content.get("status")):
        case "FAILED" | "FAILURE":
            return _fault_of_data(content.get("data"))
        case "ERROR":
            return Fault("", str(content.get("message") or "").strip())
        case _:
            return None


def _fault_of_data(entries: Any) -> Fault | None:
    if isinstance(entries, dict) and len(entries) == 1:
        code, text = next(iter(entries.items()))
        if code.strip().isdigit():
            return Fault(code.strip(), str(text).strip())
    return None


def error_from_transport(site: CallSite, error: TransportError) -> BrokerError:
    """Return our error for a request without an answer."""
    if isinstance(error, Forbidden):
        return BrokerSendForbidden(f"{site.what}: not sent, {error}", text=str(error))
    if isinstance(error, NotSent):
        return BrokerUnreachable(f"{site.what}: nothing was sent, {error}")
    return BrokerOutcomeUnknown(f"{site.what}: sent, but not answered, {error}")


def error_from_response(site: CallSite, response: HttpResponse, secret: str) -> BrokerError:
    """Return our error for an answer that is no success.

    Args:
        secret: the access token, removed from whatever text is kept.

    Returns:
        `BrokerSessionExpired`, `BrokerRateLimited`: sent = NO, by the broker's word.
        `BrokerRejected`: a 4xx with the broker's own error body, for a write one that decides; its
        code is the broker's, or `STATIC_IP_CODE`.
        `BrokerOutcomeUnknown`, `BrokerProtocolError`: sent = MAYBE.
    """
    fault = read_fault(response.body)
    status = response.status
    raw = raw_text(response.body, secret)
    code = fault.code if fault else ""
    text = scrub(fault.text, secret) if fault else raw
    said = f"HTTP {status} {code} {_shorten(text)}".strip()
    details: dict[str, Any] = {"code": code, "text": text, "http_status": status}
    is_undecided = site.is_write and (300 <= status < 400 or status >= 500)
    if is_token_dead(status, fault) and not is_undecided:
        return BrokerSessionExpired(f"{site.what}: the access token is dead, {said}", **details)
    if status == HTTPStatus.TOO_MANY_REQUESTS and not site.is_write:
        return BrokerRateLimited(f"{site.what}: too many requests, {said}", **details)
    if 400 <= status < 500 and fault is not None:
        return _error_from_refusal(site, said, details)
    if status >= 400:
        return BrokerOutcomeUnknown(f"{site.what}: no decision of the broker, {said}", **details)
    return BrokerProtocolError(f"{site.what}: the answer makes no sense, {said}", **details)


def _error_from_refusal(site: CallSite, said: str, details: dict[str, Any]) -> BrokerError:
    code, text, status = details["code"], details["text"], details["http_status"]
    if code == _ORDER_RATE_CODE or (code == _DATA_RATE_CODE and not site.is_write):
        return BrokerRateLimited(f"{site.what}: refused for rate, {said}", **details)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return BrokerOutcomeUnknown(f"{site.what}: 429 without a rate code, {said}", **details)
    if site.is_write and (code in _UNDECIDED_CODES or status == HTTPStatus.REQUEST_TIMEOUT):
        return BrokerOutcomeUnknown(f"{site.what}: no decision in the refusal, {said}", **details)
    if code == "DH-911" or any(each in text.lower() for each in _ADDRESS_TEXTS):
        details["code"] = STATIC_IP_CODE
        return BrokerRejected(f"{site.what}: this address is not registered, {said}", **details)
    return BrokerRejected(f"{site.what}: refused, {said}", **details)


def is_token_dead(status: int, fault: Fault | None) -> bool:
    """Say whether an answer means a dead token: any sign of 1.6 counts, whatever the code.

    A 401 is no sign where its code says that the account has no access to what was asked for.
    """
    if fault is None:
        return status == HTTPStatus.UNAUTHORIZED
    if status == HTTPStatus.UNAUTHORIZED and fault.code not in _NO_ACCESS_CODES:
        return True
    return fault.code in _TOKEN_DEAD_CODES or "invalid token" in fault.text.lower()


def is_not_found(response: HttpResponse) -> bool:
    """Tell the broker's own "no such order" from a gateway's 404 (wrong path) and a proxy's page.

    It was seen as 404 in the sandbox only; its code comes under 400 as well (9.3). Nothing follows
    from it alone (2.7), while a look-up that fails for ever keeps a lost order from being settled.
    """
    is_404 = response.status == HTTPStatus.NOT_FOUND
    if is_404 and not response.body.strip():
        return True
    fault = read_fault(response.body)
    if fault is None or is_token_dead(response.status, fault):
        return False
    if response.status == HTTPStatus.BAD_REQUEST:
        return fault.code in _NO_ORDER_CODES
    return is_404 and fault.code not in _UNDECIDED_CODES


def protocol_error(
    site: CallSite, problem: str, response: HttpResponse, secret: str
) -> BrokerProtocolError:
    """Return the error for a successful status whose content cannot be what was asked for."""
    raw = raw_text(response.body, secret)
    return BrokerProtocolError(
        f"{site.what}: {problem}, HTTP {response.status} {_shorten(raw)}".rstrip(),
        text=raw,
        http_status=response.status,
    )


def raw_text(body: bytes, secret: str) -> str:
    """Return an answer's text without the token, then shortened."""
    return scrub(body.decode("utf-8", "replace"), secret)[:RAW_TEXT_LENGTH_MAX]


def scrub(text: str, secret: str) -> str:
    """Return `text` with the secret blotted out."""
    return text.replace(secret, "***") if secret else text


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _MESSAGE_TEXT_LENGTH_MAX:
        return line
    return line[:_MESSAGE_TEXT_LENGTH_MAX] + "..."
