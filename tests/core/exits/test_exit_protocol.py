"""Stories of core.exits.exit_protocol: whole exits, one fault each, told input by input."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import PRICE, asked, held, net, report, trade
from squareoff.core.rules.levels import stop_of
from squareoff.core.state.commands import (
    ReadBooks,
    RequestPermit,
    TransmitCancel,
    TransmitOrder,
)
from squareoff.core.state.facts import (
    BestPriceNoted,
    ExitClaimed,
    ExitSized,
    FillsConfirmed,
    OrderAccepted,
    OrderPlanned,
    OrderReported,
    OrderSent,
    PositionExited,
    StopMoved,
)
from squareoff.core.state.inputs import (
    BestPriceSeen,
    BooksRead,
    OrderSeen,
    PeakReached,
    PermitGranted,
    RulesSet,
    SendRefused,
    Woke,
)
from squareoff.domain.errors import DomainError
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, PositionSide, Side
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import BreakEvenRule, RuleName, RuleSet, TrailingRule
from squareoff.domain.states import OrderState, PositionStatus

B = BrokerOrderStatus
EXITED, EXITING = PositionStatus.EXITED, PositionStatus.EXITING


def happy(story: Story) -> None:
    """Claim, size, send, accept, fill, confirm."""
    story.claim()
    _permit_if_planned(story)
    story.accept()
    story.see(B.PENDING)
    story.see(B.PART_TRADED, 40)
    story.see(B.TRADED, 100)
    story.books(trade(100))


def _permit_if_planned(story: Story, number: int = -1) -> None:
    """Size again where a restart gave the plan up, then grant the permit."""
    if story.order(number).state is OrderState.ABSENT:
        story.feed(net(100))
    story.permit(number)


def test_the_happy_path_journals_every_step() -> None:
    """Claimed, sized, planned, sent, accepted, filled, confirmed, exited: in that order, once."""
    story = Story()
    happy(story)

    assert [type(fact) for fact in story.facts] == [
        ExitClaimed,
        ExitSized,
        OrderPlanned,
        OrderSent,
        OrderAccepted,
        OrderReported,
        OrderReported,
        OrderReported,
        FillsConfirmed,
        PositionExited,
    ]
    assert story.tracker.status is EXITED
    assert story.tracker.exit_price == Decimal("151.50")
    assert story.tracker.realized_pnl == Decimal("150.00")
    assert story.tracker.exit_reason == "stop_loss fired"
    assert not story.alarms
    assert not story.commands
    assert story.last is not None
    assert story.last.wake_at_ns is None


def test_a_short_gains_when_it_is_bought_back_lower() -> None:
    """A short of 100 from 150 bought back at 148 gains 200."""
    story = Story(held(side=PositionSide.SHORT)).claim(net(-100))
    story.permit()
    story.accept()
    bought = report(B.TRADED, 100, side=Side.BUY, average_price="148")
    story.feed(OrderSeen(story.order().client_order_id, bought))
    story.books(trade(100, "148.00", side=Side.BUY))

    assert story.tracker.status is EXITED
    assert story.tracker.realized_pnl == Decimal("200.00")


def test_slices_fill_in_any_order() -> None:
    """Several slices end the position once all of them are filled and confirmed together."""
    story = Story(held(quantity=4000)).claim(net(4000))
    story.permit_all()
    for number in (2, 0, 1):
        story.accept(f"B{number}", number)
    for number in (1, 2, 0):
        quantity = story.order(number).order_quantity
        assert story.tracker.status is EXITING
        story.see(B.TRADED, quantity, number=number, broker_order_id=f"B{number}")
    trades = [
        trade(1800, "151.00", broker_order_id="B0"),
        trade(1800, "152.00", broker_order_id="B1"),
        trade(400, "150.00", broker_order_id="B2"),
    ]
    story.books(*trades[:2])
    assert story.tracker.status is EXITING
    story.wake()
    story.books(*trades)

    assert story.tracker.status is EXITED
    assert story.tracker.exit_price == Decimal("151.35")


def test_a_lost_answer_found_later_is_driven_on() -> None:
    """Timeout, found by the look-up, filled: one send, one exit."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.wake()
    story.see(B.PENDING)
    story.settle_reading(lacking=False)
    story.fill_and_confirm()

    assert story.tracker.status is EXITED
    assert len(story.sent) == 1


