"""Tests of closing: exact averages, disagreement waits, foreign closes, frozen over-exits."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.story import Story
from exit_story.values import OPENED_AT_NS, held, net, report, trade
from squareoff.core.state.commands import ReadBooks, ReadPositions, TransmitCancel
from squareoff.core.state.facts import OrderCancelSent, Severity
from squareoff.core.state.inputs import BooksRead, OrderSeen, Woke
from squareoff.core.state.policy import BOOKS_DISAGREED_BEFORE_ALARM, ExitPolicy
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, PositionSide, Side, TradeReport
from squareoff.domain.states import IntentStatus, PositionStatus

B = BrokerOrderStatus
D = Decimal


def filled() -> Story:
    """Return a story whose one order is filled by the stream and not yet confirmed."""
    story = Story().work()
    story.see(B.TRADED, 100)
    return story


def flat() -> Story:
    """Return a story whose position the broker shows as flat, often enough to ask for trades."""
    story = Story().claim(net(0))
    for _ in range(2):
        story.wake()
        story.feed(net(0))
    assert story.wants(ReadBooks)
    return story


def intent_status(story: Story) -> IntentStatus:
    """Return where the intent stands."""
    assert story.tracker.intent is not None
    return story.tracker.intent.status


def test_the_stream_alone_does_not_exit() -> None:
    """Filled by the stream: the trade book is read before anything is EXITED (invariant 4)."""
    story = filled()

    assert story.tracker.status is PositionStatus.EXITING
    assert story.wants(ReadBooks)
    assert not story.wants(ReadPositions)


@given(
    fills=st.lists(
        st.tuples(st.integers(1, 50), st.decimals("100", "200", places=2)), min_size=1, max_size=8
    ),
    side=st.sampled_from(PositionSide),
)
def test_the_exit_price_is_the_exact_average(
    fills: list[tuple[int, Decimal]], side: PositionSide
) -> None:
    """Exit price is the quantity-weighted average of the trades, and P&L follows to the paisa."""
    quantity = sum(size for size, _ in fills) * 25
    story = Story(held(quantity=quantity, side=side)).claim(net(side.sign * quantity))
    story.permit_all()
    trades = []
    for order in story.orders:
        name = f"B{order.slice_number}"
        story.accept(name, order.slice_number - 1)
        story.see(
            B.TRADED,
            order.order_quantity,
            number=order.slice_number - 1,
            broker_order_id=name,
            average_price="1.00",
        )
    pieces = [(size * 25, price) for size, price in fills]
    for order in story.orders:
        missing = order.order_quantity
        while missing:
            size, price = pieces.pop()
            take = min(size, missing)
            if size > take:
                pieces.append((size - take, price))
            missing -= take
            name = f"B{order.slice_number}"
            trades.append(trade(take, str(price), broker_order_id=name, exec_id=str(len(trades))))
    story.books(*trades)

    notional = sum((size * 25 * price for size, price in fills), D(0))
    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_price is not None
    assert abs(story.tracker.exit_price - notional / quantity) <= D("0.00000001")
    gain = (notional - quantity * D(150)) * side.sign
    assert story.tracker.realized_pnl == gain.quantize(D("0.01"))


@pytest.mark.parametrize(
    "trades",
    [
        [],
        [trade(99)],
        [trade(100, broker_order_id="B2")],
        [trade(40, exec_id="1"), trade(40, exec_id="1"), trade(20, exec_id="2")],
    ],
    ids=["none", "too few", "of another order", "a repeated row"],
)
def test_a_book_that_lags_waits(trades: list[TradeReport]) -> None:
    """Trades that do not add up to the fills confirm nothing; asking goes on, paced."""
    story = filled()
    story.books(*trades)
    assert story.tracker.status is PositionStatus.EXITING
    assert not story.wants(ReadBooks)

    story.wake()
    assert story.wants(ReadBooks)
    story.books(trade(100))
    assert story.tracker.status is PositionStatus.EXITED


def test_a_row_told_twice_counts_once() -> None:
    """Repeated rows of the trade book neither change the average nor invent an over-exit."""
    story = filled()
    story.books(
        trade(60, "151.00", exec_id="1"),
        trade(60, "151.00", exec_id="1"),
        trade(40, "152.00", exec_id="2"),
    )

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_price == D("151.40")


@pytest.mark.parametrize("trades", [None, ()], ids=["unreadable", "lagging"])
def test_a_book_that_stays_away_calls_a_person_once(trades: tuple[TradeReport, ...] | None) -> None:
    """Fills that cannot be confirmed for long raise one warning and go on being asked about."""
    story = filled()
    for _ in range(BOOKS_DISAGREED_BEFORE_ALARM + 10):
        assert story.wants(ReadBooks)
        story.feed(BooksRead(trades, frozenset()))
        assert not story.wants(ReadBooks)
        story.wake()

    assert story.alarm_codes() == ["fills_unconfirmed"]


def test_trades_ahead_of_the_record_count() -> None:
    """The book may know more than the stream: what it holds is booked, an excess is found."""
    story = Story().work()
    story.see(B.CANCELLED, 60)
    story.wake()
    story.feed(net(40))
    story.permit()
    story.accept("B2")
    story.see(B.TRADED, 40, broker_order_id="B2")
    story.books(trade(75), trade(40, broker_order_id="B2"), own=("B1", "B2"))

    assert story.tracker.exited_quantity == 115
    assert story.tracker.over_exited_quantity == 15
    assert story.tracker.status is PositionStatus.EXITING


def test_trades_of_an_order_thought_empty_count() -> None:
    """Fills of an own order whose record never told them are found in the book."""
    story = Story().work()
    story.see(B.CANCELLED, 0)
    story.wake()
    story.feed(net(100))
    story.permit()
    story.accept("B2")
    story.see(B.TRADED, 100, broker_order_id="B2")
    story.books(trade(30), trade(100, broker_order_id="B2"), own=("B1", "B2"))

    assert story.tracker.over_exited_quantity == 30
    assert "over_exit" in story.alarm_codes()


def test_foreign_trades_must_account_for_all_that_is_open() -> None:
    """Too few foreign units leave the position open."""
    story = flat()
    story.books(trade(75, broker_order_id="APP1"), own=())

    assert story.tracker.status is PositionStatus.EXITING
    assert story.tracker.open_quantity == 100


NOT_FOREIGN: dict[str, TradeReport] = {
    "our own order": trade(100, broker_order_id="MINE"),
    "the other side": trade(100, broker_order_id="APP1", side=Side.BUY),
    "another product": trade(100, broker_order_id="APP1", product_type=ProductType.MARGIN),
    "before the position": trade(
        100, broker_order_id="APP1", exchange_time_ns=OPENED_AT_NS - 4_000_000_000
    ),
}


@pytest.mark.parametrize("found", NOT_FOREIGN.values(), ids=NOT_FOREIGN.keys())
def test_trades_that_explain_nothing(found: TradeReport) -> None:
    """Only others' closing trades on this position after it was opened explain a flat reading."""
    story = flat()
    story.books(found, own=("MINE",))

    assert story.tracker.status is PositionStatus.EXITING


