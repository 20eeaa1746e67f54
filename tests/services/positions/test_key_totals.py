"""The kept sums of a key are those of a walk over its trackers, whatever changed in between."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from exit_story.values import held
from squareoff.core.state.tracker import (
    BrokerOrder,
    PositionTracker,
    Send,
    SendOutcome,
    TrackedOrder,
)
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, OrderOrigin, OrderRole, PositionSide, Side
from squareoff.domain.states import OrderState, PositionStatus
from squareoff.services.positions.key_totals import KeyTotals

NAMES = [TrackerId(f"trk-{number}") for number in range(6)]
SIDES = PositionSide.LONG, PositionSide.SHORT
SIDE_OF = {name: list(PositionSide)[number % 2] for number, name in enumerate(NAMES)}


@st.composite
def broker_orders(draw: st.DrawFn) -> BrokerOrder:
    """One order at the broker, in any state and with any fills."""
    return BrokerOrder(
        BrokerOrderId(draw(st.sampled_from(["B1", "B2"]))),
        draw(st.sampled_from(BrokerOrderStatus)),
        draw(st.integers(0, 100)),
        Decimal("150.00"),
    )


@st.composite
def orders(draw: st.DrawFn) -> TrackedOrder:
    """One order of ours, of any role and in any state."""
    sends = draw(st.lists(st.builds(a_send, st.sampled_from(SendOutcome)), max_size=2))
    return TrackedOrder(
        client_order_id=ClientOrderId("sqx-1"),
        role=draw(st.sampled_from(OrderRole)),
        origin=OrderOrigin.PLACED,
        attempt=1,
        slice_number=1,
        side=draw(st.sampled_from(Side)),
        order_quantity=draw(st.integers(1, 100)),
        state=draw(st.sampled_from(OrderState)),
        sends=tuple(sends),
        broker_orders=tuple(draw(st.lists(broker_orders(), max_size=2))),
    )


@st.composite
def trackers(draw: st.DrawFn) -> PositionTracker:
    """One position of the key at some moment of its life; its side follows from its name."""
    name = draw(st.sampled_from(NAMES))
    return replace(
        held(side=SIDE_OF[name]),
        tracker_id=name,
        status=draw(st.sampled_from(PositionStatus)),
        quantity=draw(st.integers(0, 200)),
        externally_closed_quantity=draw(st.integers(0, 50)),
        orders=tuple(draw(st.lists(orders(), max_size=3))),
    )


@given(st.lists(st.tuples(trackers(), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=300)
def test_the_sums_are_those_of_a_walk(changes: list[tuple[PositionTracker, bool]]) -> None:
    """They bound what an exit may close; noted often or rarely asked, they never drift."""
    totals, now = KeyTotals(), dict[TrackerId, PositionTracker]()
    for tracker, is_asked in changes:
        totals.note(tracker)
        now[tracker.tracker_id] = tracker
        if is_asked:
            compare(totals, now, tracker)
    for name in NAMES:
        compare(totals, now, now.get(name, replace(held(side=SIDE_OF[name]), tracker_id=name)))


def a_send(outcome: SendOutcome) -> Send:
    """Return a send with this outcome."""
    return Send(1, outcome, 0)


def compare(
    totals: KeyTotals, now: dict[TrackerId, PositionTracker], asking: PositionTracker
) -> None:
    """Compare every answer with a walk over all trackers as they stand."""
    same = [each for each in now.values() if each.side is asking.side]
    beside = [each for each in same if each.tracker_id != asking.tracker_id]
    against = [each for each in now.values() if each.side is not asking.side]
    everything = [order for each in now.values() for order in each.orders]
    exits = [order for order in everything if order.role is OrderRole.EXIT]
    moving = [each for each in everything if each.state.is_live or each.leaves_quantity]

    assert totals.open_beside(asking) == still_open(beside)
    assert totals.open_against(asking) == still_open(against)
    assert totals.leaves_beside(asking) == sum(
        order.leaves_quantity
        for each in beside
        for order in each.orders
        if order.role is OrderRole.EXIT
    )
    assert totals.exit_leaves() == sum(order.leaves_quantity for order in exits)
    assert totals.signed_fills() == sum(
        record.cumulative_quantity if order.side is Side.BUY else -record.cumulative_quantity
        for order in everything
        for record in order.broker_orders
    )
    assert totals.signed_quantity() == sum(each.signed_quantity for each in now.values())
    sides = [still_open([each for each in now.values() if each.side is side]) for side in SIDES]
    for net in (-sides[1], 0, sides[0]):
        is_there = sides[0] <= max(0, net) and sides[1] <= max(0, -net)
        assert totals.is_all_there(net) is is_there
    assert totals.is_moving() is (moving != [])
    assert totals.is_unsettled() is any(
        not (order.role is OrderRole.EXIT and order.is_resting) for order in moving
    )


def still_open(some: list[PositionTracker]) -> int:
    """Return what these hold that are not at their end."""
    return sum(each.open_quantity for each in some if not each.status.is_final)
