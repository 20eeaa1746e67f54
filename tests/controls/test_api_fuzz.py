"""Fuzzed calls of the whole API against its own OpenAPI document, on a real socket.

A short slice of always the same calls runs with the tests; a long one by hand:

    make test ARGS="tests/controls/test_api_fuzz.py --api-calls 100000"
"""

from typing import Any

import pytest
import requests

from api_fuzz import CHECKS, fuzz_all, without_waiting
from api_rig import TOKEN, ApiRig
from squareoff.web.errors import SECURITY_HEADERS


def test_t13_no_call_with_a_token_gets_a_500_or_an_undocumented_answer(
    request: pytest.FixtureRequest, rig: ApiRig, operations: list[Any], line: requests.Session
) -> None:
    """Good and bad calls of every operation, by admin: each answer is one that is documented."""

    changed = set()

    def act(case: Any) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = without_waiting(case).call(session=line, headers=headers)
        case.validate_response(response, checks=CHECKS)
        if case.method != "GET" and response.status_code < 300:
            changed.add(case.operation.label)
        if response.status_code >= 400:
            body = response.json()
            if case.operation.path != "/readyz":
                assert set(body) == {"ok", "error"}, body
            assert "Traceback" not in response.text
        for name, value in SECURITY_HEADERS.items():
            assert response.headers[name.lower()] == [value]

    rig.track()
    calls = request.config.getoption("--api-calls")
    done = fuzz_all(operations, act, calls=calls, slice_calls=12)

    assert done >= len(operations) * 2
    assert changed


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