def test_a_trade_in_the_second_of_opening_counts() -> None:
    """The broker's times have a grain of a second."""
    story = flat()
    second = OPENED_AT_NS - OPENED_AT_NS % 1_000_000_000
    story.books(trade(100, broker_order_id="APP1", exchange_time_ns=second), own=())

    assert story.tracker.status is PositionStatus.EXITED


def test_foreign_trades_without_flat_readings_explain_nothing() -> None:
    """A trade of somebody else is no proof while the broker still shows the position."""
    story = Story().claim(net(0))
    story.books(trade(100, broker_order_id="APP1"), own=())

    assert story.tracker.open_quantity == 100


@pytest.mark.parametrize("is_lost", [False, True], ids=["under way", "outcome unknown"])
def test_what_an_unanswered_order_of_ours_may_have_traded_explains_nothing(is_lost: bool) -> None:
    """Another position's exit filled before its answer came: its id is not known as ours yet."""
    story, other = flat(), Story().claim(net(100))
    other.permit()
    if is_lost:
        other.lose()
    found = trade(100, broker_order_id="THEIRS OR OURS")
    story.feed(BooksRead((found,), frozenset(), (other.tracker,)))
    assert story.tracker.open_quantity == 100

    other = Story().work()  # answered: what nobody of ours owns is a stranger's
    story.feed(BooksRead((found,), frozenset({BrokerOrderId("B1")}), (other.tracker,)))
    assert story.tracker.open_quantity == 0


