"""Tests of flattening: what was closed too much is taken back once, and only when sure."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import PRICE, held, net, report, trade
from squareoff.core.account.account_pnl import rupees_of, share_of
from squareoff.core.state.commands import (
    LookUpOrder,
    ReadPositions,
    RequestPermit,
    TransmitCancel,
    TransmitOrder,
)
from squareoff.core.state.facts import OrderDropped
from squareoff.core.state.inputs import (
    ExitHindered,
    OrderSeen,
    OverExitResolveAsked,
    PermitGranted,
    PositionsRead,
    SendAccepted,
    SendAnswer,
    SendAnswered,
    SendLost,
    SendNotMade,
    SendRefused,
    SettleRead,
    UntrackAsked,
    Woke,
)
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderRole, OrderType, Side
from squareoff.domain.states import BlockReason, OrderState, PositionStatus

B = BrokerOrderStatus
FLATTEN = ExitPolicy(flatten_over_exit=True)


def over_exited(policy: ExitPolicy = FLATTEN, filled: int = 150) -> Story:
    """Return a story of 100 held whose exit closed 150."""
    story = Story(policy=policy).work()
    story.see(B.TRADED, filled, order_quantity=filled)
    assert story.tracker.is_frozen
    return story


def flattening(story: Story) -> tuple[TrackedOrder, ...]:
    """Return the orders that take back."""
    return tuple(order for order in story.tracker.orders if order.role is OrderRole.FLATTEN)


def read(story: Story, reading: PositionsRead, times: int = 3) -> None:
    """Answer readings a second apart."""
    for _ in range(times):
        story.wait(1.0)
        story.feed(reading)


def sent(story: Story) -> list[TransmitOrder]:
    """Return the orders that left to take back."""
    return [command for command in story.sent if command.request.client_order_id.startswith("sqf")]


def send(story: Story, answer: SendAnswer) -> None:
    """Let the planned order go and be answered."""
    order_id = flattening(story)[-1].client_order_id
    story.feed(PermitGranted(order_id, PRICE))
    story.feed(SendAnswered(order_id, 1, answer))


def see(story: Story, status: BrokerOrderStatus, cumulative_quantity: int = 0) -> None:
    """Report on the order that takes back."""
    order = flattening(story)[-1]
    seen = report(
        status,
        cumulative_quantity,
        broker_order_id="F1",
        order_quantity=order.order_quantity,
    )
    story.feed(OrderSeen(order.client_order_id, seen))


def test_without_the_setting_nothing_is_taken_back() -> None:
    """The default only calls a person."""
    story = over_exited(ExitPolicy())
    read(story, net(-50), times=6)

    assert not flattening(story)
    assert not story.commands


def test_agreeing_readings_take_back_what_is_beyond_zero() -> None:
    """Three spaced readings of the net on the other side plan one order of the other side."""
    story = over_exited()
    read(story, net(-50), times=2)
    assert not flattening(story)
    read(story, net(-50), times=1)

    (order,) = flattening(story)
    assert (order.order_quantity, order.side) == (50, Side.BUY)
    assert story.wants(RequestPermit)
    assert story.alarm_codes() == ["over_exit", "over_exit_flatten"]
    send(story, SendAccepted(BrokerOrderId("F1")))
    assert story.tracker.exited_quantity == 150


@pytest.mark.parametrize(
    "reading",
    [
        net(0),
        net(20),
        PositionsRead(None, 0, 5.0),
        replace(net(-50), others_leaves=25),
        replace(net(-50), others_taking_back=50),
        replace(net(-50), closed_lately=150),
        replace(net(-50), opposed_open=50),
        replace(net(-50), exited_quantity=100),
    ],
)
def test_what_is_not_sure_is_not_taken_back(reading: PositionsRead) -> None:
    """No net beyond zero, an unreadable one, a moving one, or one owed to another tracker."""
    story = over_exited()
    read(story, reading, times=8)

    assert not flattening(story)
    assert story.wait(1.0).commands == (ReadPositions(),)


def test_a_net_that_moves_starts_the_count_anew() -> None:
    """Only readings that agree count."""
    story = over_exited()
    for quantity in (-50, -50, -25, -25, -50, -50):
        read(story, net(quantity), times=1)

    assert not flattening(story)


def test_no_more_is_taken_back_than_the_tracker_closed_too_much() -> None:
    """The rest of the net is somebody else's doing."""
    story = over_exited()
    read(story, net(-500))

    assert sum(order.order_quantity for order in flattening(story)) == 50


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (SendRefused("DH-905", "no"), "over_exit_not_flattened"),
        (SendAccepted(BrokerOrderId("F1")), "over_exit_not_flattened"),
    ],
)
def test_one_order_and_never_another(answer: SendAnswer, code: str) -> None:
    """However the one order ends, nothing follows it and a person is told."""
    story = over_exited()
    read(story, net(-50))
    send(story, answer)
    if isinstance(answer, SendAccepted):
        see(story, B.REJECTED)
    read(story, net(-50), times=5)

    assert story.alarm_codes()[-1] == code
    assert len(sent(story)) == 1


