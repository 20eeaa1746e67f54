"""Tests of core.exits.sizing: never more than we hold, never more than the broker holds."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.story import Story
from exit_story.values import INSTRUMENT, asked, held, net, new_position, trade, unreadable
from squareoff.core.exits.sizing import orders_needed, uncovered_quantity
from squareoff.core.state.commands import ReadBooks, ReadPositions, RequestPermit, TransmitOrder
from squareoff.core.state.facts import ExitSized
from squareoff.core.state.inputs import BooksRead, PriceView, ReadyToSend
from squareoff.core.state.policy import (
    MISSING_READINGS_BEFORE_BLOCK,
    SHORT_READINGS_MAX,
    SLICES_MAX,
)
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, PositionSide, Side
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus


def flat_readings(story: Story, count: int) -> None:
    """Answer this many spaced readings of positions with a flat one."""
    for number in range(count):
        if number or not story.wants(ReadPositions):
            story.wake()
        assert story.wants(ReadPositions)
        story.feed(net(0))


def blocked_for(story: Story) -> BlockReason | None:
    """Return the reason the exit waits for."""
    assert story.tracker.intent is not None
    return story.tracker.intent.block_reason


@given(
    quantity=st.integers(1, 40).map(lambda lots: lots * 25),
    broker_net=st.integers(-2_000, 2_000),
    others=st.integers(0, 1_000),
    side=st.sampled_from(PositionSide),
)
def test_never_more_than_both_sides_hold(
    quantity: int, broker_net: int, others: int, side: PositionSide
) -> None:
    """Planned is the least of what we hold and what the broker holds beyond other exits (I2)."""
    story = Story(held(side=side, quantity=quantity))
    story.claim(net(broker_net, others_leaves=others))
    free = max(0, side.sign * broker_net) - others

    assert story.tracker.exit_leaves_quantity == max(0, min(quantity, free))
    assert all(order.side is side.exit_order_side for order in story.orders)


def test_claiming_reads_positions_first() -> None:
    """No order is planned before the broker's positions were read."""
    story = Story()
    story.feed(asked())

    assert story.wants(ReadPositions)
    assert not story.orders


def test_a_short_closes_by_buying() -> None:
    """A short of 100 with a broker net of -100 is closed by BUY 100."""
    story = Story(held(side=PositionSide.SHORT)).claim(net(-100))

    assert [(o.side, o.order_quantity) for o in story.orders] == [(Side.BUY, 100)]


def test_slices_of_one_attempt_have_ids_of_their_own() -> None:
    """A position above the freeze quantity is planned in slices, each under its own id."""
    story = Story(held(quantity=4000)).claim(net(4000))
    ids = {order.client_order_id for order in story.orders}

    assert [order.order_quantity for order in story.orders] == [1800, 1800, 400]
    assert [order.slice_number for order in story.orders] == [1, 2, 3]
    assert len(ids) == 3
    assert len([c for c in story.commands if isinstance(c, RequestPermit)]) == 3


def test_a_position_of_countless_slices_is_planned_in_rounds() -> None:
    """More slices than an id can number are left for the next sizing instead of failing."""
    instrument = replace(INSTRUMENT, freeze_quantity=25)
    story = Story(held(quantity=25 * 3_000, instrument=instrument)).claim(net(25 * 3_000))

    assert len(story.orders) == SLICES_MAX
    assert story.wants(ReadPositions)
    (sized,) = [fact for fact in story.facts if isinstance(fact, ExitSized)]
    assert sized.quantity == 25 * SLICES_MAX


def test_unreadable_is_not_flat() -> None:
    """A failed reading blocks with its own reason and never counts as a flat one."""
    story = Story().claim(unreadable())

    assert blocked_for(story) is BlockReason.POSITIONS_UNREADABLE
    assert story.pacing.zero_readings == 0
    assert story.alarm_codes() == ["exit_blocked_positions_unreadable"]
    story.wake()
    assert story.wants(ReadPositions)