def test_a_refusal_is_no_end_of_the_position() -> None:
    """A refused or rejected exit order never cancels or closes the position."""
    story = Story().claim()
    story.permit()
    story.answer(SendRefused("DH-906", "transaction failed"))
    assert story.tracker.status is EXITING
    story.wake()
    story.feed(net(100))
    story.permit()
    story.accept("B2")
    story.see(B.REJECTED, broker_order_id="B2", reason="RMS")

    assert story.tracker.status is EXITING
    assert story.tracker.open_quantity == 100


def test_a_part_fill_then_a_cancel_is_resized() -> None:
    """What was filled counts, the rest goes in a new attempt, and both make the average."""
    story = Story().work()
    story.see(B.PART_TRADED, 40)
    story.see(B.CANCELLED, 40)
    story.wake()
    story.feed(net(60))
    story.permit()
    story.accept("B2")
    story.see(B.TRADED, 60, broker_order_id="B2")
    story.books(trade(40, "151.00"), trade(60, "152.00", broker_order_id="B2"))

    assert story.tracker.status is EXITED
    assert story.tracker.exit_price == Decimal("151.60")


def test_a_fill_after_the_cancel_shrinks_what_is_planned() -> None:
    """A real fill after CANCELLED counts: the new attempt's excess is dropped or cancelled."""
    planned = Story().work()
    planned.see(B.CANCELLED, 40)
    planned.wake()
    planned.feed(net(60))
    working = planned.copy()
    planned.see(B.CANCELLED, 65, number=0)
    assert planned.states[1] is OrderState.ABSENT
    assert planned.tracker.open_quantity == 35

    working.permit()
    working.accept("B2")
    working.see(B.CANCELLED, 65, number=0)
    assert [c.broker_order_id for c in working.commands if isinstance(c, TransmitCancel)] == ["B2"]


def test_the_update_may_come_before_the_answer() -> None:
    """Filled by the stream before the HTTP answer: the answer changes nothing any more."""
    story = Story().claim()
    story.permit()
    story.see(B.TRADED, 100)
    assert story.wants(ReadBooks)
    story.books(trade(100))
    assert story.tracker.status is EXITED
    story.accept()

    assert story.tracker.status is EXITED
    assert not story.alarms


def test_simultaneous_claims_are_one_exit() -> None:
    """A second claim of a live exit starts nothing (I1)."""
    story = Story().claim()
    story.feed(asked("exit-2"))
    story.feed(asked("exit-3"))

    assert len([f for f in story.facts if isinstance(f, ExitClaimed)]) == 1
    assert story.tracker.intent is not None
    assert story.tracker.intent.intent_id == "exit-1"


def test_only_an_active_position_can_be_claimed() -> None:
    """An exit of a pending or an ended position is refused with its code."""
    pending = Story(held(entry_order_id=BrokerOrderId("E1")))
    ended = Story()
    happy(ended)
    for story in (pending, ended):
        with pytest.raises(DomainError) as raised:
            story.feed(asked("exit-9"))
        assert raised.value.code == "not_active"


def test_a_latched_exit_ignores_prices() -> None:
    """No later price or rule unfires or moves anything of a claimed exit (I4s)."""
    story = Story(held(rules=RuleSet(trailing=TrailingRule(points=Decimal(8)))))
    story.feed(PeakReached(PriceUnits(1_600_000)))
    assert story.tracker.stop_level == 1_520_000
    story.claim()
    story.feed(PeakReached(PriceUnits(1_700_000)))
    story.feed(RulesSet(RuleSet()))

    assert story.tracker.status is EXITING
    assert story.tracker.stop_level == 1_520_000
    assert story.states == [OrderState.PLANNED]