def test_part_ours_and_part_theirs_averages_both() -> None:
    """What we closed and what others closed make one exit price; the reason stays ours."""
    story = Story().claim(net(60))
    story.permit()
    story.accept()
    story.see(B.TRADED, 60)
    for _ in range(3):
        if not story.wants(ReadPositions):
            story.wake()
        story.feed(net(0))
    story.books(trade(60, "151.00"), trade(40, "156.00", broker_order_id="APP1"))

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_price == D("153.00")
    assert story.tracker.externally_closed_quantity == 40
    assert story.tracker.exit_reason == "stop_loss fired"


def test_an_over_exit_freezes_and_calls_a_person_at_once() -> None:
    """More closed than held: critical in the same decision, frozen, nothing bought back."""
    story = Story().work()
    story.see(B.TRADED, 130, order_quantity=130)

    assert intent_status(story) is IntentStatus.NEEDS_HUMAN
    (alarm,) = story.alarms
    assert (alarm.code, alarm.severity) == ("over_exit", Severity.CRITICAL)
    assert story.tracker.over_exited_quantity == 30
    sent = len(story.sent)
    for _ in range(5):
        story.wait(60.0)
        story.books(trade(130))
    assert len(story.sent) == sent
    assert story.tracker.status is PositionStatus.EXITING
    assert story.alarm_codes() == ["over_exit"]
    assert "nothing is bought back by itself" in alarm.message


@pytest.mark.parametrize("is_in_hand", [True, False], ids=["exit under way", "after the end"])
def test_the_alarm_of_an_over_exit_says_who_closes_it(is_in_hand: bool) -> None:
    """Where the engine takes the excess back, no person is invited to close it too."""
    story = Story(policy=ExitPolicy(flatten_over_exit=True)).work()
    if not is_in_hand:
        story.fill_and_confirm()
    story.see(B.TRADED, 130, broker_order_id="B0", order_quantity=130)

    (message,) = [alarm.message for alarm in story.alarms if alarm.code == "over_exit"]
    assert "taken back once, when 3 readings agree; do not close it by hand" in message
    assert "nothing is bought back" not in message


def test_an_over_exit_after_the_end_is_still_found() -> None:
    """A lost order that fills after EXITED raises the alarm; the position stays EXITED."""
    story = Story().work()
    story.fill_and_confirm()
    assert story.tracker.status is PositionStatus.EXITED
    story.see(B.TRADED, 100, broker_order_id="B0")

    assert story.alarm_codes() == ["over_exit"]
    assert story.tracker.over_exited_quantity == 100
    assert story.tracker.status is PositionStatus.EXITED


def test_a_growing_over_exit_alarms_again() -> None:
    """Each further excess unit is news; a repeated report is not."""
    story = Story().work()
    for cumulative in (110, 110, 130):
        story.see(B.PART_TRADED, cumulative, order_quantity=200)

    codes = [c for c in story.alarm_codes() if c == "over_exit"]
    assert story.tracker.over_exited_quantity == 30
    assert len(codes) == 2


