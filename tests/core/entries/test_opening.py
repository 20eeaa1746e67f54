"""Tests of opening: faults name their field, and the first facts make the first state."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS, held, new_position
from squareoff.core.entries.opening import QUANTITY_MAX, open_position, opening_faults
from squareoff.core.state.facts import EntryWatched, OrderPlanned, TrackerOpened
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import OrderRole, OrderType, PositionSide, Side
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import OrderState, PositionStatus

D = Decimal
INDEX = replace(INSTRUMENT, instrument_id=InstrumentId(ExchangeSegment.IDX_I, "13"))


def test_a_good_position_has_no_fault() -> None:
    """The default position may be opened."""
    assert not opening_faults(new_position(), D(152))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an index": ({"instrument": INDEX}, "exchange_segment"),
    "delivery of an option": ({"product_type": ProductType.CNC}, "product_type"),
    "a cover order's": ({"product_type": ProductType.CO}, "product_type"),
    "a bracket order's": ({"product_type": ProductType.BO}, "product_type"),
    "margin trading of a derivative": ({"product_type": ProductType.MTF}, "product_type"),
    "no quantity": ({"quantity": 0}, "quantity"),
    "a slip of the hand": ({"quantity": QUANTITY_MAX + 25}, "quantity"),
    "not whole lots": ({"quantity": 30}, "quantity"),
    "no entry price": ({"entry_price": D(0)}, "entry_price"),
    "a limit of zero": (
        {"entry_price": D(0), "entry_order_type": OrderType.LIMIT},
        "limit_price",
    ),
    "a limit off the grid": (
        {"entry_price": D("150.03"), "entry_order_type": OrderType.LIMIT},
        "limit_price",
    ),
    "a rule": ({"rules": RuleSet(stop_loss=PriceRule(price=D(160)))}, "rules.stop_loss.price"),
    "an id that the feed has no room for": (
        {
            "instrument": replace(
                INSTRUMENT, instrument_id=InstrumentId(ExchangeSegment.NSE_FNO, "4294967296")
            )
        },
        "security_id",
    ),
    "no lot size": ({"instrument": replace(INSTRUMENT, lot_size=0)}, "lot_size"),
    "no tick": ({"instrument": replace(INSTRUMENT, tick_size=D(0))}, "tick_size"),
    "a freeze below one lot": (
        {"instrument": replace(INSTRUMENT, freeze_quantity=24)},
        "freeze_quantity",
    ),
    "a freeze of zero": (
        {"instrument": replace(INSTRUMENT, freeze_quantity=0)},
        "freeze_quantity",
    ),
}


@pytest.mark.parametrize(("changes", "field"), BAD.values(), ids=BAD.keys())
def test_a_fault_names_its_field(changes: dict[str, Any], field: str) -> None:
    """What cannot be opened is refused with the one field at fault; nothing raises."""
    assert [fault.field for fault in opening_faults(new_position(**changes), D(152))] == [field]


def test_rules_of_a_market_entry_wait_for_its_price() -> None:
    """Without any price a stop level cannot be on the wrong side yet."""
    position = new_position(
        entry_price=D(0),
        entry_order_type=OrderType.MARKET,
        rules=RuleSet(stop_loss=PriceRule(price=D(160))),
    )

    assert not opening_faults(position, None)


def test_an_entry_is_one_order_and_no_larger() -> None:
    """More than one order may carry is refused as an entry, and taken over as a position held."""
    entry = new_position(quantity=1825, entry_order_type=OrderType.LIMIT)

    assert [fault.field for fault in opening_faults(entry, None)] == ["quantity"]
    assert opening_faults(new_position(quantity=1825), None) == ()


def test_a_position_taken_over_is_active_at_once() -> None:
    """Without an entry order the quantity is held now."""
    tracker, facts = open_position(new_position(), OPENED_AT_NS)

    assert [type(fact) for fact in facts] == [TrackerOpened]
    assert (tracker.status, tracker.quantity) == (PositionStatus.ACTIVE, 100)
    assert tracker.created_at_ns == OPENED_AT_NS
    assert not tracker.orders


def test_a_watched_entry_holds_nothing_yet() -> None:
    """With somebody's entry order the position waits for its fills."""
    position = new_position(entry_order_id=BrokerOrderId("E1"))
    tracker, facts = open_position(position, OPENED_AT_NS)
    (order,) = tracker.entry_orders

    assert [type(fact) for fact in facts] == [TrackerOpened, EntryWatched]
    assert (tracker.status, tracker.quantity) == (PositionStatus.PENDING, 0)
    assert (order.state, order.side, order.order_quantity) == (OrderState.ACCEPTED, Side.BUY, 100)
    assert order.broker_orders[0].broker_order_id == "E1"


@pytest.mark.parametrize(
    ("order_type", "limit"), [(OrderType.LIMIT, D(150)), (OrderType.MARKET, None)]
)
def test_an_entry_of_ours_is_planned(order_type: OrderType, limit: Decimal | None) -> None:
    """An entry order is a plan under an entry id until its permit comes."""
    position = new_position(side=PositionSide.SHORT, entry_order_type=order_type)
    tracker, facts = open_position(position, OPENED_AT_NS)
    (order,) = tracker.entry_orders

    assert [type(fact) for fact in facts] == [TrackerOpened, OrderPlanned]
    assert order.client_order_id.startswith("sqe-")
    assert (order.role, order.side, order.limit_price) == (OrderRole.ENTRY, Side.SELL, limit)
    assert order.state is OrderState.PLANNED


def test_the_key_is_never_the_security_id_alone() -> None:
    """A position is named by account, segment, security id and product."""
    a, b = held(), held(product_type=ProductType.MARGIN)

    assert a.key != b.key
