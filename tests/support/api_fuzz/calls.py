"""Make good and bad calls of every operation of the document, and the checks of their answers."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api_rig import ApiRig

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

CALLS_PER_ROUND = 100
"""Of one operation: hypothesis remembers all cases of a round, so a long round is a slow one."""

WAITING = ("/exit", "/withdraw", "/exit-all")


def operations_of(rig: ApiRig) -> list[Any]:
    """Return every operation of the document, in its order."""
    document = rig.call("GET", "/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{rig.port}")
    found = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return [operation for operation in found if operation.path != STREAM]


def fuzz(operation: Any, calls: int, act: Callable[[Any], None], *, round_number: int = 0) -> int:
    """Call `act` with about so many cases of an operation, the same in each run; count them."""
    count = 0
    for mode in schemathesis.GenerationMode:

        @seed(round_number)
        @settings(
            max_examples=max(1, calls // len(schemathesis.GenerationMode)),
            derandomize=False,  # the seed above decides
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


def fuzz_all(
    operations: Sequence[Any], act: Callable[[Any], None], *, calls: int | None, slice_calls: int
) -> int:
    """Call `act` with cases of every operation, round by round until there were `calls`.

    Without `calls` it is one round of `slice_calls` each.
    """
    if calls is None:
        return sum(fuzz(each, slice_calls, act) for each in operations)
    done, round_number = 0, 0
    while done < calls:
        for operation in operations:
            done += fuzz(operation, CALLS_PER_ROUND, act, round_number=round_number)
        round_number += 1
    return done


def without_waiting(case: Any) -> Any:
    """Take the wait out of a case: how long a caller waits is no matter of its form."""
    if isinstance(case.query, dict) and "wait_seconds" in case.query:
        case.query["wait_seconds"] = 0
    if isinstance(case.body, dict) and case.operation.path.endswith(WAITING):
        case.body["wait_seconds"] = 0
    return case