def test_an_over_exit_is_told_to_the_person_already_in_charge() -> None:
    """An exit in a person's hands for another reason still raises over_exit when it happens."""
    story = Story(policy=ExitPolicy(attempts_max=1)).work()
    story.see(B.REJECTED, reason="RMS")
    assert story.alarm_codes() == ["exit_attempts_exhausted"]
    story.see(B.TRADED, 130, broker_order_id="B0", order_quantity=130)

    assert story.alarm_codes() == ["exit_attempts_exhausted", "over_exit"]


def test_a_live_order_after_the_end_is_cancelled() -> None:
    """An order of ours that turns up alive after EXITED must not live on."""
    story = Story().work()
    story.fill_and_confirm()
    story.see(B.PENDING, broker_order_id="B0")
    (cancel,) = [c for c in story.commands if isinstance(c, TransmitCancel)]

    assert cancel.broker_order_id == "B0"


def test_both_live_orders_under_one_id_are_cancelled() -> None:
    """Two orders at the broker under one id are both ended at once, not only the first."""
    story = Story().work()
    story.see(B.PENDING, broker_order_id="B0")

    assert {c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)} == {
        "B0",
        "B1",
    }


def test_cancels_are_repeated_at_growing_pauses() -> None:
    """A cancel that leads to nothing is asked again, ever more slowly: an hour costs few calls."""
    story = Story().work()
    story.fill_and_confirm()
    story.see(B.PENDING, broker_order_id="B0")
    start = story.monotonic_ns
    while story.monotonic_ns - start < 3_600_000_000_000:
        story.wake()
    cancels = [fact for fact in story.facts if isinstance(fact, OrderCancelSent)]

    assert 10 < len(cancels) < 150
    assert story.alarm_codes() == ["order_not_cancelled"], "nothing else ends that order"


def test_nothing_is_confirmed_while_an_order_lives() -> None:
    """A live order of ours must end before the close is confirmed."""
    story = Story().work()
    story.see(B.PENDING, broker_order_id="B0")
    story.see(B.TRADED, 100)
    assert not story.wants(ReadBooks)
    story.books(trade(100))
    assert story.tracker.status is PositionStatus.EXITING

    story.see(B.CANCELLED, broker_order_id="B0")
    assert story.wants(ReadBooks)
    story.books(trade(100))
    assert story.tracker.status is PositionStatus.EXITED


def test_an_entry_still_working_is_cancelled_by_the_exit() -> None:
    """An exit of a part-filled entry ends the entry first and closes what it filled."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    part = report(B.PART_TRADED, 50, broker_order_id="E1", side=Side.BUY, average_price="150")
    story.feed(OrderSeen(entry, part))
    story.claim(net(50))
    assert [f.broker_order_id for f in story.facts if isinstance(f, OrderCancelSent)] == ["E1"]
    story.permit()
    story.accept()
    story.see(B.TRADED, 50)
    story.feed(Woke())
    assert not story.wants(ReadBooks)

    done = report(B.CANCELLED, 75, broker_order_id="E1", side=Side.BUY, average_price="150")
    story.feed(OrderSeen(entry, done))
    assert story.tracker.open_quantity == 25
    assert story.wants(ReadPositions)


def test_an_entry_that_fills_after_the_exit_calls_a_person() -> None:
    """A fill of the entry after EXITED is counted and alarmed; it is no defect that halts."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    done = report(B.CANCELLED, 50, broker_order_id="E1", side=Side.BUY, average_price="150")
    story.feed(OrderSeen(entry, done))
    story.claim(net(50))
    story.permit()
    story.accept()
    story.fill_and_confirm()
    assert story.tracker.status is PositionStatus.EXITED
    late = report(B.CANCELLED, 75, broker_order_id="E1", side=Side.BUY, average_price="150")
    for _ in range(2):
        story.feed(OrderSeen(entry, late))

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.open_quantity == 25
    assert story.alarm_codes() == ["entry_filled_after_exit"]