@pytest.mark.parametrize(("age", "goes_on"), [(None, False), (60.1, False), (60.0, True)])
def test_a_recent_reconciliation_stands_in(age: float | None, goes_on: bool) -> None:
    """With positions unreadable the exit goes on only on a recently compared book."""
    story = Story().claim(unreadable(reconciled_age_seconds=age))

    assert bool(story.orders) is goes_on
    assert sum(order.order_quantity for order in story.orders) == (100 if goes_on else 0)


def test_what_others_are_closing_is_not_ours() -> None:
    """With everything reserved by other exits this one waits and looks again."""
    story = Story().claim(net(100, others_leaves=100))

    assert blocked_for(story) is BlockReason.RESERVED
    story.wake()
    story.feed(net(100, others_leaves=40))
    assert [order.order_quantity for order in story.orders] == [60]


def test_part_closed_by_others_is_left_alone() -> None:
    """Of 100 with a broker net of 60 only 60 are closed; the rest is asked about, paced."""
    story = Story().claim(net(60))
    assert [order.order_quantity for order in story.orders] == [60]

    assert story.wants(ReadPositions)
    story.feed(net(60))
    assert not story.wants(ReadPositions)
    assert story.last is not None
    assert story.last.wake_at_ns == story.monotonic_ns + 1_000_000_000


def test_one_flat_reading_proves_nothing() -> None:
    """The trade book is asked only after three flat readings a second apart."""
    story = Story().claim(net(0))
    assert not story.wants(ReadPositions)
    assert not story.wants(ReadBooks)

    flat_readings(story, 1)
    assert not story.wants(ReadBooks)
    flat_readings(story, 1)
    assert story.wants(ReadBooks)
    assert story.tracker.status is PositionStatus.EXITING


def test_flat_readings_at_one_instant_count_once() -> None:
    """Answers that come together are one reading, however many there are."""
    story = Story().claim(net(0))
    for _ in range(10):
        story.feed(net(0))

    assert story.pacing.zero_readings == 1


def test_a_held_reading_starts_the_count_anew() -> None:
    """Flat readings count in a row: one that shows the position resets them."""
    story = Story().claim(net(0))
    flat_readings(story, 1)
    story.wake()
    story.feed(net(100, others_leaves=100))
    assert story.pacing.zero_readings == 0

    story.wake()
    story.feed(net(0))
    assert not story.wants(ReadBooks)


def test_a_position_nobody_explains_calls_a_person() -> None:
    """Flat readings that no trade explains block with an alarm and go on being asked."""
    story = Story().claim(net(0))
    for _ in range(MISSING_READINGS_BEFORE_BLOCK - 1):
        flat_readings(story, 1)
        if story.wants(ReadBooks):
            story.books(own=())

    assert blocked_for(story) is BlockReason.POSITION_MISSING
    assert story.tracker.open_quantity == 100
    story.wake()
    assert story.wants(ReadPositions)


def test_a_foreign_trade_explains_a_flat_position() -> None:
    """Closed by hand: the tracker is closed at that trade's price, with that reason."""
    story = Story().claim(net(0))
    flat_readings(story, 2)
    story.books(trade(100, "155.00", broker_order_id="APP1"), own=())

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_reason == "closed_externally"
    assert str(story.tracker.exit_price) == "155.00000000"
    assert not story.sent


def test_a_proved_absent_order_is_planned_again_under_its_id() -> None:
    """The same slice goes again under the same id; the attempt stays."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(100))

    assert story.states == [OrderState.PLANNED]
    assert story.order().attempt == 1
    story.permit()
    assert [c.send_number for c in story.sent] == [1, 2]
    assert len({c.request.client_order_id for c in story.sent}) == 1


def test_a_changed_plan_gets_a_new_attempt_and_id() -> None:
    """If less is held than the absent order carried, a new order goes under a new id."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(75))

    assert story.states == [OrderState.ABSENT, OrderState.PLANNED]
    assert [(o.attempt, o.order_quantity) for o in story.orders] == [(1, 100), (2, 75)]
    assert story.orders[0].client_order_id != story.orders[1].client_order_id


