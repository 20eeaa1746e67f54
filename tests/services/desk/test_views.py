"""Views are values that show what is held, by the names of the API."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.story import Story
from exit_story.values import INSTRUMENT, OPENED_AT_NS, held, net
from squareoff.core.account.account_pnl import AccountPnl, rupees_of, share_of
from squareoff.core.state.tracker import BrokerOrder
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderRole, OrderType, PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import OrderState, PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.services.desk.views import order_views, tracker_view

TICK = Tick(INSTRUMENT.instrument_id, PriceUnits(1_525_000), OPENED_AT_NS, OPENED_AT_NS, 0)


def test_unrealized_profit_is_signed_by_side() -> None:
    """A rise is a long's gain and a short's loss, on what is still open."""
    long, short = tracker_view(held(), TICK), tracker_view(held(side=PositionSide.SHORT), TICK)

    assert (long.unrealized_pnl, short.unrealized_pnl) == (D("250.00"), D("-250.00"))
    assert tracker_view(held(), None).unrealized_pnl is None


def test_the_last_price_has_the_time_it_reached_us() -> None:
    """Its age counts from its arrival, whenever it was traded; without a price there is no time."""
    told = replace(TICK, exchange_time_ns=OPENED_AT_NS - 1, received_time_ns=OPENED_AT_NS + 7)

    assert tracker_view(held(), told).last_price_at_ns == OPENED_AT_NS + 7
    assert tracker_view(held(), None).last_price_at_ns is None


@pytest.mark.parametrize("side", PositionSide)
def test_a_part_filled_exit_has_both_parts_of_its_profit(side: PositionSide) -> None:
    """What is closed counts at its fills and the rest at the last price: the account's own sums."""
    story = Story(held(side=side)).claim(net(100 * side.sign))
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    view = tracker_view(story.tracker, TICK)
    pnl = AccountPnl()
    pnl.put(story.tracker.tracker_id, INSTRUMENT.instrument_id, share_of(story.tracker))
    pnl.price(INSTRUMENT.instrument_id, TICK.last_traded_price)

    assert (view.exited_quantity, view.quantity) == (40, 100)
    assert (view.realized_pnl, view.unrealized_pnl) == (D(60) * side.sign, D(150) * side.sign)
    assert view.realized_pnl == rupees_of(pnl.realized)
    assert view.unrealized_pnl == rupees_of(pnl.open_pnl)


def test_what_was_taken_back_after_the_end_is_in_the_realized_profit() -> None:
    """100 sold once more after EXITED and bought back 20.00 higher: the account's own sum."""
    story = Story().work()
    story.fill_and_confirm()
    story.see(BrokerOrderStatus.TRADED, 100, broker_order_id="B0")
    assert tracker_view(story.tracker, TICK).realized_pnl == D("150.00")
    record = BrokerOrder(BrokerOrderId("F1"), BrokerOrderStatus.TRADED, 100, D("171.50"))
    taken = replace(story.order(), role=OrderRole.FLATTEN, broker_orders=(record,))
    tracker = replace(story.tracker, orders=(*story.tracker.orders, taken))

    assert tracker_view(tracker, TICK).realized_pnl == D("-1850.00")
    assert rupees_of(share_of(tracker).realized) == D("-1850.00")


def test_a_fill_without_a_price_leaves_the_realized_part_unknown() -> None:
    """Nothing is made up: what the broker has not told yet is null, not a part of the sum."""
    story = Story().work()
    story.see(BrokerOrderStatus.PART_TRADED, 40, average_price=None)

    assert tracker_view(story.tracker, TICK).realized_pnl is None
    assert tracker_view(held(), TICK).realized_pnl is None


def test_an_entry_that_filled_at_a_price_not_told_has_no_profit_yet() -> None:
    """An entry at the market counts from its fills: until their price is told, from nothing."""
    waiting = held(entry_order_type=OrderType.MARKET, entry_price=D(0))
    (order,) = waiting.orders
    record = BrokerOrder(BrokerOrderId("B1"), BrokerOrderStatus.TRADED, 100, None)
    filled = replace(waiting, quantity=100, orders=(replace(order, broker_orders=(record,)),))

    assert tracker_view(filled, TICK).unrealized_pnl is None
    priced = replace(order, broker_orders=(replace(record, average_price=D(150)),))
    told = replace(filled, entry_price=D(150), orders=(priced,))
    assert tracker_view(told, TICK).unrealized_pnl == D(250)


def test_what_was_closed_too_much_is_held_on_the_other_side() -> None:
    """An over-exit's other position counts at the last price, as in the account's P&L."""
    over = replace(
        held(), externally_closed_quantity=130, externally_closed_notional=D(130) * D("151.50")
    )
    view = tracker_view(over, TICK)

    assert (view.realized_pnl, view.unrealized_pnl) == (D(195), D(-75))


def test_nothing_held_needs_no_price() -> None:
    """All is filled and not yet confirmed: what is open is worth nothing at any price."""
    story = Story().work()
    story.see(BrokerOrderStatus.TRADED, 100)
    view = tracker_view(story.tracker, None)

    assert view.status is PositionStatus.EXITING
    assert (view.realized_pnl, view.unrealized_pnl) == (D(150), D(0))


def test_a_closed_position_has_realized_profit_only() -> None:
    """After the exit the unrealised profit is gone, whatever the price does."""
    story = Story().work()
    story.fill_and_confirm()
    view = tracker_view(story.tracker, TICK)

    assert view.unrealized_pnl is None
    assert view.realized_pnl == D("150.00")
    assert view.exit_price == D("151.5")


def test_the_intent_and_the_stop_are_shown() -> None:
    """The level that would fire and the exit under way are part of the view."""
    story = Story(held(rules=RuleSet(stop_loss=PriceRule(points=D(10)))))
    assert tracker_view(story.tracker, None).stop_level == D("140.00")
    story.claim()
    intent = tracker_view(story.tracker, None).intent

    assert intent is not None
    assert intent.rule == "stop_loss"


def test_orders_show_what_the_broker_said() -> None:
    """Quantity, average and state of every order of ours."""
    story = Story().work()
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    (view,) = order_views(story.tracker)

    assert (view.cumulative_quantity, view.average_price) == (40, D("151.50"))
    assert view.status is OrderState.PART_FILLED
    assert view.broker_order_ids == ("B1",)


def test_the_average_over_two_orders_at_the_broker_is_rounded() -> None:
    """One id that stands for two orders shows their average in eight decimals, no more."""
    story = Story().work()
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    order = story.order()
    (first,) = order.broker_orders
    second = replace(
        first,
        broker_order_id=BrokerOrderId("B2"),
        cumulative_quantity=20,
        average_price=D("151.60"),
    )
    both = replace(order, broker_orders=(first, second))
    unpriced = replace(order, broker_orders=(first, replace(second, average_price=None)))
    views = [
        order_views(replace(story.tracker, orders=(one,)))[0]
        for one in (both, unpriced, replace(order, broker_orders=()))
    ]

    assert [view.average_price for view in views] == [D("151.53333333"), None, None]
