"""Which HTTP status goes with which error, and the answers that say so.

Invariant: an answer never holds more than the code and text of an error of ours; of what is not
ours it says nothing but that it happened.
"""

import json
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from squareoff.config.fault_texts import fault_text, path_text
from squareoff.domain.errors import (
    BrokerError,
    CommitOutcomeUnknown,
    DomainError,
    FieldFault,
    InForceNotStored,
    LostUpdate,
    SquareoffError,
    StoreError,
)
from squareoff.domain.rule_parsing import InvalidRules
from squareoff.services.desk.desk_requests import InvalidRequest, NotHeld
from squareoff.web.error_shape import ApiError, error_body, fault_details

_log = structlog.get_logger("squareoff.web")

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer, errors included."""

_STATUS_BY_CODE: Mapping[str, int] = {
    "tracker_not_found": 404,
    "alarm_not_found": 404,
    "invalid_request": 422,
    "halted": 409,
    "not_active": 409,
    "not_held": 409,
    "opposite_side": 409,
    "entry_order_taken": 409,
    "entry_order_not_found": 409,
    "entry_order_unfit": 409,
    "nothing_to_withdraw": 409,
    "cannot_untrack": 409,
    "no_over_exit": 409,
    "role_too_low": 403,
    "invalid_transition": 409,
}
_CODE_BY_STATUS: Mapping[int, str] = {
    400: "malformed_json",
    404: "not_found",
    405: "method_not_allowed",
}
_MESSAGES: Mapping[int, str] = {
    400: "the body is no JSON",
    404: "there is nothing at this address",
    405: "this address does not take this method",
}


def install_error_handlers(app: FastAPI) -> None:
    """Let every error of this app leave in the one shape."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(SquareoffError, _on_own)
    app.add_exception_handler(Exception, _on_defect)


def _answer(
    status: int, code: str, message: str, details: Mapping[str, Any] | None = None
) -> JSONResponse:
    return _ErrorAnswer(
        error_body(code, message, details), status_code=status, headers=dict(SECURITY_HEADERS)
    )


class _ErrorAnswer(JSONResponse):
    """An error may name what the caller made up: half a surrogate pair is no UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return the body; what cannot be encoded is escaped, as JSON writes it."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


async def _on_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for it"
    return answer_validation(error)


async def _on_own(request: Request, error: Exception) -> JSONResponse:
    return answer_own(request.url.path, error)


async def _on_defect(request: Request, error: Exception) -> JSONResponse:
    return answer_defect(request.url.path, error)


def answer_validation(error: RequestValidationError) -> JSONResponse:
    """Answer for a body, query or path that could not be read."""
    entries = error.errors()
    if any(entry["type"] == "json_invalid" for entry in entries):
        return _answer(400, "malformed_json", "the body is no JSON")
    faults = [_fault_of(entry) for entry in entries]
    text = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return _answer(422, "invalid_request", text, fault_details(faults))


def _fault_of(entry: Mapping[str, Any]) -> FieldFault:
    # The first part is where it stood (body, query, path); a fault of the body as a whole has none.
    location = entry["loc"][1:] or entry["loc"]
    text = fault_text(entry, show_input=True)
    said = "unknown field" if text == "unknown" else text.replace("a table", "an object")
    return FieldFault(path_text(location), said)


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for it"
    return answer_http(error)


def answer_http(error: HTTPException) -> JSONResponse:
    """Answer for what the framework refused."""
    status = error.status_code
    code = _CODE_BY_STATUS.get(status, "refused")
    answer = _answer(status, code, _MESSAGES.get(status, "the request was refused"))
    answer.headers.update(error.headers or {})
    return answer


def answer_own(path: str, error: Exception) -> JSONResponse:
    """Answer for an error of ours that a call to `path` met."""
    match error:
        case ApiError():
            return _answer(error.status, error.code, str(error), error.details)
        case InvalidRequest() | InvalidRules():
            return _answer(422, "invalid_request", str(error), fault_details(error.faults))
        case NotHeld():
            details = {"field": error.field, **error.details}
            return _answer(409, error.code, str(error), details)
        case DomainError():
            status = _STATUS_BY_CODE.get(error.code, 422)
            details = {"field": error.field} if error.field else {}
            return _answer(status, error.code, str(error), details)
        case LostUpdate():
            text = "another writer changed this first; nothing was written, ask again"
            return _answer(409, "lost_update", text)
        case InForceNotStored():
            return _answer(503, "in_force_not_stored", str(error))
        case CommitOutcomeUnknown():
            text = "the database did not say whether it was written; look before asking again"
            return _answer(503, "commit_outcome_unknown", text)
        case StoreError():
            text = "the database cannot be written; nothing was changed"
            return _answer(503, "store_unavailable", text)
        case BrokerError():
            return _answer(502, "broker_unavailable", f"the broker could not be read: {error}")
    return answer_defect(path, error)


def answer_defect(path: str, error: Exception) -> JSONResponse:
    """Answer for a defect of ours without a word about it; whoever caught it logs its traceback."""
    _log.error("api_defect", path=path, kind=type(error).__name__)
    return _answer(500, "internal_error", "a defect of the engine's API; see its log")
