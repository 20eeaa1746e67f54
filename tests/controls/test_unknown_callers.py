"""Whoever has no token has no effect, and is told why and no more: control T6 of docs/security.md.

A short slice of always the same calls runs with the tests; a long one by hand:

    make test ARGS="tests/controls/test_unknown_callers.py --api-calls 100000"
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import pytest
import requests

from api_fuzz import CHECKS, fuzz_all, without_waiting, write_report
from api_rig import READ_TOKEN, TOKEN, TRAIL_KINDS, ApiRig
from squareoff.web.health_routes import OPEN_PATHS

OWN_KINDS = frozenset({"books_reconciled", "alarm_raised", "alarm_repeated", "alarm_cleared"})
"""What an engine writes that nobody asks for anything."""

VIOLATIONS_MAX = 20

REFUSALS = {
    (401, "unauthorized"),
    (414, "address_too_long"),
    (403, "origin_refused"),
    (421, "host_refused"),
    (400, "ambiguous_length"),
    (400, "malformed_request"),
}
"""What the unknown may be told: that the call has no token, or no form that any caller has. All of
it is decided before path, body or state of anything is looked at (squareoff.web.guard)."""


def _bearer(text: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {text}"}}


WAYS: Mapping[str, dict[str, dict[str, str]]] = {
    "nothing": {},
    "a token without its end": _bearer(READ_TOKEN[:-1]),
    "a token and one character more": _bearer(f"{TOKEN}0"),
    "a token in capitals": _bearer(TOKEN.upper()),
    "the hash of a token": _bearer(hashlib.sha256(TOKEN.encode()).hexdigest()),
    "a token under another scheme": {"headers": {"Authorization": f"Basic {TOKEN}"}},
    "a token in a cookie": {"cookies": {"token": TOKEN}},
    "a token in the address": {"params": {"token": TOKEN, "access_token": TOKEN}},
}
"""What a call may carry instead of a token in its header; each case is sent in all these ways."""


def test_t06_no_call_without_a_token_has_an_effect(
    request: pytest.FixtureRequest, rig: ApiRig, operations: list[Any], line: requests.Session
) -> None:
    """Good calls and bad ones, a third of them about a position that is there: each is refused in
    the same words, and nothing is changed."""
    mine, head = rig.track(), rig.journal_head()
    line.trust_env = False
    ways, answers, texts = Counter[str](), Counter[str](), {}
    violations: list[str] = []
    is_about_mine = cycle((True, False, False))

    def act(case: Any) -> None:
        if isinstance(case.path_parameters, dict) and next(is_about_mine):
            case.path_parameters |= dict.fromkeys(
                case.path_parameters.keys() & {"tracker_id"}, mine
            )
        case.headers.pop("Authorization", None)
        for way in WAYS:
            send(without_waiting(case), way)

    def send(case: Any, way: str) -> None:
        response = case.call(session=line, **WAYS[way])
        ways[way] += 1
        told, fault = _told(case, response)
        answers[told] += 1
        if not fault and not _is_open(case):
            fault = texts.setdefault(told, response.text) != response.text
        if fault and len(violations) < VIOLATIONS_MAX:
            violations.append(f"{way}: {case.method} {case.path}: {told} {response.text[:200]}")

    calls = request.config.getoption("--api-calls")
    cases = None if calls is None else -(-calls // len(WAYS))
    fuzz_all(operations, act, calls=cases, slice_calls=2)
    violations += [f"effect: {fact['kind']} ({fact['seq']})" for fact in _effects(rig, head)]
    report = request.config.getoption("--api-report")
    if report is not None:
        counts = {"ways": ways, "answers": answers, "violations": violations}
        write_report(report, operations=len(operations), **counts)

    assert violations == []
    assert sum(ways.values()) >= (calls or len(operations) * len(WAYS))
    assert set(ways) == set(WAYS)
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


def _is_open(case: Any) -> bool:
    return case.operation.path in OPEN_PATHS


def _told(case: Any, response: Any) -> tuple[str, bool]:
    """Return an answer in few words, and whether it is one that the unknown may not get."""
    if _is_open(case) and response.status_code == 200:
        case.validate_response(response, checks=CHECKS)
        return "200 of an open address", False
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}", True
    is_refusal = (response.status_code, code) in REFUSALS
    return f"{response.status_code} {code}", not is_refusal


def _effects(rig: ApiRig, head: int) -> list[dict[str, Any]]:
    """Return all facts after `head` that somebody asked for; commands asked are some themselves."""
    quiet = OWN_KINDS | (TRAIL_KINDS - {"command_asked", "command_answered"})
    return [fact for fact in rig.facts_after(head) if fact["kind"] not in quiet]
