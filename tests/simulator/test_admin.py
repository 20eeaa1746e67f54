"""HTTP under /admin."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

FUTURE = {"exchangeSegment": "NSE_FNO", "securityId": "49543"}
PATHS = ("ticks", "positions", "instruments", "clock", "conduct", "faults", "tokens", "sockets")
PRICED = FUTURE | {"last_price": "26000"}
HELD = FUTURE | {"net_quantity": 75, "price": 26000}


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
    assert sim.admin("POST", "square_off")["done"]
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
        # Names that are not known.
        ("ticks", PRICED | {"last_price_paise": 1}),
        ("ticks", FUTURE | {"lastPrize": 26000}),
        ("positions", HELD | {"netQuantum": 75}),
        ("instruments", FUTURE | {"lotsize": 25}),
        ("clock", {"now": "2026-01-01"}),
        ("tokens", {"killall": True}),
        ("tokens", {}),
        ("sockets", {"disconect": "feed"}),
        ("sockets", {"disconnect": "market"}),
        ("sockets", {"how": "softly"}),
        ("listener", {"closed_seconds": 1, "seconds": 1}),
        ("expire", {"order_id": "1"}),
        ("next_day", {"days": 2}),
        ("square_off", {"product_type": "MTF"}),
        # Two names for one thing, or what does nothing.
        ("ticks", PRICED | {"ltp": 26000}),
        ("ticks", FUTURE | {"volume": 7}),
        ("positions", HELD | {"quantity": 75}),
        # Wrong types and values without sense.
        ("ticks", FUTURE | {"price": -5}),
        ("ticks", FUTURE | {"price": 0}),
        ("ticks", FUTURE | {"price": "NaN"}),
        ("ticks", FUTURE | {"price": float("nan")}),
        ("ticks", FUTURE | {"price": True}),
        ("ticks", FUTURE | {"price": [26000]}),
        ("ticks", PRICED | {"quantity": 0.5}),
        ("ticks", PRICED | {"volume": -1}),
        ("ticks", FUTURE | {"bids": [[26000]]}),
        ("ticks", FUTURE | {"bids": [[-1, 75]]}),
        ("ticks", FUTURE | {"bids": "26000"}),
        ("positions", FUTURE | {"net_quantity": 0, "price": 1}),
        ("positions", FUTURE | {"net_quantity": 7.5, "price": 1}),
        ("positions", HELD | {"product_type": "intraday"}),
        ("positions", HELD | {"carried": "no"}),
        ("positions", HELD | {"dhan_client_id": 5}),
        ("instruments", FUTURE | {"option_type": "STRADDLE"}),
        ("instruments", FUTURE | {"instrument_type": "FUTURE"}),
        ("instruments", FUTURE | {"expiry": "next Tuesday"}),
        ("instruments", FUTURE | {"expiry": "2026-02-30"}),
        ("instruments", FUTURE | {"lot_size": 0}),
        ("instruments", FUTURE | {"lot_size": 2.5}),
        ("instruments", FUTURE | {"tick_size": "-0.05"}),
        ("instruments", FUTURE | {"freeze_quantity": -1}),
        ("instruments", FUTURE | {"lower_circuit": 2, "upper_circuit": 1}),
        ("instruments", FUTURE | {"halted": "yes"}),
        ("clock", {"paused": "no"}),
        ("clock", {"speed": -1}),
        ("clock", {"speed": 0}),
        ("clock", {"speed": "fast"}),
        ("clock", {"set_seconds": -1}),
        ("clock", {"advance_seconds": float("inf")}),
        ("tokens", {"kill": "token"}),
        ("tokens", {"kill_all": 1}),
        ("listener", {"closed_seconds": -1}),
        ("faults", [{"what": {}, "how_often": {"probability": 2}}]),
        ("faults", [{"what": {}, "how_often": {"nth": 0}}]),
        ("faults", [{"what": {"delay_ms": -5}}]),
        ("faults", [{"what": {"delay_ms": [10, 5]}}]),
        ("faults", [{"what": {"status": 9999}}]),
        ("faults", [{"what": {"status": 42}}]),
        ("faults", [{"what": {"price": "dear"}}]),
        ("faults", [{"what": {"security_id": "NIFTY"}}]),
        ("faults", [{"what": {}, "until": {"seconds": -1}}]),
        ("conduct", {"exchange_delay_ms": -5}),
        ("conduct", {"exchange_delay_ms": [10, 5]}),
        ("conduct", {"token_hours": -1}),
        ("conduct", {"rate_limits": {"orders": {"second": 1}}}),
        ("conduct", {"rate_limits": {"order": {"seconds": 1}}}),
        # No object at all.
        *((path, body) for path in PATHS for body in (5, None, "x", [5], [None])),
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


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"price": 1e999}', b"9" * 5_000], ids=len
)
def test_no_body_breaks_the_admin(make_server: Callable[..., Any], raw: bytes) -> None:
    """Bytes that are no JSON are refused like any other wrong request."""
    sim = make_server()
    url = f"http://127.0.0.1:{sim.port}/admin/ticks"

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, data=raw, method="POST"), timeout=10)

    assert caught.value.code == 400


@pytest.mark.parametrize("action", ["fill", "cancel", "reject", "expire", "free"])
def test_nothing_is_done_to_an_order_that_has_ended(
    make_server: Callable[..., Any], action: str
) -> None:
    """Where nothing can happen the admin says so, rather than answering that it did."""
    sim = make_server()
    sim.admin("POST", "positions", HELD)
    (order,) = sim.state("orders")["orders"]

    with pytest.raises(urllib.error.HTTPError) as caught:
        sim.admin("POST", f"orders/{order['order_id']}/{action}", {})

    assert (caught.value.code, b"has ended" in caught.value.read()) == (400, True)


def test_a_fault_that_is_not_in_force_cannot_be_lifted(make_server: Callable[..., Any]) -> None:
    """A misspelt id is told, rather than leaving the rule in force without a word."""
    sim = make_server()
    sim.admin("POST", "faults", {"id": "late", "what": {"delay_ms": 1}})

    with pytest.raises(urllib.error.HTTPError) as caught:
        sim.admin("DELETE", "faults?id=lost")

    assert (caught.value.code, b"'lost'" in caught.value.read()) == (400, True)
    assert sim.admin("DELETE", "faults?id=late") == []
    assert sim.admin("DELETE", "faults") == []


def test_an_unknown_part_of_the_state_is_named(make_server: Callable[..., Any]) -> None:
    """A part that does not exist is refused with those that do."""
    sim = make_server()

    with pytest.raises(urllib.error.HTTPError) as caught:
        sim.state("ordres")

    assert (caught.value.code, b"orders" in caught.value.read()) == (400, True)


@pytest.mark.parametrize("name", ["last_price", "last_traded_price", "price", "ltp", "lastPrice"])
def test_a_price_goes_by_all_its_names(make_server: Callable[..., Any], name: str) -> None:
    """Whatever it is called, the price is the market's."""
    sim = make_server()
    sim.admin("POST", "ticks", FUTURE | {name: "26001.5"})

    priced = [row for row in sim.state("market")["market"] if row["last_price"] is not None]

    assert [row["last_price"] for row in priced] == ["26001.5"]


def test_what_stands_before_a_refused_one_is_done_and_told(make_server: Callable[..., Any]) -> None:
    """A list is done item by item: the refusal says how many were."""
    sim = make_server()

    with pytest.raises(urllib.error.HTTPError) as caught:
        sim.admin("POST", "ticks", [PRICED, FUTURE | {"price": -5}])

    assert "the 1 before it are done" in json.loads(caught.value.read())["error"]