def test_an_excess_after_the_one_order_is_left_to_a_person() -> None:
    """Once the order that takes back has left, the next alarm promises no other."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendAccepted(BrokerOrderId("F1")))
    story.see(B.TRADED, 25, broker_order_id="B0", order_quantity=25)

    messages = [alarm.message for alarm in story.alarms if alarm.code == "over_exit"]
    assert len(messages) == 2
    assert "taken back once" in messages[0]
    assert "nothing is bought back by itself" in messages[1]


def test_a_lost_order_is_settled_and_not_sent_again() -> None:
    """Its outcome is found out like any other's; proved absent, it stays with the person."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendLost("no answer"))
    for _ in range(12):
        story.wait(2.0)
        assert not story.wants(ReadPositions)
        if story.wants(LookUpOrder):
            order_id = flattening(story)[0].client_order_id
            story.feed(SettleRead(order_id, complete=True, lacking=True, steady_net_quantity=-50))
        if flattening(story)[0].state is OrderState.ABSENT:
            break
    read(story, net(-50), times=5)

    assert story.alarm_codes()[-1] == "over_exit_not_flattened"
    assert len(sent(story)) == 1


@pytest.mark.parametrize("is_planned", [True, False])
def test_an_order_that_never_left_is_decided_anew(is_planned: bool) -> None:
    """Hindered or proved not sent, it did nothing: readings must agree again first."""
    story = over_exited()
    read(story, net(-50))
    if is_planned:
        story.feed(ExitHindered(BlockReason.KILL_SWITCH, "kill switch", 30.0))
    else:
        send(story, SendNotMade(BlockReason.BROKER_UNREACHABLE, "no route"))
    assert not story.wants(RequestPermit)
    story.wait(30.0)
    read(story, net(-50))

    assert len(flattening(story)) == 2
    assert story.wants(RequestPermit)
    dropped = story.feed(ExitHindered(BlockReason.KILL_SWITCH, "kill switch", 30.0)).facts
    assert [each.client_order_id for each in dropped if isinstance(each, OrderDropped)] == [
        flattening(story)[1].client_order_id
    ]


def test_a_hindrance_puts_the_readings_off() -> None:
    """With a dead token a reading is answered by the hindrance at once, and would be asked again
    at once for ever."""
    story = over_exited()
    read(story, net(-50), times=2)
    story.wait(1.0)
    assert story.wants(ReadPositions)
    story.feed(ExitHindered(BlockReason.TOKEN_DEAD, "the token is refused", 5.0))
    assert not story.wants(ReadPositions)
    story.wake()

    assert story.wants(ReadPositions)
    story.feed(net(-50))
    assert flattening(story) == ()  # what was read before the hindrance is old


def test_units_that_the_entry_bought_after_an_over_exit_are_exited() -> None:
    """With nothing closed too much any more, a reading sizes the exit and takes nothing back."""
    story = Story(held(entry_order_type=OrderType.LIMIT), FLATTEN)
    entry = story.tracker.entry_orders[0].client_order_id
    story.feed(PermitGranted(entry, PRICE))
    story.feed(SendAnswered(entry, 1, SendAccepted(BrokerOrderId("E1"))))
    bought = report(B.PART_TRADED, 50, broker_order_id="E1", side=Side.BUY)
    story.feed(OrderSeen(entry, bought))
    story.work("B1")
    story.see(B.TRADED, 60, order_quantity=60)
    story.feed(OrderSeen(entry, replace(bought, status=B.CANCELLED, cumulative_quantity=80)))
    story.feed(OverExitResolveAsked("seen to", "a person"))
    assert story.tracker.open_quantity == 20
    story.later(1.0)
    story.feed(net(20))

    assert story.order().order_quantity == 20


