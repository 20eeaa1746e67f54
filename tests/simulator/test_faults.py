"""Fault rules: where, what, how often, until when."""

import random
from typing import Any

import pytest

from squareoff.domain.errors import ConfigError
from squareoff.simulator.faults import NO_FAULT, FaultPlan, FaultPoint, parse_rules

PLACE = FaultPoint("POST", "/orders", fields={"transactionType": "SELL", "quantity": 75})
READ = FaultPoint("GET", "/orders/1")
UPDATE = FaultPoint(socket="order_update", fields={"orderStatus": "TRADED"})


def plan(*rules: dict[str, Any], seed: int = 7) -> FaultPlan:
    made = FaultPlan(random.Random(seed))
    made.add(parse_rules(list(rules)), 0)
    return made


def hits(made: FaultPlan, point: FaultPoint, count: int = 10) -> list[int]:
    """Return the numbers (from 1) of the events that were hit."""
    return [n + 1 for n in range(count) if made.decide(point, n) is not NO_FAULT]


@pytest.mark.parametrize(
    ("where", "point", "is_hit"),
    [
        ({}, PLACE, True),
        ({}, UPDATE, False),
        ({"method": "POST"}, READ, False),
        ({"path": "/v2/orders"}, PLACE, True),
        ({"path": "/orders/*"}, READ, True),
        ({"match": {"transactionType": "SELL", "quantity": 75}}, PLACE, True),
        ({"match": {"transactionType": "BUY"}}, PLACE, False),
        ({"match": {"absent": "*?"}}, PLACE, False),
        ({"socket": "order_update"}, UPDATE, True),
        ({"socket": "feed"}, UPDATE, False),
        ({"socket": "order_update", "on": "login"}, UPDATE, False),
        ({"socket": "order_update", "match": {"orderStatus": "TRADED"}}, UPDATE, True),
    ],
    ids=str,
)
def test_where(where: dict[str, Any], point: FaultPoint, is_hit: bool) -> None:
    """A rule matches by method, path pattern or socket, and by the fields of the event."""
    made = plan({"where": where, "what": {"delay_ms": 1}})
    assert (made.decide(point, 0) is not NO_FAULT) is is_hit


@pytest.mark.parametrize(
    ("often", "numbers"),
    [
        ({"nth": 3}, [3]),
        ({"nth": [1, 4]}, [1, 4]),
        ({"every": 4}, [4, 8]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"probability": 0}, []),
    ],
    ids=str,
)
def test_how_often(often: dict[str, Any], numbers: list[int]) -> None:
    """A rule fires on the n-th, every n-th, or a limited number of matching events."""
    assert hits(plan({"what": {"refuse": True}, "how_often": often}), PLACE) == numbers


def test_probability_comes_from_the_seed() -> None:
    """Chance is the seed's: the same seed hits the same events, and about as many as asked."""
    rule = {"what": {"refuse": True}, "how_often": {"probability": 0.3}}

    first, again = hits(plan(rule), PLACE, 1_000), hits(plan(rule), PLACE, 1_000)

    assert first == again
    assert 230 < len(first) < 370


def test_until() -> None:
    """A rule ends after a time or after a number of matching events."""
    timed = plan({"what": {"refuse": True}, "until": {"seconds": 1}})
    counted = plan({"what": {"refuse": True}, "until": {"count": 2}})

    assert timed.decide(PLACE, 999_999_999) is not NO_FAULT
    assert timed.decide(PLACE, 1_000_000_000) is NO_FAULT
    assert hits(counted, PLACE) == [1, 2]


def test_several_rules_merge() -> None:
    """The earlier rule's field wins, other fields join, delays add up."""
    made = plan(
        {"id": "a", "what": {"delay_ms": 5, "error": "DH-908"}},
        {"id": "b", "what": {"delay_ms": 7, "error": "DH-904", "act": True, "lag_ms": 3}},
    )

    decision = made.decide(PLACE, 0)

    assert (decision.what.error, decision.what.act) == ("DH-908", True)
    assert (decision.delay_ns, decision.lag_ns) == (12_000_000, 3_000_000)
    assert decision.rule_ids == ("a", "b")


def test_rules_are_described_and_lifted() -> None:
    """Each rule tells how often it saw and hit; one or all can be lifted."""
    made = plan({"what": {"refuse": True}, "how_often": {"nth": 2}}, {"id": "x", "what": {}})
    hits(made, PLACE, 3)

    described = made.describe()
    made.clear("x")

    assert [(d["rule"]["id"], d["seen"], d["fired"]) for d in described] == [
        ("fault-1", 3, 1), ("x", 3, 3),
    ]  # fmt: skip
    assert [d["rule"]["id"] for d in made.describe()] == ["fault-1"]
    made.clear()
    assert made.describe() == []


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"what": {"explode": True}},
        {"what": {"delay_ms": "x"}},
        {"what": {}, "where": {"sock": 1}},
        {"what": {"drop": True}, "where": {"method": "POST", "path": "/v2/orders"}},
        {"what": {"garbage": "text"}},
        {"what": {"partial_fill": 75}, "where": {"socket": "order_update"}},
        {"what": {"drop_before": "hold"}, "where": {"socket": "feed"}},
        {"what": {"price": "1e39"}, "where": {"socket": "feed"}},
        {"what": {"security_id": "-1"}, "where": {"socket": "feed"}},
        {"what": {"security_id": "4294967296"}, "where": {"socket": "feed"}},
        {"what": {"time_shift_seconds": 1e300}, "where": {"socket": "feed"}},
        {"what": {"refuse": True}, "where": {"socket": "feed"}},
        {"what": {"price": "1"}, "where": {"socket": "order_update"}},
        {"what": {"fields": {"status": "x"}}, "where": {"socket": "feed"}},
        {"what": {"garbage": "text"}, "where": {"socket": "feed", "on": "subscribe"}},
        {"what": {"status": 429}, "where": {"socket": "order_update", "on": "login"}},
        {"what": {"delay_ms": 5}, "where": {"socket": "feed", "on": "connect"}},
    ],
    ids=str,
)
def test_bad_rules_are_refused(rule: dict[str, Any]) -> None:
    """A rule without effect there, with an unknown field or a bad value is refused by its place."""
    with pytest.raises(ConfigError, match="faults"):
        parse_rules(rule)
