"""Tests of core.state.order_fold: reports are idempotent and commutative, quantities never fall."""

import random
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from exit_story.folded import order_with, reported
from exit_story.story import Story
from exit_story.values import TRACKER, held, net, report
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import (
    OrderSent,
)
from squareoff.core.state.inputs import OrderSeen
from squareoff.core.state.order_fold import merge_record
from squareoff.core.state.tracker import BrokerOrder, PositionTracker, SendOutcome
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderType
from squareoff.domain.states import OrderState

B = BrokerOrderStatus
Life = list[tuple[BrokerOrderStatus, int, str | None]]

LIVES: dict[str, Life] = {
    "filled in parts": [
        (B.TRANSIT, 0, None),
        (B.PENDING, 0, None),
        (B.PART_TRADED, 40, "151.50"),
        (B.PART_TRADED, 75, "151.40"),
        (B.TRADED, 100, "151.35"),
    ],
    "cancelled after a part": [
        (B.TRANSIT, 0, None),
        (B.PENDING, 0, None),
        (B.PART_TRADED, 40, "151.50"),
        (B.CANCELLED, 40, "151.50"),
    ],
    "a fill after the cancel": [
        (B.PENDING, 0, None),
        (B.PART_TRADED, 40, "151.50"),
        (B.CANCELLED, 40, "151.50"),
        (B.CANCELLED, 65, "151.45"),
    ],
    "rejected": [(B.TRANSIT, 0, None), (B.PENDING, 0, None), (B.REJECTED, 0, None)],
    "average told late": [
        (B.PENDING, 0, None),
        (B.PART_TRADED, 60, None),
        (B.PART_TRADED, 60, "151.50"),
        (B.TRADED, 100, None),
        (B.TRADED, 100, "151.20"),
    ],
    "still working with a word we do not know": [
        (B.TRANSIT, 0, None),
        (B.PENDING, 0, None),
        (B.UNKNOWN, 30, "151.00"),
        (B.PART_TRADED, 55, "151.10"),
    ],
    "traded word ahead of its fills": [
        (B.PENDING, 0, None),
        (B.TRADED, 50, "151.00"),
        (B.PART_TRADED, 75, "151.10"),
        (B.TRADED, 100, "151.20"),
    ],
}


def reports_of(life: Life) -> list[OrderReport]:
    """Return a broker order's life as reports."""
    return [report(status, filled, average_price=average) for status, filled, average in life]


def essence(tracker: PositionTracker) -> object:
    """Return what must not depend on the order of reports: everything but the count of facts."""
    return replace(tracker, version=0)


def sent_story(*, answered: bool) -> Story:
    """Return a story whose one order is at the broker, its HTTP answer come or still to come."""
    story = Story().claim()
    story.permit()
    if answered:
        story.accept()
    return story


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "before the answer"])
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
def test_reports_commute_and_repeat_freely(life: Life, answered: bool) -> None:
    """Every order of a life's reports, with repeats, gives one final state (I12)."""
    start = sent_story(answered=answered)
    order_id = start.order().client_order_id
    rng = random.Random(20260915)
    endings = set()
    for sequence in permutations(reports_of(life)):
        noisy = list(sequence)
        for _ in range(3):
            noisy.insert(rng.randrange(len(noisy) + 1), rng.choice(sequence))
        story, filled = start.copy(), 0
        for seen in noisy:
            story.feed(OrderSeen(order_id, seen))
            order = story.tracker.order(order_id)
            assert order is not None
            assert order.cumulative_quantity >= filled
            filled = order.cumulative_quantity
        if not answered:
            story.accept(number=0)
        order = story.tracker.order(order_id)
        endings.add(
            repr((order, story.tracker.exited_quantity, story.tracker.over_exited_quantity))
        )

    assert len(endings) == 1, endings


def test_two_thousand_mixed_lives_of_two_orders_end_alike() -> None:
    """Reports of two orders of one exit interleave freely; seeds are printed on failure."""
    start = Story(held(quantity=3600)).claim()
    start.permit_all()
    first, second = (order.client_order_id for order in start.orders)
    start.accept("B1", number=0)
    start.accept("B2", number=1)
    pool = [
        (first, report(B.PENDING, order_quantity=1800)),
        (first, report(B.PART_TRADED, 700, order_quantity=1800)),
        (first, report(B.TRADED, 1800, order_quantity=1800)),
        (second, report(B.PENDING, broker_order_id="B2", order_quantity=1800)),
        (second, report(B.PART_TRADED, 25, broker_order_id="B2", order_quantity=1800)),
        (second, report(B.TRADED, 1800, broker_order_id="B2", order_quantity=1800)),
    ]
    endings = {}
    for seed in range(2_000):
        rng = random.Random(seed)
        sequence = [*pool, *rng.choices(pool, k=rng.randrange(6))]
        rng.shuffle(sequence)
        story = start.copy()
        for order_id, seen in sequence:
            story.feed(OrderSeen(order_id, seen))
        endings.setdefault(repr(essence(story.tracker)), seed)

    assert len(endings) == 1, f"seeds that end differently: {list(endings.values())}"