def test_a_position_that_had_ended_is_flattened_too() -> None:
    """A lost order that comes after EXITED is the likely case; the position stays EXITED."""
    story = Story(policy=FLATTEN).work()
    story.fill_and_confirm()
    story.see(B.TRADED, 100, broker_order_id="B0")
    read(story, net(-100))
    send(story, SendAccepted(BrokerOrderId("F1")))
    see(story, B.TRADED, 100)

    assert story.tracker.status is PositionStatus.EXITED
    assert story.alarm_codes()[-1] == "over_exit_flattened"
    assert story.tracker.signed_quantity == 0


@pytest.mark.parametrize(("bought_back", "realized"), [("171.50", "-850"), (None, "150")])
def test_what_taking_back_lost_is_part_of_the_realized_profit(
    bought_back: str | None, realized: str
) -> None:
    """100 held at 150.00 and 150 sold at 151.50: buying 50 back 20.00 higher cost 1000 more. The
    account's P&L is the same before a person's word ends the position, and after it."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendAccepted(BrokerOrderId("F1")))
    (order,) = flattening(story)
    seen = report(B.TRADED, 50, broker_order_id="F1", order_quantity=50, average_price=bought_back)
    story.feed(OrderSeen(order.client_order_id, seen))
    before = share_of(story.tracker)
    story.feed(OverExitResolveAsked("bought back", "me"))
    story.books(trade(150, "151.50"))

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.realized_pnl == Decimal(realized)
    if before.is_priced:
        assert share_of(story.tracker).realized == before.realized


def test_after_a_persons_word_nothing_is_taken_back() -> None:
    """Dealt with by hand, the position ends; what stands short on its key later is another's."""
    story = over_exited()
    read(story, net(0), times=6)
    story.feed(OverExitResolveAsked("bought back by hand", "me"))
    assert not story.wait(1.0).commands or not story.wants(ReadPositions)
    story.books(trade(150, "151.50"))
    read(story, net(-50), times=6)

    assert story.tracker.status is PositionStatus.EXITED
    assert not flattening(story)
    assert not story.wants(ReadPositions)
    story.restart()
    read(story, net(-50), times=6)
    assert not flattening(story)


def test_a_plan_ends_with_a_persons_word() -> None:
    """The order that waits for its turn is given up, for the person has closed it himself."""
    story = over_exited()
    read(story, net(-50))
    order_id = flattening(story)[0].client_order_id
    story.feed(OverExitResolveAsked("bought back by hand", "me"))
    story.feed(PermitGranted(order_id, PRICE))

    assert not sent(story)
    assert flattening(story)[0].state is OrderState.ABSENT


def test_an_order_that_rests_is_cancelled_by_a_persons_word() -> None:
    """Left to rest it could fill beside what the person bought, and open a position."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendAccepted(BrokerOrderId("F1")))
    see(story, B.PENDING)
    story.feed(OverExitResolveAsked("bought back by hand", "me"))

    assert story.wants(TransmitCancel)
    see(story, B.CANCELLED)
    story.books(trade(150, "151.50"))
    assert story.tracker.status is PositionStatus.EXITED


def test_what_is_not_taken_back_in_its_time_is_left_to_a_person() -> None:
    """A person is told that nothing follows, and may close it: then nothing does follow."""
    story = over_exited()
    for _ in range(70):
        read(story, net(0), times=1)
    assert story.alarm_codes() == ["over_exit", "over_exit_not_flattened"]
    assert "50" in story.alarms[-1].message
    read(story, net(-50), times=6)

    assert not flattening(story)
    assert not story.wants(ReadPositions)


def test_an_order_that_rests_beyond_its_time_is_told() -> None:
    """It is not moved toward the market: the person must know that it may not fill, and may."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendAccepted(BrokerOrderId("F1")))
    see(story, B.PART_TRADED, 20)
    for _ in range(12):  # the order book shows it
        story.later(5.0)
        see(story, B.PART_TRADED, 20)
        story.feed(Woke())

    assert story.alarm_codes()[2:] == ["over_exit_not_flattened"]
    assert "30 by order F1" in story.alarms[-1].message


def test_slices_that_did_not_leave_with_the_first_are_told() -> None:
    """Only one attempt is made: what of it was dropped stays over-closed."""
    instrument = replace(held().instrument, freeze_quantity=25)
    story = Story(replace(held(), instrument=instrument), FLATTEN)
    story.claim()
    story.permit(0)
    story.accept("B1", 0)
    story.see(B.TRADED, 150, number=0, order_quantity=150)
    read(story, net(-50))
    first, _ = flattening(story)
    story.feed(PermitGranted(first.client_order_id, PRICE))
    story.feed(SendAnswered(first.client_order_id, 1, SendAccepted(BrokerOrderId("F1"))))
    seen = report(B.TRADED, 25, broker_order_id="F1", order_quantity=25)
    story.feed(OrderSeen(first.client_order_id, seen))
    story.feed(ExitHindered(BlockReason.TOKEN_DEAD, "the token is refused", 5.0))
    read(story, net(-25), times=70)

    assert len(sent(story)) == 1
    assert story.alarm_codes()[-1] == "over_exit_not_flattened"
    assert "25" in story.alarms[-1].message


