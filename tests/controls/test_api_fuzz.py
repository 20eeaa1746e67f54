"""Fuzzed calls of the whole API against its own OpenAPI document, on a real socket.

A short slice of always the same calls runs with the tests; a long one by hand:

    make test ARGS="tests/controls/test_api_fuzz.py --api-calls 100000"
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api_rig import READ_TOKEN, TOKEN, TRAIL_KINDS, ApiRig
from squareoff.web.errors import SECURITY_HEADERS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
STREAM = "/api/v1/events"
"""Never ends, so it is called elsewhere (tests/web/test_event_stream.py)."""

WAITING = ("/exit", "/withdraw", "/exit-all")


@pytest.fixture(scope="module")
def line() -> Iterator[requests.Session]:
    """Give one connection that is kept."""
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def operations(rig: ApiRig) -> list[Any]:
    """Return every operation of the document, in its order."""
    document = rig.call("GET", "/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{rig.port}")
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.path != STREAM]


REFUSALS = (400, 401, 403, 413, 414, 421)
"""What the unauthenticated may be told: that a call has no form, no token, or no place here."""


def fuzz(operation: Any, calls: int, act: Any) -> int:
    """Call `act` with about so many cases of an operation, always the same; count them."""
    count = 0
    for mode in schemathesis.GenerationMode:

        @settings(
            max_examples=max(1, calls // len(schemathesis.GenerationMode)),
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            nonlocal count
            count += 1
            act(case)

        with suppress(Unsatisfiable):  # a call without any input cannot be made wrongly
            run()
    return count


def calls_each(request: pytest.FixtureRequest, operations: list[Any], slice_calls: int) -> int:
    """Return how many calls each operation gets."""
    asked = request.config.getoption("--api-calls")
    return slice_calls if asked is None else max(2, asked // len(operations))


def without_waiting(case: Any) -> Any:
    """Take the wait out of a case: how long a caller waits is no matter of its form."""
    if isinstance(case.query, dict) and "wait_seconds" in case.query:
        case.query["wait_seconds"] = 0
    if isinstance(case.body, dict) and case.operation.path.endswith(WAITING):
        case.body["wait_seconds"] = 0
    return case


def test_t13_no_call_with_a_token_gets_a_500_or_an_undocumented_answer(
    request: pytest.FixtureRequest, rig: ApiRig, operations: list[Any], line: requests.Session
) -> None:
    """Good and bad calls of every operation, by admin: each answer is one that is documented."""

    def act(case: Any) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = without_waiting(case).call(session=line, headers=headers)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            body = response.json()
            if case.operation.path != "/readyz":
                assert set(body) == {"ok", "error"}, body
            assert "Traceback" not in response.text
        for name, value in SECURITY_HEADERS.items():
            assert response.headers[name.lower()] == [value]

    rig.track()
    calls = calls_each(request, operations, 12)
    done = sum(fuzz(operation, calls, act) for operation in operations)

    assert done >= len(operations) * 2


@pytest.mark.parametrize("token", ["", READ_TOKEN[:-1]])
def test_t06_no_call_without_a_token_has_an_effect(
    token: str,
    request: pytest.FixtureRequest,
    rig: ApiRig,
    operations: list[Any],
    line: requests.Session,
) -> None:
    """Whatever the unauthenticated send, they are told nothing and nothing is changed."""
    mine, head = rig.track(), rig.journal_head()
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def act(case: Any) -> None:
        response = case.call(session=line, headers=headers)
        is_open = case.operation.path in ("/healthz", "/readyz")
        assert response.status_code < 500
        assert is_open or response.status_code in REFUSALS, response.status_code

    calls = calls_each(request, operations, 4)
    done = sum(fuzz(operation, calls, act) for operation in operations)
    after = rig.get(f"/journal?after={head}").json["items"]
    own = {"books_reconciled", "alarm_raised", "alarm_repeated", "alarm_cleared"}
    effects = [f for f in after if f["kind"] not in own | TRAIL_KINDS]
    commands = [f for f in after if f["kind"] == "command_asked"]

    assert done >= len(operations) * 2
    assert (effects, commands) == ([], [])
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


def test_the_document_has_examples_and_answers_for_every_call(
    rig: ApiRig, operations: list[Any]
) -> None:
    """Each body has an example, each call an answer for success and for refusal."""
    document = rig.call("GET", "/openapi.json").json
    lacking = []
    for operation in operations:
        raw = operation.definition.raw
        if not any(status.startswith("2") for status in raw["responses"]):
            lacking.append((operation.label, "no success"))
        if not {"4XX", "5XX"} <= set(raw["responses"]):
            lacking.append((operation.label, "no refusal"))
        content = raw.get("requestBody", {}).get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "").split("/")[-1]
        if name and not document["components"]["schemas"][name].get("examples"):
            lacking.append((operation.label, "no example"))

    assert lacking == []