def test_the_uncovered_rest() -> None:
    """Uncovered is what is held less what planned and live exits may close, never negative."""
    story = Story(held(quantity=200)).claim(net(100))
    assert uncovered_quantity(story.tracker) == 100

    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.CANCELLED, 40)
    assert uncovered_quantity(story.tracker) == 160


def test_a_reading_nobody_waits_for_changes_nothing() -> None:
    """Positions read without a live exit, or with all covered, plan nothing."""
    story = Story(held(quantity=new_position().quantity))
    story.feed(net(100))
    assert not story.facts

    story.claim()
    count = len(story.facts)
    story.feed(net(100))
    assert len(story.facts) == count
    assert story.tracker.intent is not None
    assert story.tracker.intent.status is IntentStatus.OPEN


def ready(permits: int) -> ReadyToSend:
    """Return permits and a price that are at hand."""
    return ReadyToSend(permits, PriceView(Decimal("151.50"), None, None, "memory", 0.1))


def test_what_may_go_is_sent_in_the_decision_that_plans_it() -> None:
    """With permit and price at hand, plan and send are one decision and so one commit."""
    story = Story()
    story.feed(asked())
    story.feed(replace(net(100), ready=ready(1)))

    assert story.states == [OrderState.SENT]
    assert story.wants(TransmitOrder)
    assert not story.wants(RequestPermit)


def test_slices_beyond_the_permits_at_hand_ask_for_their_own() -> None:
    """Two permits for three slices: two go now, the third waits for its turn."""
    story = Story(held(quantity=4000))
    story.feed(asked())
    story.feed(replace(net(4000), ready=ready(2)))

    assert story.states == [OrderState.SENT, OrderState.SENT, OrderState.PLANNED]
    assert sum(isinstance(command, RequestPermit) for command in story.commands) == 1


def test_nothing_is_sent_where_nothing_was_planned() -> None:
    """A flat reading plans nothing, whatever was at hand."""
    story = Story()
    story.feed(asked())
    story.feed(replace(net(0), ready=ready(1)))

    assert story.states == []
    assert not story.wants(TransmitOrder)


@pytest.mark.parametrize(("quantity", "orders"), [(25, 1), (1800, 1), (1825, 2), (4000, 3)])
def test_orders_needed_are_the_slices_to_come(quantity: int, orders: int) -> None:
    """Permits are taken ahead for as many orders as the plan will have."""
    assert orders_needed(held(quantity=quantity)) == orders


def test_what_another_tracker_holds_is_left_alone_at_first() -> None:
    """The broker shows less than both hold: what is surely ours goes, the rest is found out."""
    story = Story()
    story.feed(asked())
    story.feed(replace(net(150), others_open=100))

    assert [order.order_quantity for order in story.orders] == [50]
    assert story.pacing.short_readings == 1


def test_with_enough_for_all_the_other_tracker_makes_no_difference() -> None:
    """Where the net covers everybody, the whole exit is planned at once."""
    story = Story()
    story.feed(asked())
    story.feed(replace(net(200), others_open=100))

    assert [order.order_quantity for order in story.orders] == [100]


def test_a_share_nobody_can_explain_is_not_waited_for_long() -> None:
    """After some spaced readings what is there is closed: a loss without limit is worse."""
    story = Story()
    story.feed(asked())
    readings = 0
    while not story.orders:
        story.feed(replace(net(100), others_open=100))
        readings += 1
        assert readings <= SHORT_READINGS_MAX + 1
        if not story.orders:
            story.wake()
            assert story.wants(ReadPositions)

    assert readings == SHORT_READINGS_MAX + 1
    assert [order.order_quantity for order in story.orders] == [100]


