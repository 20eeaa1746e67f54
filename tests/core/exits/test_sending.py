"""Tests of core.exits.sending: from plan to answer, and what each answer proves."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.story import Story, with_policy
from exit_story.values import PRICE, asked, held, net
from squareoff.core.exits.sending import closing_urgency, urgency_of
from squareoff.core.state.commands import ReadPositions, RequestPermit, TransmitOrder
from squareoff.core.state.facts import OrderOutcomeLost, OrderSent
from squareoff.core.state.inputs import (
    ExitHindered,
    PermitGranted,
    SendAccepted,
    SendAnswered,
    SendNotMade,
    SendRefused,
    Woke,
)
from squareoff.core.state.policy import (
    PLAN_AGE_SECONDS_MAX,
    QUIET_PLAN_AGE_SECONDS_MAX,
    READING_LAG_SECONDS,
    TOLD_COUNTS_SECONDS,
)
from squareoff.core.state.tracker import SendOutcome
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderRole, OrderType, PositionSide, Side
from squareoff.domain.rules import RuleName, Urgency
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.domain.time import seconds_to_ns


def test_a_permit_sends_once_with_its_fact() -> None:
    """The granted order leaves as a protected limit, in one decision with its OrderSent."""
    story = Story().claim()
    decision = story.permit()
    (sent,) = [fact for fact in decision.facts if isinstance(fact, OrderSent)]
    (command,) = [c for c in decision.commands if isinstance(c, TransmitOrder)]

    assert (sent.send_number, sent.price_source) == (1, "memory")
    assert command.request.order_type is OrderType.LIMIT
    assert command.request.limit_price == sent.limit_price == Decimal("144.35")
    assert (command.request.side, command.request.order_quantity) == (Side.SELL, 100)
    assert command.request.key == story.tracker.key


def test_a_second_permit_for_the_same_order_does_nothing() -> None:
    """A permit that comes twice, or late, never sends again."""
    story = Story().claim()
    story.permit()
    story.permit()
    assert len(story.sent) == 1

    story.accept()
    story.permit()
    story.fill_and_confirm()
    story.permit()
    assert len(story.sent) == 1


@pytest.mark.parametrize(
    ("rule", "urgency"),
    [(RuleName.STOP_LOSS, Urgency.STOP), (RuleName.SQUARE_OFF, Urgency.TIME)],
)
def test_a_permit_is_asked_for_with_urgency_and_risk(rule: RuleName, urgency: Urgency) -> None:
    """The queue learns how urgent the exit is and how much is at stake."""
    story = Story()
    story.feed(asked(rule=rule))
    story.feed(net(100))
    (request,) = [c for c in story.commands if isinstance(c, RequestPermit)]

    assert (request.urgency, request.risk) == (urgency, Decimal(15_000))


def test_a_send_is_lost_once() -> None:
    """A second word that the answer is lost is no news: the quarantine goes on as it began."""
    story = Story().claim()
    story.permit()
    first, second = story.lose(), story.lose()

    assert [type(fact) for fact in first.facts] == [OrderOutcomeLost]
    assert second.facts == ()
    assert story.order().sends[-1].outcome is SendOutcome.UNKNOWN


def test_an_end_that_was_reported_before_the_answer_was_lost_counts() -> None:
    """The record stands without being told again: the next day's books show it no more."""
    story = Story().claim()
    story.permit()
    story.see(BrokerOrderStatus.EXPIRED, 40)
    story.lose()

    assert story.order().state is OrderState.EXPIRED
    assert story.order().sends[-1].outcome is SendOutcome.ACCEPTED
    assert story.tracker.intent is not None and story.tracker.intent.failures == 1


def test_without_any_price_an_exit_goes_as_market() -> None:
    """An exit that is not sent is the greater harm: the broker protects a MARKET order itself."""
    story = Story().claim()
    story.permit(price=None)

    assert story.sent[0].request.order_type is OrderType.MARKET
    assert story.sent[0].request.limit_price is None


def test_an_exit_configured_as_market_goes_as_market() -> None:
    """`exit.order_type = market` sends MARKET though a price is known."""
    story = with_policy(Story(), order_type=OrderType.MARKET).claim()
    story.permit()

    assert story.sent[0].request.order_type is OrderType.MARKET


def test_a_market_order_turned_away_for_its_price_goes_out_as_a_limit() -> None:
    """Its price is the broker's: only a limit of ours can come nearer to the market."""
    story = with_policy(Story(), order_type=OrderType.MARKET).claim()
    story.permit()
    story.answer(SendRefused("DH-906", "EXCH: 17070 price out of execution range"))
    story.wake()
    story.feed(net(100))
    story.permit()

    types = [each.request.order_type for each in story.sent]
    assert types == [OrderType.MARKET, OrderType.LIMIT]


def test_an_entry_goes_at_its_owners_price_and_last() -> None:
    """An entry is sent with its own limit under the lowest urgency."""
    story = Story(held(entry_order_type=OrderType.LIMIT))
    story.feed(Woke())
    (request,) = [c for c in story.commands if isinstance(c, RequestPermit)]
    story.feed(PermitGranted(request.client_order_id, PRICE))

    assert request.urgency is Urgency.ENTRY
    assert story.sent[0].request.limit_price == Decimal("150.00")
    assert story.sent[0].request.side is Side.BUY


