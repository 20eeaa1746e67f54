"""Views are values that show what is held, by the names of the API."""

from dataclasses import replace
from decimal import Decimal as D

from exit_story.story import Story
from exit_story.values import INSTRUMENT, OPENED_AT_NS, held
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import OrderState
from squareoff.domain.ticks import Tick
from squareoff.services.desk.views import order_views, tracker_view

TICK = Tick(INSTRUMENT.instrument_id, PriceUnits(1_525_000), OPENED_AT_NS, OPENED_AT_NS, 0)


def test_unrealized_profit_is_signed_by_side() -> None:
    """A rise is a long's gain and a short's loss, on what is still open."""
    long, short = tracker_view(held(), TICK), tracker_view(held(side=PositionSide.SHORT), TICK)

    assert (long.unrealized_pnl, short.unrealized_pnl) == (D("250.00"), D("-250.00"))
    assert tracker_view(held(), None).unrealized_pnl is None


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
