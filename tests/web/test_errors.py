"""Every error of ours leaves in the one shape with its status; a defect leaves without a word."""

import asyncio
import json

import pytest
from starlette.requests import Request

from squareoff.domain.errors import (
    BrokerUnreachable,
    CommitOutcomeUnknown,
    DomainError,
    FieldFault,
    InForceNotStored,
    InvariantBroken,
    LostUpdate,
    SquareoffError,
    StoreUnavailable,
)
from squareoff.services.desk.desk import InvalidRequest, UnknownTracker
from squareoff.web.error_shape import ApiError, error_body
from squareoff.web.errors import _on_own

SECRET = "postgresql://user:hunter2secret@host"

CASES: dict[str, tuple[SquareoffError, int, str]] = {
    "api": (ApiError(418, "teapot", "short and stout"), 418, "teapot"),
    "faults": (InvalidRequest([FieldFault("quantity", "is zero")]), 422, "invalid_request"),
    "tracker": (UnknownTracker("t"), 404, "tracker_not_found"),
    "halted": (DomainError("halted", "no"), 409, "halted"),
    "other domain error": (DomainError("odd", "no"), 422, "odd"),
    "lost update": (LostUpdate(SECRET), 409, "lost_update"),
    "unknown commit": (CommitOutcomeUnknown(SECRET), 503, "commit_outcome_unknown"),
    "in force": (InForceNotStored("the switch holds"), 503, "in_force_not_stored"),
    "store": (StoreUnavailable(SECRET), 503, "store_unavailable"),
    "broker": (BrokerUnreachable("no line"), 502, "broker_unavailable"),
    "defect": (InvariantBroken(SECRET), 500, "internal_error"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_error_of_ours_has_its_status_and_code(name: str) -> None:
    """The tree of errors maps to statuses; what may hold a secret is not repeated."""
    error, status, code = CASES[name]
    scope = {"type": "http", "path": "/x", "headers": [], "query_string": b"", "scheme": "http"}
    request = Request(scope | {"method": "GET", "server": ("127.0.0.1", 80)})
    answer = asyncio.run(_on_own(request, error))
    body = json.loads(bytes(answer.body))

    assert (answer.status_code, body["error"]["code"], body["ok"]) == (status, code, False)
    assert "hunter2secret" not in str(body)


def test_the_one_shape() -> None:
    """ok, and in error: code, message, details."""
    assert error_body("c", "m") == {
        "ok": False, "error": {"code": "c", "message": "m", "details": {}},
    }  # fmt: skip