def test_a_best_price_is_kept_through_an_open_exit_and_moves_no_stop_of_it() -> None:
    """A best price that is to be kept is, before the claim and after it; a worse one is none."""
    story = Story(held(rules=RuleSet(trailing=TrailingRule(Decimal(8), step=Decimal(50)))))
    story.feed(BestPriceSeen(PriceUnits(1_600_000)))
    story.feed(BestPriceSeen(PriceUnits(1_610_000)))
    assert [type(fact) for fact in story.facts] == [StopMoved, BestPriceNoted]
    story.claim()
    stop_level = story.tracker.stop_level
    story.feed(BestPriceSeen(PriceUnits(2_100_000)))
    story.feed(BestPriceSeen(PriceUnits(1_700_000)))

    assert story.tracker.peak_price == 2_100_000
    assert story.tracker.stop_level == stop_level
    assert story.states == [OrderState.PLANNED]


def test_no_best_price_is_kept_of_a_position_that_has_ended() -> None:
    """What is over counts no prices."""
    story = Story()
    story.work()
    story.see(B.TRADED, 100)
    story.books(trade(100, "151.50"))
    assert story.tracker.status is PositionStatus.EXITED
    story.feed(BestPriceSeen(PriceUnits(1_600_000)))

    assert story.tracker.peak_price is None


@pytest.mark.parametrize("loose", [RuleSet(trailing=TrailingRule(points=Decimal(8))), RuleSet()])
def test_a_stop_that_new_rules_reached_outlasts_them(loose: RuleSet) -> None:
    """Tightened at the best price seen and loosened again, it stays where it was (I14)."""
    story = Story(held(rules=RuleSet(trailing=TrailingRule(points=Decimal(8)))))
    story.feed(PeakReached(PriceUnits(1_600_000)))
    story.feed(RulesSet(RuleSet(trailing=TrailingRule(points=Decimal(3)))))
    assert story.tracker.stop_level == 1_570_000
    story.feed(RulesSet(loose))

    stop = stop_of(story.tracker)
    assert stop is not None
    assert (stop.price, stop.rule) == (1_570_000, RuleName.TRAILING)


def test_a_stop_reached_before_looser_rules_were_set_is_kept_after_them() -> None:
    """The stop's own commit came after that of the rules: it is where it was seen to be (I14)."""
    story = Story(held(rules=RuleSet(trailing=TrailingRule(points=Decimal(8)))))
    story.feed(PeakReached(PriceUnits(1_600_000)))
    story.feed(RulesSet(RuleSet(trailing=TrailingRule(points=Decimal(20)))))
    story.feed(PeakReached(PriceUnits(1_650_000), PriceUnits(1_570_000), "trailing"))

    assert story.tracker.peak_price == 1_650_000
    assert (story.tracker.stop_level, story.tracker.stop_rule) == (1_570_000, "trailing")
    facts = story.facts
    story.feed(PeakReached(PriceUnits(1_640_000), PriceUnits(1_560_000), "trailing"))
    assert story.facts == facts
    story.feed(PeakReached(PriceUnits(1_800_000), PriceUnits(1_570_000), "trailing"))
    assert story.tracker.stop_level == 1_600_000


def test_a_stop_that_another_entry_price_put_tighter_stays() -> None:
    """Later fills raise the entry price and with it the stop; others, lower, do not take it."""
    rule = BreakEvenRule(at_profit_points=Decimal(5), lock_points=Decimal(1))
    story = Story(held(entry_order_type=OrderType.LIMIT, rules=RuleSet(break_even=rule)))
    story.feed(Woke())
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(PermitGranted(entry, PRICE))

    def fill(quantity: int, average: str) -> None:
        bought = report(
            B.PART_TRADED, quantity, broker_order_id="E1", side=Side.BUY, average_price=average
        )
        story.feed(OrderSeen(entry, bought))

    fill(40, "150.00")
    story.feed(PeakReached(PriceUnits(1_600_000)))
    assert story.tracker.stop_level == 1_510_000
    fill(60, "152.00")
    assert story.tracker.stop_level == 1_530_000
    fill(80, "150.00")

    assert story.tracker.stop_level == 1_530_000


def test_waking_without_need_does_nothing() -> None:
    """Time alone leaves no fact and wants nothing in a position without an exit."""
    story = Story()
    for _ in range(3):
        decision = story.wait(60.0)
        assert not decision.facts
        assert not decision.commands
        assert decision.wake_at_ns is None


