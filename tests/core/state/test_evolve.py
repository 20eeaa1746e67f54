"""Tests of core.state.evolve: what facts do to a tracker, and that the journal rebuilds it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import OPENED_AT_NS, TRACKER, held, new_position, report
from squareoff.core.entries.opening import open_position
from squareoff.core.state.evolve import evolve, fold
from squareoff.core.state.facts import (
    ClosedExternally,
    ExitClaimed,
    ExitWithdrawn,
    OrderDropped,
    OrderReported,
    PositionExited,
    TrackerOpened,
)
from squareoff.core.state.inputs import OrderSeen
from squareoff.domain.errors import InvalidTransition, InvariantBroken
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId
from squareoff.domain.orders import BrokerOrderStatus, ReportSource, Side
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import OrderState, PositionStatus

B = BrokerOrderStatus


def test_a_claim_after_a_withdrawn_intent_goes_on_counting_attempts() -> None:
    """Order ids come from attempts, so a second exit of one position never reuses an id."""
    story = Story().claim()
    first = story.order().client_order_id
    dropped = evolve(story.tracker, OrderDropped(TRACKER, first, "withdrawn"), OPENED_AT_NS)
    story.tracker = evolve(dropped, ExitWithdrawn(TRACKER, "the owner thought better"), 1)

    story.claim()

    assert story.tracker.status is PositionStatus.EXITING
    ids = [order.client_order_id for order in story.orders]
    assert len(set(ids)) == len(ids)
    assert story.order().state is OrderState.PLANNED


def test_quantity_and_price_follow_the_entry_fills() -> None:
    """A position with an entry order holds what has filled, at the average to eight decimals."""
    story = Story(held(entry_order_id=BrokerOrderId("E1"), entry_price=Decimal("150")))
    entry = story.tracker.entry_orders[0].client_order_id
    buy = report(B.PART_TRADED, 75, broker_order_id="E1", average_price="149.8", side=Side.BUY)
    story.feed(OrderSeen(entry, buy))

    assert (story.tracker.status, story.tracker.quantity) == (PositionStatus.ACTIVE, 75)
    assert story.tracker.entry_price == Decimal("149.80000000")
    assert -story.tracker.entry_price.as_tuple().exponent == 8  # type: ignore[operator]


@pytest.mark.parametrize(("waited_ns", "counted_ns"), [(3_600, 3_600), (-86_400, 0)])
def test_an_entry_is_held_from_its_first_fill_and_never_before_it_was_placed(
    waited_ns: int, counted_ns: int
) -> None:
    """A clock that was set back in between dates the fill before the placing."""
    placed = held(entry_order_id=BrokerOrderId("E1"))
    assert placed.held_since_ns is None
    assert held().held_since_ns == OPENED_AT_NS
    (entry,) = placed.entry_orders
    bought = OrderReported(
        placed.tracker_id,
        entry.client_order_id,
        BrokerOrderId("E1"),
        B.PART_TRADED,
        75,
        Decimal(150),
        "",
        ReportSource.STREAM,
    )
    filled = evolve(placed, bought, OPENED_AT_NS + waited_ns)
    assert filled.held_since_ns == OPENED_AT_NS + counted_ns
    more = replace(bought, cumulative_quantity=100)
    assert evolve(filled, more, OPENED_AT_NS + 9_999).held_since_ns == filled.held_since_ns


def test_a_fill_after_a_cancelled_entry_revives_the_position() -> None:
    """An entry that filled after all is held, and nothing of its false end is left."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(OrderSeen(entry, report(B.CANCELLED, broker_order_id="E1", side=Side.BUY)))
    assert story.tracker.status is PositionStatus.CANCELLED

    story.feed(OrderSeen(entry, report(B.CANCELLED, 25, broker_order_id="E1", side=Side.BUY)))

    assert (story.tracker.status, story.tracker.quantity) == (PositionStatus.ACTIVE, 25)
    assert (story.tracker.exit_reason, story.tracker.exited_at_ns) == (None, None)


@pytest.mark.parametrize("end", [PositionStatus.EXITED, PositionStatus.UNTRACKED])
def test_a_fill_after_the_end_is_counted_and_ends_nothing_else(end: PositionStatus) -> None:
    """An entry that fills after its position was closed or let go leaves it so."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    seen = report(B.PART_TRADED, 75, broker_order_id="E1", side=Side.BUY)
    story.feed(OrderSeen(entry, seen))
    ended = replace(story.tracker, status=end, exit_reason="x", exited_at_ns=OPENED_AT_NS)
    told = story.facts[-1]
    assert isinstance(told, OrderReported)
    now = evolve(ended, replace(told, cumulative_quantity=100), OPENED_AT_NS + 1)

    assert (now.status, now.quantity) == (end, 100)
    assert (now.exit_reason, now.exited_at_ns) == ("x", OPENED_AT_NS)


def test_a_position_ends_without_any_exit_of_ours() -> None:
    """Somebody else closed it: there is no intent to end."""
    closed = ClosedExternally(TRACKER, 100, Decimal(151))
    gone = evolve(held(), closed, OPENED_AT_NS)
    ended = evolve(gone, PositionExited(TRACKER, Decimal(151), Decimal(100), "x"), OPENED_AT_NS)

    assert (ended.status, ended.intent) == (PositionStatus.EXITED, None)


def test_facts_about_what_does_not_exist_are_defects() -> None:
    """A fact about an unknown tracker or order, or a second opening, is an invariant broken."""
    tracker, facts = open_position(new_position(), OPENED_AT_NS)
    ghost = ClientOrderId("sqx-000000000000-001-01")

    with pytest.raises(InvariantBroken):
        evolve(tracker, facts[0], 1)
    with pytest.raises(InvariantBroken):
        evolve(None, OrderDropped(TRACKER, ghost, ""), 1)
    with pytest.raises(InvariantBroken):
        evolve(tracker, OrderDropped(TRACKER, ghost, ""), 1)


def test_an_exit_cannot_be_claimed_twice() -> None:
    """A second claim of a live exit is an invalid transition (I1)."""
    story = Story().claim()
    fact = ExitClaimed(TRACKER, IntentId("exit-2"), "again", Trigger(RuleName.MANUAL))

    with pytest.raises(InvalidTransition):
        evolve(story.tracker, fact, 1)


def test_the_journal_alone_rebuilds_the_tracker() -> None:
    """Folding all facts from the first on gives the tracker as it stands (I10)."""
    tracker, facts = open_position(new_position(), OPENED_AT_NS)
    story = Story(tracker)
    pairs = [(OPENED_AT_NS, fact) for fact in facts]
    story.work()
    story.fill_and_confirm()
    pairs += [(story.now.wall_ns, fact) for fact in story.facts]

    assert isinstance(pairs[0][1], TrackerOpened)
    assert fold(pairs) == story.tracker
    assert fold([]) is None