def test_an_average_goes_with_the_most_fills() -> None:
    """A lower cumulative quantity never brings its average price along."""
    known = BrokerOrder(BrokerOrderId("B1"), B.PART_TRADED, 60, Decimal("151.50"))

    stale = merge_record(known, reported(B.PART_TRADED, 40, "150.00"))
    ahead = merge_record(known, reported(B.PART_TRADED, 80, None))

    assert stale == known
    assert (ahead.cumulative_quantity, ahead.average_price) == (80, None)


def test_a_terminal_record_stays_terminal() -> None:
    """A stale or late report never reopens an order at the broker."""
    for word in (B.CANCELLED, B.REJECTED, B.EXPIRED, B.TRADED):
        known = BrokerOrder(BrokerOrderId("B1"), word, 40, Decimal("151.50"))
        for late in B:
            merged = merge_record(known, reported(late, 65, "151.45"))
            assert merged.status.is_terminal
            assert merged.cumulative_quantity == 65


def test_an_unknown_word_counts_its_fills_only() -> None:
    """A status word we do not know changes quantities and nothing else (I15)."""
    known = BrokerOrder(BrokerOrderId("B1"), B.PENDING, 0, None)

    merged = merge_record(known, reported(B.UNKNOWN, 30, "151.00"))

    assert (merged.status, merged.cumulative_quantity) == (B.PENDING, 30)


def test_traded_with_too_few_fills_is_not_believed() -> None:
    """TRADED with fewer fills than ordered leaves the order live: its rest is not closed twice."""
    story = sent_story(answered=True)
    story.see(B.TRADED, 60)

    assert story.states == [OrderState.PART_FILLED]
    assert story.order().leaves_quantity == 40
    assert len(story.orders) == 1


def test_traded_of_a_smaller_order_ends_it_short() -> None:
    """An order that somebody made smaller and that then filled leaves the rest to be sized."""
    story = sent_story(answered=True)
    story.see(B.TRADED, 60, order_quantity=60)

    assert story.states == [OrderState.CANCELLED]
    assert story.tracker.open_quantity == 40


def test_one_unattributed_send_takes_the_record() -> None:
    """A record resolves an unknown send only where no other send could be its origin."""
    story = sent_story(answered=False)
    story.lose()
    story.see(B.PENDING)
    (send,) = story.order().sends

    assert (send.outcome, send.broker_order_id) == (SendOutcome.ACCEPTED, "B1")


def test_a_record_that_may_be_of_two_sends_resolves_neither() -> None:
    """After a resend a record could stem from either send, so the lost one stays unknown."""
    story = sent_story(answered=False)
    story.lose()
    story.prove_absent()
    story.feed(net(100))
    story.permit()
    story.lose()
    story.see(B.REJECTED, reason="RMS")

    outcomes = [send.outcome for send in story.order().sends]
    assert outcomes == [SendOutcome.ABSENT, SendOutcome.UNKNOWN]
    assert story.states == [OrderState.OUTCOME_UNKNOWN]


def test_two_live_orders_under_one_id_may_each_fill() -> None:
    """What may still fill under one id is the sum over its orders at the broker (I2b)."""
    order = order_with((B.PENDING, 0), (B.PENDING, 0))
    assert order.leaves_quantity == 200

    order = order_with((B.CANCELLED, 40), (B.PENDING, 0))
    assert order.leaves_quantity == 100

    order = order_with((B.PART_TRADED, 40))
    assert order.leaves_quantity == 60


def test_a_send_number_out_of_order_is_a_defect() -> None:
    """Sends of one order are numbered from 1 without a gap."""
    story = Story().claim()
    fact = OrderSent(TRACKER, story.order().client_order_id, 2, OrderType.MARKET, None, "none")

    with pytest.raises(InvariantBroken):
        evolve(story.tracker, fact, 1)
