"""HTTP under /admin."""

import urllib.error
from collections.abc import Callable
from typing import Any

import pytest

FUTURE = {"exchangeSegment": "NSE_FNO", "securityId": "49543"}


def test_each_route_answers(make_server: Callable[..., Any]) -> None:
    """Every route does its work and says so in JSON; a list is done item by item."""
    sim = make_server()

    assert sim.admin("GET", "ready")["ready"] is True
    assert len(sim.admin("POST", "ticks", [FUTURE | {"ltp": 26000}] * 2)) == 2
    assert sim.admin("POST", "positions", FUTURE | {"netQty": -75})["netQty"] == -75
    added = sim.admin("POST", "instruments", {"exchangeSegment": "NSE_EQ", "securityId": "77"})
    assert added["security_id"] == "77"
    assert sim.admin("POST", "conduct", {"alert_keys": "pascal"})["alert_keys"] == "pascal"
    assert sim.admin("GET", "conduct")["alert_keys"] == "pascal"
    ids = sim.admin("POST", "faults", [{"what": {}}, {"id": "x", "what": {}}])["ids"]
    assert [rule["rule"]["id"] for rule in sim.admin("GET", "faults")] == ids
    assert len(sim.admin("DELETE", "faults?id=x")) == 1
    assert sim.admin("POST", "tokens", {"kill": ["t"], "kill_all": True})["done"]
    assert sim.admin("POST", "expire")["done"]
    assert set(sim.state("orders", "trades")) == {"orders", "trades"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("ticks", FUTURE | {"securityId": "1", "last_price": 1}),
        ("ticks", {"last_price": 1}),
        ("ticks", FUTURE | {"last_price": "x"}),
        ("positions", FUTURE),
        ("positions", FUTURE | {"securityId": "1"}),
        ("faults", [{"what": {"nope": 1}}]),
        ("conduct", {"nope": 1}),
        ("conduct", []),
        ("orders/1/fill", {}),
        ("listener", {}),
    ],
    ids=str,
)
def test_wrong_requests_are_400_with_a_reason(
    make_server: Callable[..., Any], path: str, body: Any
) -> None:
    """What cannot be done is refused with a sentence, and the simulator goes on."""
    sim = make_server()

    with pytest.raises(urllib.error.HTTPError) as caught:
        sim.admin("POST", path, body)

    assert caught.value.code == 400
    assert sim.admin("GET", "ready")["ready"]
