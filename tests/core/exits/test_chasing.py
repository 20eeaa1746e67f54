"""Tests of core.exits.chasing: resting exits move toward the market, boundedly and only forward."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.resting import FUTURE, chase, price, resting
from exit_story.story import Story, with_policy
from exit_story.values import asked, held, net, trade
from squareoff.core.state.commands import (
    ReadPositions,
    RequestReprice,
    TransmitCancel,
    TransmitModify,
)
from squareoff.core.state.inputs import ExitHindered, ExitOversized, RepriceReady, SendRefused
from squareoff.core.state.policy import MODIFICATIONS_MAX
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, PositionSide
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

D = Decimal


def test_an_exit_rests_for_the_chase_interval_first() -> None:
    """A new price is asked for only after the interval, and then paced by it."""
    story = resting()
    assert story.last is not None
    assert story.last.wake_at_ns == story.monotonic_ns + 2_000_000_000
    story.wait(1.9)
    assert not story.wants(RequestReprice)

    story.wait(0.1)
    assert story.wants(RequestReprice)
    story.reprice(None)
    assert not story.wants(RequestReprice)


def test_a_chase_names_the_whole_target() -> None:
    """A modify states type, total quantity and price of the order as it shall be."""
    story = resting()
    modify = chase(story, "990")

    assert modify is not None
    target = modify.modification
    assert (target.order_type, target.order_quantity) == (OrderType.LIMIT, 100)
    assert target.limit_price == D("980.10")
    assert target.broker_order_id == "B1"
    assert story.order().modifications == 1


def test_a_chase_of_a_part_filled_order_names_its_total() -> None:
    """The broker takes the quantity of a modify for the whole order, what is filled included."""
    story = resting()
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    modify = chase(story, "990")

    assert modify is not None
    assert modify.modification.order_quantity == 100
    assert story.order().leaves_quantity == 60


@pytest.mark.parametrize("side", PositionSide)
def test_every_modify_is_more_aggressive(side: PositionSide) -> None:
    """Whatever the market does, a chase never moves away from it."""
    story = resting(side)
    prices = ["990", "1010", "1000", "985", "1020", "1000", "960", "1045"]
    limits = [story.order().limit_price or D(0)]
    for rupees in prices * 3:
        chase(story, rupees)
        limits.append(story.order().limit_price or D(0))

    ordered = sorted(limits, reverse=side is PositionSide.LONG)
    assert limits == ordered
    assert len(set(limits)) > 3


def test_the_distance_widens_up_to_the_slippage() -> None:
    """At a standing market each step goes half a percent further, to five percent at most."""
    story = resting()
    limits = []
    for _ in range(12):
        chase(story, "1000")
        limits.append(str(story.order().limit_price))

    assert limits[:3] == ["990.00", "985.00", "980.00"]
    assert limits[-3:] == ["950.00", "950.00", "950.00"]
    assert story.order().modifications == 9


def falling_to_the_last_modification() -> tuple[Story, int]:
    """Chase a falling market until the modifications are used up; return the next price."""
    story, rupees = resting(), 995
    while story.order().modifications < MODIFICATIONS_MAX:
        chase(story, str(rupees))
        rupees -= 10
        assert rupees > 0
    return story, rupees


def test_an_order_out_of_modifications_is_replaced() -> None:
    """After 25 modifications the order is cancelled and its rest is sized and sent anew."""
    story, rupees = falling_to_the_last_modification()
    assert story.order().modifications == MODIFICATIONS_MAX == 25

    assert chase(story, str(rupees)) is None
    assert story.wants(TransmitCancel)
    story.see(BrokerOrderStatus.CANCELLED)
    story.wake()
    assert story.wants(ReadPositions)
    story.feed(net(100))
    story.permit(price=price(str(rupees)))
    assert story.states == [OrderState.CANCELLED, OrderState.SENT]
    assert story.order().modifications == 0


def test_an_order_at_the_end_of_its_road_is_left_alone() -> None:
    """With modifications used up and no better price to offer it keeps its place."""
    story, _ = falling_to_the_last_modification()
    for _ in range(5):
        assert chase(story, "1100") is None
        assert not story.wants(TransmitCancel)


def test_an_order_whose_modifies_were_all_turned_away_is_replaced() -> None:
    """Its record shows the price it really rests at, which our own targets must not hide."""
    story, rupees = falling_to_the_last_modification()
    story.see(BrokerOrderStatus.PENDING, limit_price="990.00")

    assert chase(story, str(rupees + 10)) is None
    assert story.wants(TransmitCancel)


def test_the_last_step_may_be_market() -> None:
    """Configured so, the twenty-fifth modification is MARKET."""
    story = with_policy(resting(), market_on_last_step=True)
    types, rupees = [], 995
    while story.order().modifications < MODIFICATIONS_MAX:
        modify = chase(story, str(rupees))
        assert modify is not None
        types.append(modify.modification.order_type)
        rupees -= 10

    assert types == [OrderType.LIMIT] * 24 + [OrderType.MARKET]


def at_the_slippage(*, market: bool) -> Story:
    """Return a story whose order rests five percent below a standing market."""
    story = with_policy(resting(), market_on_last_step=market)
    for _ in range(9):
        chase(story, "1000")
    assert story.order().limit_price == D("950.00")
    return story


def test_a_limit_that_can_go_no_further_becomes_market() -> None:
    """Configured so, an order that rested an interval at the slippage is made MARKET, once."""
    story = at_the_slippage(market=True)
    assert story.order().modifications == 9
    story.wait(1.9)
    assert not story.wants(RequestReprice)
    modify = chase(story, "1000")
    assert modify is not None
    assert (modify.modification.order_type, modify.modification.limit_price) == (
        OrderType.MARKET,
        None,
    )
    assert modify.modification.order_quantity == 100

    story.see(BrokerOrderStatus.PENDING, limit_price="980.00")  # what the broker made of it
    modify = chase(story, "1000")
    assert modify is not None
    assert modify.modification.limit_price == D("950.00")
    for _ in range(5):
        assert chase(story, "1000") is None


def test_a_limit_that_can_go_no_further_rests_by_default() -> None:
    """With `keep` the order stays at the slippage, and follows a market that runs away."""
    story = at_the_slippage(market=False)
    for _ in range(5):
        assert chase(story, "1000") is None

    modify = chase(story, "990")
    assert modify is not None
    assert modify.modification.order_type is OrderType.LIMIT
    assert modify.modification.limit_price == D("940.50")


def test_a_limit_that_may_go_further_does_not_become_market() -> None:
    """A market that came back is no end of the chase."""
    story = with_policy(resting(), market_on_last_step=True)
    assert chase(story, "990") is not None
    for _ in range(5):
        assert chase(story, "1000") is None

    assert story.order().order_type is OrderType.LIMIT


def test_a_lost_modify_is_made_again() -> None:
    """A record that still shows the old price proves that the modify did not arrive."""
    story = resting()
    for _ in range(12):
        chase(story, "1000")
    assert story.order().limit_price == D("950.00")
    assert chase(story, "1000") is None

    story.see(BrokerOrderStatus.PENDING, limit_price="955.00")
    modify = chase(story, "1000")
    assert modify is not None
    assert modify.modification.limit_price == D("950.00")

    story.see(BrokerOrderStatus.PENDING, limit_price="950.00")
    assert chase(story, "1000") is None


def test_an_exit_that_rests_long_is_told_once() -> None:
    """An exit that cannot fill for half a minute raises one warning, whatever prices do."""
    story = resting()
    for _ in range(14):
        chase(story, "1100")
    assert not story.alarms

    for _ in range(30):
        chase(story, "1100")
    assert story.alarm_codes() == ["exit_resting"]


def test_only_the_order_that_lives_is_modified() -> None:
    """A new price for an order at the broker that ended meanwhile is not sent."""
    story = resting()
    story.wait(2.0)
    order_id = story.order().client_order_id
    story.feed(RepriceReady(order_id, BrokerOrderId("B0"), price("990")))

    assert not story.wants(TransmitModify)


def test_two_orders_that_rest_under_one_id_are_cancelled_and_sized_anew() -> None:
    """Together they are no more than is held, so nothing else would ever move them."""
    story = Story()
    story.feed(asked())
    story.feed(net(50))
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.PENDING)
    story.see(BrokerOrderStatus.PENDING, broker_order_id="B0")
    assert not story.wants(TransmitCancel)

    story.wait(2.0)
    assert not story.wants(RequestReprice)
    cancelled = {c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)}
    assert cancelled == {"B0", "B1"}


def test_an_order_is_not_chased_before_its_send_is_answered() -> None:
    """While a send is unresolved the order seen may not be the only one: it keeps its price."""
    story = Story().claim()
    story.permit()
    story.see(BrokerOrderStatus.PENDING)
    story.wait(10.0)
    assert not story.wants(RequestReprice)

    story.accept()
    assert story.wants(RequestReprice)


def test_an_ended_order_is_not_modified() -> None:
    """A price that comes after the fill does nothing."""
    story = resting()
    story.wait(2.0)
    order_id = story.order().client_order_id
    story.see(BrokerOrderStatus.TRADED, 100)
    story.feed(RepriceReady(order_id, BrokerOrderId("B1"), price("990")))

    assert not story.wants(TransmitModify)


def test_an_order_that_must_end_is_not_moved_toward_the_market() -> None:
    """While an excess order is being cancelled no chase may fill it."""
    story = resting()
    story.wait(2.0)
    order_id = story.order().client_order_id
    # A second order of ours turns up under the same id.
    story.see(BrokerOrderStatus.PENDING, broker_order_id="B0")
    assert story.wants(TransmitCancel)
    story.see(BrokerOrderStatus.CANCELLED, broker_order_id="B0")
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    story.feed(RepriceReady(order_id, BrokerOrderId("B0"), price("990")))

    assert not story.wants(TransmitModify)


def test_what_would_close_more_than_is_shown_is_taken_back_once_a_chase() -> None:
    """Its rest is sized anew; what has ended, and what a person has been called for, stays."""
    story = resting()
    story.wait(2.0)
    order_id = story.order().client_order_id
    story.feed(ExitOversized(order_id))
    assert story.wants(TransmitCancel)
    assert not story.wants(RequestReprice)
    story.feed(ExitOversized(order_id))
    assert not story.wants(TransmitCancel)  # it is on its way

    story.see(BrokerOrderStatus.CANCELLED, 20)
    story.feed(ExitOversized(order_id))
    story.wake()
    assert story.wants(ReadPositions)

    story = with_a_person()
    story.feed(ExitOversized(story.order(0).client_order_id))
    assert not story.wants(TransmitCancel)


def with_a_person() -> Story:
    """Return a story of two slices: one was refused for good, the other rests."""
    story = with_policy(
        Story(held(instrument=replace(FUTURE, freeze_quantity=50), entry_price=D(1000))),
        attempts_max=1,
    )
    story.claim()
    story.permit(0, price("1000"))
    story.permit(1, price("1000"))
    story.accept("B1", 0)
    story.see(BrokerOrderStatus.PENDING, number=0)
    story.answer(SendRefused("DH-906", "no"), 1)
    assert story.tracker.intent is not None
    assert story.tracker.intent.status is IntentStatus.NEEDS_HUMAN
    return story


def test_what_rests_is_chased_for_a_person_in_charge() -> None:
    """A person decides over what did not go out; the order that rests goes on to its fill."""
    story = with_a_person()
    assert not story.wants(TransmitCancel)
    story.wait(2.0)
    assert story.reprices_wanted() == [story.order(0).client_order_id]
    story.reprice(price("990"), 0)

    (modify,) = [c for c in story.commands if isinstance(c, TransmitModify)]
    assert modify.modification.limit_price == D("980.10")
    assert modify.modification.order_quantity == 50


def test_what_rests_with_a_person_is_not_cancelled_to_be_replaced() -> None:
    """Nothing would be sent in its place: out of modifications it keeps its price."""
    story, rupees = with_a_person(), 995
    for _ in range(MODIFICATIONS_MAX):
        story.wait(2.0)
        story.reprice(price(str(rupees)), 0)
        rupees -= 10
    assert story.order(0).modifications == MODIFICATIONS_MAX
    story.wait(2.0)
    story.reprice(price(str(rupees)), 0)
    assert not story.wants(TransmitCancel)
    story.see(BrokerOrderStatus.PENDING, number=0, broker_order_id="B0", order_quantity=10)
    story.wait(2.0)

    assert not story.wants(RequestReprice)


def test_nothing_is_chased_while_an_over_exit_is_frozen() -> None:
    """More was closed than held: what still lives is cancelled, never moved."""
    story = with_a_person()
    story.see(BrokerOrderStatus.PART_TRADED, 130, number=0, order_quantity=200)
    assert story.tracker.is_frozen

    story.wait(60.0)
    assert not story.wants(RequestReprice)


@pytest.mark.parametrize(
    ("reason", "chased"),
    [
        (BlockReason.REJECTED_PERMANENT, True),
        (BlockReason.RESERVED, True),
        (BlockReason.POSITIONS_UNREADABLE, True),
        (BlockReason.MARKET_CLOSED, False),
        (BlockReason.KILL_SWITCH, False),
        (BlockReason.TOKEN_DEAD, False),
        (BlockReason.BROKER_UNREACHABLE, False),
    ],
)
def test_a_block_of_one_slice_does_not_stop_the_chase_of_another(
    reason: BlockReason, chased: bool
) -> None:
    """What already rests is chased on, unless the reason is that nothing can go out."""
    story = resting()
    story.feed(ExitHindered(reason, "so it is", 30.0))
    story.wait(5.0)

    assert story.wants(RequestReprice) is chased
    if chased:
        story.reprice(price("990"))
        assert story.wants(TransmitModify)


def test_an_order_loaded_after_a_restart_rests_an_interval_first() -> None:
    """The chase clock of a working order starts anew with the process."""
    story = resting()
    story.restart()
    assert not story.wants(RequestReprice)

    story.wait(2.0)
    assert story.wants(RequestReprice)


def test_a_chased_order_is_confirmed_like_any_other() -> None:
    """Modifies change nothing about how fills count."""
    story = resting()
    chase(story, "990")
    story.see(BrokerOrderStatus.TRADED, 100)
    story.books(trade(100, "989.05"))

    assert str(story.tracker.exit_price) == "989.05000000"


def test_a_market_order_that_rests_is_chased_as_the_limit_it_became() -> None:
    """The broker turned MARKET into a limit: it is moved, and never away from the market."""
    story = with_policy(
        Story(held(instrument=FUTURE, entry_price=D(1000))), order_type=OrderType.MARKET
    )
    story.claim(net(100))
    story.permit(price=price("1000"))
    assert story.order().order_type is OrderType.MARKET
    story.accept()
    story.see(BrokerOrderStatus.PENDING, limit_price="980.00")
    assert chase(story, "1000") is None  # 990.00 would be worse than what the broker made of it

    modify = chase(story, "970")
    assert modify is not None
    assert modify.modification.order_type is OrderType.LIMIT
    assert modify.modification.limit_price == D("960.30")
    assert modify.modification.order_quantity == 100