def test_an_entry_that_is_refused_cancels_its_position() -> None:
    """An entry without a fill ends as CANCELLED, with the refusal as reason; never as an exit."""
    story = Story(held(entry_order_type=OrderType.MARKET, side=PositionSide.SHORT))
    story.feed(Woke())
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(PermitGranted(entry, None))
    story.feed(SendAnswered(entry, 1, SendRefused("DH-906", "insufficient funds")))

    assert story.tracker.status is PositionStatus.CANCELLED
    assert "insufficient funds" in (story.tracker.exit_reason or "")


def test_a_plan_that_waited_too_long_is_sized_again() -> None:
    """While the queue stood still a person may have closed: positions are read again first."""
    story = Story().claim()
    story.later(PLAN_AGE_SECONDS_MAX + 1)
    story.permit()
    assert not story.sent
    assert story.wants(ReadPositions)

    story.feed(net(100))
    story.permit()
    assert [c.send_number for c in story.sent] == [1]
    assert len(story.orders) == 1


@pytest.mark.parametrize(
    ("quiet_before_plan", "waited", "is_sent"),
    [
        (READING_LAG_SECONDS, QUIET_PLAN_AGE_SECONDS_MAX, True),
        (READING_LAG_SECONDS, QUIET_PLAN_AGE_SECONDS_MAX + 0.001, False),
        (READING_LAG_SECONDS - 0.001, PLAN_AGE_SECONDS_MAX + 0.001, False),
        (-1.0, PLAN_AGE_SECONDS_MAX + 0.001, False),
        (READING_LAG_SECONDS - 0.001, PLAN_AGE_SECONDS_MAX, True),
        (-1.0, 1.001, False),
    ],
    ids=[
        "quiet",
        "quiet for too long",
        "heard before it",
        "heard since",
        "heard before it, but young",
        "heard since, but young",
    ],
)
def test_a_plan_stands_while_nobody_else_is_heard_to_close(
    quiet_before_plan: float, waited: float, is_sent: bool
) -> None:
    """Exits that were fired together keep their places; a stranger's order ends that."""
    story = Story().claim()
    quiet_since_ns = story.monotonic_ns - seconds_to_ns(quiet_before_plan)
    story.later(waited)
    story.feed(PermitGranted(story.order().client_order_id, PRICE, quiet_since_ns))

    assert bool(story.sent) is is_sent


def test_where_somebody_trades_without_a_pause_the_exit_leaves_all_the_same() -> None:
    """To be planned anew for ever would be an exit that is not sent."""
    story = Story().claim()
    for _ in range(100):
        story.later(0.5)
        name = story.order().client_order_id
        story.feed(PermitGranted(name, PRICE, story.monotonic_ns - seconds_to_ns(0.1)))
        if story.sent:
            break
        assert story.wants(ReadPositions)
        story.feed(net(100))
    waited = story.now.wall_ns - story.tracker.intent.claimed_at_ns  # type: ignore[union-attr]

    assert story.sent
    assert waited <= seconds_to_ns(TOLD_COUNTS_SECONDS + 1.0)


def test_a_permit_while_blocked_sends_nothing() -> None:
    """A hindrance that came while waiting for the permit holds the order back."""
    story = Story().claim()
    story.feed(ExitHindered(BlockReason.KILL_SWITCH, "kill switch at level all", 5.0))
    story.permit()

    assert not story.sent
    assert story.tracker.intent is not None
    assert story.tracker.intent.status is IntentStatus.BLOCKED
    story.wake()
    assert story.wants(ReadPositions)


def test_not_made_blocks_and_goes_again_under_the_same_id() -> None:
    """Proved unsent: blocked with alarm, sized again, same id, next send number."""
    story = Story().claim()
    story.permit()
    story.answer(SendNotMade(BlockReason.BROKER_UNREACHABLE, "connection refused"))
    assert story.states == [OrderState.ABSENT]
    assert story.alarm_codes() == ["exit_blocked_broker_unreachable"]

    story.wake()
    story.feed(net(100))
    story.permit()
    assert [c.send_number for c in story.sent] == [1, 2]
    assert len({c.request.client_order_id for c in story.sent}) == 1


def test_an_unreachable_broker_is_tried_often_and_told_once() -> None:
    """The pause grows to five seconds at most; a person is told once, not at every try."""
    story = Story().claim()
    pauses = []
    for _ in range(12):
        story.permit()
        story.answer(SendNotMade(BlockReason.BROKER_UNREACHABLE, "connection refused"))
        before = story.monotonic_ns
        story.wake()
        pauses.append((story.monotonic_ns - before) / 1e9)
        story.feed(net(100))

    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    assert story.alarm_codes() == ["exit_blocked_broker_unreachable"]


