"""Order-update messages: casing, words and quantities of dhanhq-v2.md 6.2 - 6.3."""

from collections.abc import Callable
from typing import Any

import pytest


def partial(make_bench: Callable[..., Any], **knobs: Any) -> list[dict[str, Any]]:
    """Return the updates of an order that fills in two parts."""
    bench = make_bench(**knobs)
    sink = bench.listen()
    order_id = bench.place(quantity=150)
    bench.run(20)
    bench.tick("26000.0", available_quantity=75)
    bench.tick("25999.0", available_quantity=75)
    bench.run()
    updates = sink.data()
    assert all(order_id in data.values() for data in updates)
    return updates


def test_default_updates_follow_the_wire(make_bench: Callable[..., Any]) -> None:
    """By default keys are camelCase, words Title-case, quantities cumulative."""
    updates = partial(make_bench)

    assert [u["status"] for u in updates] == ["Transit", "Pending", "Part-Traded", "Traded"]
    assert [u["tradedQty"] for u in updates] == [0, 0, 75, 150]
    last = updates[-1]
    assert (last["txnType"], last["orderType"], last["product"], last["segment"]) == (
        "B", "LMT", "I", "D",
    )  # fmt: skip
    assert (last["tradedPrice"], last["avgTradedPrice"]) == (25999.0, 25999.5)
    assert (last["correlationId"], last["source"], last["offMktFlag"]) == ("tag-1", "P", "0")


def test_pascal_and_mixed_keys(make_bench: Callable[..., Any]) -> None:
    """Keys can be PascalCase, or mixed as in the documented sample (12.18)."""
    pascal, mixed = (partial(make_bench, alert_keys=word)[0] for word in ("pascal", "mixed"))

    assert {"OrderNo", "Status", "TradedQty"} <= set(pascal)
    assert {"orderNo", "status", "TxnType"} <= set(mixed)


@pytest.mark.parametrize("word", ["Part-Traded", "PART-TRADED", "PART_TRADED", "Pending"])
def test_partial_words(make_bench: Callable[..., Any], word: str) -> None:
    """A partial fill has several words, or none of its own: Pending with a quantity (12.19)."""
    update = partial(make_bench, alert_partial_word=word, alert_words="upper")[2]

    assert (update["status"], update["tradedQty"]) == (word, 75)


def test_upper_words(make_bench: Callable[..., Any]) -> None:
    """Words can be upper-case as documented (12.19)."""
    assert partial(make_bench, alert_words="upper")[0]["status"] == "TRANSIT"


def test_traded_quantity_can_be_the_last_fill(make_bench: Callable[..., Any]) -> None:
    """Whether the traded quantity is cumulative is unproven, so it can be per fill (12.21)."""
    updates = partial(make_bench, alert_traded_quantity="last")

    assert [u["tradedQty"] for u in updates] == [0, 0, 75, 75]


@pytest.mark.parametrize(
    ("knob", "kind"), [("empty", str), ("number", float), ("string", str), ("absent", type(None))]
)
def test_algo_order_number(make_bench: Callable[..., Any], knob: str, kind: type) -> None:
    """The algo order number is empty, a float, a string or missing (12.22)."""
    update = partial(make_bench, alert_algo_order_number=knob)[0]

    assert isinstance(update.get("algoOrdNo"), kind)


def test_tag_can_be_left_out(make_bench: Callable[..., Any]) -> None:
    """Before 2025-03 updates carried no tag."""
    assert "correlationId" not in partial(make_bench, alert_correlation_id=False)[0]


def test_modified_word_and_reject_reason(make_bench: Callable[..., Any]) -> None:
    """A modification is told as Modified or as Pending; a rejection carries its reason."""
    words = []
    for knob in (True, False):
        bench = make_bench(alert_modified_word=knob, alert_transit=False)
        sink = bench.listen()
        order_id = bench.place()
        bench.run()
        bench.call("PUT", f"/orders/{order_id}", bench.body(orderId=order_id, price=25990.0))
        bench.run()
        words.append([u["status"] for u in sink.data()])
        bench.place(price=40000.0)
        bench.run()
        assert sink.data()[-1]["reasonDescription"].startswith("RMS:")

    assert words == [["Pending", "Modified"], ["Pending", "Pending"]]


def test_trades_in_the_app_are_pushed_as_from_elsewhere(make_bench: Callable[..., Any]) -> None:
    """Orders of the broker's own app reach the socket too, with their source and no tag."""
    bench = make_bench()
    sink = bench.listen()
    bench.admin.trade_in_app(
        {"exchange_segment": "NSE_EQ", "security_id": "2885", "product_type": "CNC",
         "transaction_type": "BUY", "quantity": 10, "price": "1500"}, bench.now,
    )  # fmt: skip
    bench.run()

    last = sink.data()[-1]
    assert (last["source"], last["correlationId"], last["status"]) == ("N", "", "Traded")