def test_an_entry_of_ours_fills_and_is_watched() -> None:
    """PENDING becomes ACTIVE by the first fill; more fills follow it; its end ends nothing."""
    story = Story(held(entry_order_type=OrderType.LIMIT))
    story.feed(Woke())
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(PermitGranted(entry, PRICE))
    for cumulative in (25, 100):
        status = B.TRADED if cumulative == 100 else B.PART_TRADED
        bought = report(status, cumulative, broker_order_id="E1", side=Side.BUY)
        story.feed(OrderSeen(entry, bought))
        assert story.tracker.quantity == cumulative
        assert story.tracker.status is PositionStatus.ACTIVE
    story.feed(BooksRead((), frozenset()))

    assert story.tracker.status is PositionStatus.ACTIVE


def test_an_exit_of_an_entry_that_still_fills_follows_its_fills() -> None:
    """The rest of the entry is cancelled; what it fills until then is closed as well."""
    story = Story(held(entry_order_type=OrderType.LIMIT))
    story.feed(Woke())
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(PermitGranted(entry, PRICE))

    def fill(cumulative: int, status: BrokerOrderStatus = B.PART_TRADED) -> None:
        bought = report(status, cumulative, broker_order_id="E1", side=Side.BUY)
        story.feed(OrderSeen(entry, bought))

    fill(50)
    story.feed(asked())
    assert [c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)] == ["E1"]
    story.feed(net(50))
    fill(75)
    story.wait(1.0)
    story.feed(net(75))
    fill(75, B.CANCELLED)

    assert [order.order_quantity for order in story.orders] == [50, 25]
    assert story.tracker.quantity == 75


def test_a_restart_drops_plans_and_doubts_sends() -> None:
    """After a restart plans are sized anew and whatever was in flight is unknown."""
    story = Story(held(quantity=3600)).claim()
    story.permit(0)
    story.restart()

    assert story.states == [OrderState.OUTCOME_UNKNOWN, OrderState.ABSENT]
    assert not story.wants(RequestPermit)
    assert not story.wants(TransmitOrder)


def test_a_restart_during_an_entry_ends_its_plan() -> None:
    """An entry that was only planned is not sent by the next process."""
    story = Story(held(entry_order_type=OrderType.LIMIT))
    story.restart()

    assert story.tracker.status is PositionStatus.CANCELLED


STORIES: dict[str, Callable[[Story], None]] = {"happy": happy}


def _lost_and_found(story: Story) -> None:
    story.claim()
    _permit_if_planned(story)
    story.lose()
    story.see(B.PENDING)
    story.fill_and_confirm()


def _part_then_rest(story: Story) -> None:
    story.claim()
    _permit_if_planned(story)
    story.accept()
    story.see(B.CANCELLED, 40)
    story.wait(60.0)
    story.feed(net(60))
    if story.order().state is OrderState.ABSENT:
        story.feed(net(60))
    story.permit()
    story.accept("B2")
    story.see(B.TRADED, 60, broker_order_id="B2")
    story.books(trade(40), trade(60, broker_order_id="B2"))


def _external(story: Story) -> None:
    story.claim(net(0))
    for _ in range(2):
        story.wait(1.0)
        story.feed(net(0))
    story.books(trade(100, "155.00", broker_order_id="APP1"), own=())


STORIES |= {"lost and found": _lost_and_found, "part, then rest": _part_then_rest}


@pytest.mark.parametrize("tell", STORIES.values(), ids=STORIES.keys())
def test_a_restart_after_every_step_still_ends_exited_once(tell: Callable[[Story], None]) -> None:
    """With the process killed after each and every input the story still ends EXITED once (I7)."""
    story = Story()
    story.restarts_always = True
    tell(story)

    assert story.tracker.status is EXITED
    assert len([f for f in story.facts if isinstance(f, PositionExited)]) == 1
    assert story.tracker.exited_quantity == 100
    assert story.tracker.over_exited_quantity == 0


def test_a_restart_between_flat_readings_counts_them_anew() -> None:
    """Flat readings do not survive a restart: the position is not given up for closed too early."""
    story = Story()
    story.restarts_always = True
    _external(story)
    assert story.tracker.status is EXITING

    story.restarts_always = False
    for _ in range(3):
        story.wait(1.0)
        story.feed(net(0))
    story.books(trade(100, "155.00", broker_order_id="APP1"), own=())
    assert story.tracker.status is EXITED