def test_a_late_answer_after_the_stream_changes_nothing() -> None:
    """The HTTP answer that comes after the update finds the order further on."""
    story = Story().claim()
    story.permit()
    story.see(BrokerOrderStatus.PART_TRADED, 40)
    assert story.states == [OrderState.PART_FILLED]
    story.accept()

    assert story.states == [OrderState.PART_FILLED]
    assert len(story.order().broker_orders) == 1
    assert story.order().sends[0].outcome is SendOutcome.ACCEPTED


def test_a_rejection_before_the_answer_still_counts_as_a_failure() -> None:
    """A REJECTED that outruns its HTTP answer ends the attempt with a pause, no hot loop."""
    story = Story().claim()
    for attempt in range(1, 4):
        story.permit()
        broker_id = f"B{attempt}"
        story.see(BrokerOrderStatus.REJECTED, broker_order_id=broker_id, reason="RMS says no")
        assert story.states[-1] is OrderState.SENT
        story.accept(broker_id)
        assert story.states[-1] is OrderState.REJECTED
        assert not story.wants(ReadPositions), "sized again without a pause"
        assert story.tracker.intent is not None
        assert story.tracker.intent.failures == attempt
        story.wake()
        story.feed(net(100))


def test_an_answer_counts_for_its_own_send_only() -> None:
    """An answer to an unknown order or send number, or a second answer, changes nothing."""
    story = Story().claim()
    story.permit()
    order_id = story.order().client_order_id
    story.accept()
    count = len(story.facts)
    for number in (0, 1, 2):
        story.feed(SendAnswered(order_id, number, SendRefused("DH-905", "no")))

    assert len(story.facts) == count
    assert story.states == [OrderState.ACCEPTED]


def test_an_accepted_answer_after_the_settlement_is_not_thrown_away() -> None:
    """An order that was declared absent and is then named by its own answer is ours and live."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(100))
    assert story.states == [OrderState.PLANNED]
    story.answer(SendAccepted(BrokerOrderId("B1")), send=1)

    assert story.states == [OrderState.ACCEPTED]
    story.permit()
    assert len(story.sent) == 1


def test_a_late_answer_names_the_send_that_it_answers() -> None:
    """The first send's acceptance comes while the second is on its way: both may be there."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(100))
    story.permit()
    story.answer(SendAccepted(BrokerOrderId("B1")), send=1)
    first, second = story.order().sends
    assert (first.outcome, first.broker_order_id) == (SendOutcome.ACCEPTED, "B1")
    assert second.outcome is SendOutcome.IN_FLIGHT
    story.answer(SendAccepted(BrokerOrderId("B2")), send=2)

    assert [record.broker_order_id for record in story.order().broker_orders] == ["B1", "B2"]


def test_a_send_that_was_given_up_and_then_proved_unmade_is_planned_again() -> None:
    """Its outcome counted as lost; then its own answer says that nothing had left."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.answer(SendNotMade(BlockReason.TOKEN_DEAD, "the token is dead"), send=1)
    assert story.states == [OrderState.ABSENT]
    intent = story.tracker.intent
    assert intent is not None and intent.block_reason is BlockReason.TOKEN_DEAD

    story.wait(60.0)
    story.feed(net(100))
    story.permit()
    assert len(story.sent) == 2


def test_a_refusal_after_the_settlement_changes_nothing() -> None:
    """A late refusal of a send that was declared absent tells nothing new."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    count = len(story.facts)
    story.answer(SendRefused("DH-906", "no"), send=1)

    assert len(story.facts) == count


def test_a_refusal_ends_the_order_and_a_new_attempt_follows() -> None:
    """Refused for what may pass: after a pause the rest goes under a new attempt and id."""
    story = Story().claim()
    story.permit()
    story.answer(SendRefused("DH-906", "transaction failed"))
    assert story.states == [OrderState.REFUSED]

    story.wake()
    story.feed(net(100))
    assert [order.attempt for order in story.orders] == [1, 2]


@pytest.mark.parametrize(
    ("role", "has_exit", "urgency"),
    [
        pytest.param(OrderRole.ENTRY, False, Urgency.ENTRY, id="entry"),
        pytest.param(OrderRole.ENTRY, True, Urgency.ENTRY, id="entry of a position that exits"),
        pytest.param(OrderRole.EXIT, True, Urgency.TIME, id="exit of a rule about time"),
        pytest.param(OrderRole.EXIT, False, Urgency.STOP, id="exit whose intent is gone"),
        pytest.param(OrderRole.FLATTEN, True, Urgency.TIME, id="taken back under an exit"),
        pytest.param(OrderRole.FLATTEN, False, Urgency.STOP, id="taken back without an exit"),
    ],
)
def test_only_an_entry_goes_as_urgently_as_an_entry(
    role: OrderRole, has_exit: bool, urgency: Urgency
) -> None:
    """What reduces a position is never held up as an entry is; whoever asks hears the same."""
    story = Story()
    story.feed(asked(rule=RuleName.SQUARE_OFF))
    story.feed(net(100))
    tracker = story.tracker if has_exit else replace(story.tracker, intent=None)
    order = replace(story.order(), role=role)

    assert urgency_of(tracker, order) is urgency
    if role is not OrderRole.ENTRY:
        assert closing_urgency(tracker) is urgency