def test_a_restart_gives_a_frozen_over_exit_its_time_anew() -> None:
    """A person was told to leave it alone: it is taken back, or he is told that it is not."""
    story = over_exited()
    read(story, net(-50), times=2)
    story.restart()
    read(story, net(-50))
    assert len(flattening(story)) == 1
    story.restart()
    read(story, net(0), times=70)

    assert story.alarm_codes()[-1] == "over_exit_not_flattened"


def test_a_lost_order_that_comes_after_it_was_given_up_is_cancelled() -> None:
    """Proved absent and told as such, it would fill beside what the person bought."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendLost("no answer"))
    for _ in range(12):
        story.wait(2.0)
        if story.wants(LookUpOrder):
            order_id = flattening(story)[0].client_order_id
            story.feed(SettleRead(order_id, complete=True, lacking=True, steady_net_quantity=-50))
    assert flattening(story)[0].state is OrderState.ABSENT
    see(story, B.PENDING)

    assert story.wants(TransmitCancel)


@pytest.mark.parametrize(("minutes", "is_told"), [(1, True), (60, False)])
def test_a_restart_takes_nothing_back_of_a_position_that_had_ended(
    minutes: int, is_told: bool
) -> None:
    """Whether a person has dealt with it is not known any more; while it is news he is told."""
    story = Story(policy=FLATTEN).work()
    story.fill_and_confirm()
    story.see(B.TRADED, 100, broker_order_id="B0")
    story.later(60.0 * minutes)
    story.restart()
    read(story, net(-100), times=6)

    assert not flattening(story)
    assert ("over_exit_not_flattened" in story.alarm_codes()) is is_told


def test_a_second_over_exit_names_what_is_being_taken_back() -> None:
    """75 are closed too much by then: who closes them all by hand opens a position of 50."""
    story = over_exited()
    read(story, net(-50))
    send(story, SendAccepted(BrokerOrderId("F1")))
    see(story, B.PART_TRADED, 20)
    story.see(B.TRADED, 25, broker_order_id="B0", order_quantity=25)

    message = story.alarms[-1].message
    assert "75 units more" in message
    assert "took back 20 and may take back 30 more" in message


@pytest.mark.parametrize(
    ("bought_back", "taken", "realized"),
    [("171.50", 100, "-1850"), (None, 100, "150"), ("171.50", 40, "150")],
)
def test_what_was_taken_back_after_the_end_counts(
    bought_back: str | None, taken: int, realized: str
) -> None:
    """100 sold once more at 151.50 after EXITED cost 2000 when bought back at 171.50. What a person
    has to buy himself is in no P&L, nor is what has no price."""
    story = Story(policy=FLATTEN).work()
    story.fill_and_confirm()
    story.see(B.TRADED, 100, broker_order_id="B0")
    read(story, net(-100))
    send(story, SendAccepted(BrokerOrderId("F1")))
    (order,) = flattening(story)
    seen = report(
        B.TRADED if taken == 100 else B.CANCELLED,
        taken,
        broker_order_id="F1",
        order_quantity=100,
        average_price=bought_back,
    )
    story.feed(OrderSeen(order.client_order_id, seen))

    assert story.tracker.status is PositionStatus.EXITED
    share = share_of(story.tracker)
    assert (share.quantity, rupees_of(share.realized)) == (0, Decimal(realized))


@pytest.mark.parametrize("readings", [1, 3])
def test_nothing_is_taken_back_of_a_position_that_was_let_go(readings: int) -> None:
    """Neither what waits for its turn nor what the readings were still to agree on."""
    story = over_exited()
    read(story, net(-50), times=readings)
    planned = [order.client_order_id for order in flattening(story)]
    story.feed(UntrackAsked("mine now", "me"))
    for order_id in planned:
        story.feed(PermitGranted(order_id, PRICE))
    read(story, net(-50), times=6)

    assert not sent(story)
    assert all(order.state is OrderState.ABSENT for order in flattening(story))
    assert len(flattening(story)) == len(planned)