def test_two_trackers_do_not_claim_one_foreign_trade() -> None:
    """A trade that another tracker booked as its close explains nothing a second time."""
    story = Story()
    story.feed(asked())
    for _ in range(3):
        story.feed(net(0))
        story.later(1.0)
    foreign = trade(100, "149", broker_order_id="APP")
    own = frozenset({BrokerOrderId("B1")})
    another = replace(held(), tracker_id=TrackerId("trk-2"), externally_closed_quantity=100)
    story.feed(BooksRead((foreign,), own, (another,)))
    assert story.tracker.open_quantity == 100

    story.feed(BooksRead((foreign,), own))
    assert story.tracker.open_quantity == 0


def test_without_a_reading_never_beyond_what_the_last_one_showed() -> None:
    """A person closed half; the reading that fails next must not make us forget it."""
    story = Story().claim(net(50))
    assert [order.order_quantity for order in story.orders] == [50]
    story.wait(2.0)
    assert story.wants(ReadPositions)
    story.feed(unreadable(reconciled_age_seconds=1.0))

    assert [order.order_quantity for order in story.orders] == [50]


def test_without_a_reading_nobody_shares_out_what_the_last_one_showed() -> None:
    """A person closed 50 of this and another's 100: both saw 150, and neither goes by itself."""
    story = Story().claim(replace(net(150), others_open=100))
    assert [order.order_quantity for order in story.orders] == [50]
    for _ in range(3):
        story.wait(2.0)
        assert story.wants(ReadPositions)
        story.feed(unreadable(reconciled_age_seconds=1.0))

        assert len(story.orders) == 1, "planned by our own word"
        assert blocked_for(story) is BlockReason.POSITIONS_UNREADABLE


def test_after_a_restart_an_exit_that_had_orders_needs_a_reading() -> None:
    """What an earlier process read is not known here, so our own word does not do."""
    story = Story().claim(net(50))
    story.restart()
    story.feed(unreadable(reconciled_age_seconds=1.0))

    assert story.tracker.exit_leaves_quantity == 0
    assert blocked_for(story) is BlockReason.POSITIONS_UNREADABLE


@pytest.mark.parametrize(("only_ours", "planned"), [(False, 0), (True, 50)])
def test_a_reading_that_may_hide_a_close_behind_ours_waits(only_ours: bool, planned: int) -> None:
    """Ours closed 50 and was cancelled; a reading of 50 may be theirs gone instead of ours."""
    story = Story().claim(net(100))
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.CANCELLED, 50)
    story.wait(5.0)
    assert story.wants(ReadPositions)
    story.feed(replace(net(50), closed_lately=50, only_ours_closed=only_ours))

    assert story.tracker.exit_leaves_quantity == planned


def test_where_the_first_reading_was_short_our_fills_come_off_the_next() -> None:
    """75 of our 100 were there and ours closed them: a reading of 75 shows the same units again."""
    story = Story().claim(net(75))
    for _ in range(SHORT_READINGS_MAX):
        if story.orders:
            break
        story.wait(5.0)
        story.feed(net(75))
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.TRADED, 75)
    story.feed(replace(net(75), closed_lately=75, only_ours_closed=True))

    assert story.tracker.exited_quantity == 75
    assert story.tracker.exit_leaves_quantity == 0


def test_after_an_order_at_the_exchange_our_own_word_does_not_do() -> None:
    """Its record said CANCELLED with nothing traded, and may be wrong: only a reading tells."""
    story = Story().claim(net(100))
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.CANCELLED, 0, average_price=None)
    story.wait(5.0)
    assert story.wants(ReadPositions)
    story.feed(unreadable(reconciled_age_seconds=1.0))

    assert story.tracker.exit_leaves_quantity == 0
    assert blocked_for(story) is BlockReason.POSITIONS_UNREADABLE
