"""Tests of foreign_closes: what others closed is booked where their trades explain it."""

import random
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, permutations

import pytest

from exit_story.story import Story
from exit_story.values import held, net, report, trade
from squareoff.core.exits.foreign_closes import missing_quantity, share_out
from squareoff.core.state.commands import ReadBooks, TransmitCancel
from squareoff.core.state.facts import ClosedExternally
from squareoff.core.state.inputs import ClosedByOthers, OrderSeen
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, PositionSide, Side, TradeReport
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import ns_from_iso

OWN = frozenset({BrokerOrderId("B1")})


def tracker(name: str, quantity: int = 100, *, opened: int = 0) -> PositionTracker:
    """Return a held tracker, opened so many seconds after the first."""
    start = held(quantity=quantity)
    at_ns = start.created_at_ns + opened * 10**9
    return replace(start, tracker_id=TrackerId(name), created_at_ns=at_ns)


def by_hand(quantity: int, price: str = "149", number: int = 1) -> TradeReport:
    """Return a stranger's trade."""
    row = trade(quantity, price, broker_order_id=f"APP{number}")
    return replace(row, exec_id=f"X{number}")


FIRST, SECOND = tracker("trk-1"), tracker("trk-2", 50, opened=60)


@pytest.mark.parametrize(
    ("net", "closed", "expected"),
    [
        (150, 0, {}),
        (100, 50, {"trk-1": 50}),
        (50, 100, {"trk-1": 100}),
        (20, 130, {"trk-1": 100, "trk-2": 30}),
        (0, 150, {"trk-1": 100, "trk-2": 50}),
        (-25, 175, {"trk-1": 100, "trk-2": 50}),
        (20, 129, {}),
        (200, 100, {}),
    ],
)
def test_the_first_opened_loses_first(net: int, closed: int, expected: dict[str, int]) -> None:
    """What is missing goes off the trackers in the order of their opening, or not at all."""
    trades = [by_hand(closed)] if closed else []

    shares = share_out([SECOND, FIRST], net, trades, OWN)

    assert {share.tracker_id: share.quantity for share in shares} == expected


def test_each_share_has_the_price_of_its_own_trades() -> None:
    """Earlier trades go to the first tracker, later ones to the next; each counts once."""
    trades = [by_hand(100, "149", 1), by_hand(50, "140", 2), by_hand(50, "140", 2)]

    shares = share_out([FIRST, SECOND], 0, trades, OWN)

    assert [share.price for share in shares] == [Decimal(149), Decimal(140)]


def test_a_share_of_several_trades_has_their_weighted_price() -> None:
    """Each trade counts by its quantity, and one that two trackers share counts in parts."""
    trades = [by_hand(75, "149", 1), by_hand(50, "145", 2), by_hand(25, "140", 3)]

    first, second = share_out([FIRST, SECOND], 0, trades, OWN)

    assert first.price == Decimal(148)  # 75 at 149 and 25 at 145
    assert second.price == Decimal("142.5")  # 25 at 145 and 25 at 140


def test_trades_that_were_booked_before_are_used_up() -> None:
    """A second reduction needs trades of its own."""
    before = replace(FIRST, externally_closed_quantity=40)
    first, second = by_hand(40, "149", 1), by_hand(60, "140", 2)

    assert share_out([before], 0, [first], OWN) == ()
    (share,) = share_out([before], 0, [first, second], OWN)
    assert (share.quantity, share.price) == (60, Decimal(140))


@pytest.mark.parametrize(
    "change",
    [
        {"broker_order_id": BrokerOrderId("B1")},
        {"side": Side.BUY},
        {"exchange_time_ns": 1},
    ],
)
def test_other_trades_explain_nothing(change: dict[str, object]) -> None:
    """Our own trades, the other side, and trades from before the opening are no closes."""
    row = replace(by_hand(100), **change)  # type: ignore[arg-type]

    assert share_out([FIRST], 0, [row], OWN) == ()


def test_a_close_right_after_the_opening_counts_though_our_clock_is_ahead() -> None:
    """The opening has our clock's time, the trade the broker's, which may be two seconds less."""
    opened_ns = FIRST.created_at_ns
    row = replace(by_hand(100), exchange_time_ns=opened_ns - 2 * 10**9)
    earlier = replace(row, exchange_time_ns=opened_ns - 4 * 10**9)

    (share,) = share_out([FIRST], 0, [row], OWN)
    assert share.quantity == FIRST.open_quantity
    assert share_out([FIRST], 0, [earlier], OWN) == ()


def test_an_entry_was_opened_when_the_broker_says_that_it_filled() -> None:
    """However far our clock is ahead: its own trades tell, on the broker's clock."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    (entry,) = story.tracker.entry_orders
    filled = report(BrokerOrderStatus.TRADED, 100, broker_order_id="E1", side=Side.BUY)
    story.feed(OrderSeen(entry.client_order_id, filled))
    own, filled_ns = OWN | {BrokerOrderId("E1")}, story.tracker.created_at_ns - 60 * 10**9
    bought = trade(100, broker_order_id="E1", side=Side.BUY, exchange_time_ns=filled_ns)
    row = replace(by_hand(100), exchange_time_ns=filled_ns)
    earlier = replace(row, exchange_time_ns=filled_ns - 10**9)

    (share,) = share_out([story.tracker], 0, [bought, row], own)
    assert share.quantity == 100
    assert share_out([story.tracker], 0, [bought, earlier], own) == ()
    assert share_out([story.tracker], 0, [row], own) == ()  # nothing tells of the entry


def test_trackers_on_both_sides_are_left_alone() -> None:
    """With a long and a short on one key the net does not say whose units are gone."""
    short = replace(FIRST, tracker_id=TrackerId("trk-3"), side=PositionSide.SHORT)

    assert missing_quantity([FIRST, short], 30) == 0


def test_a_position_closed_by_others_ends_at_their_price() -> None:
    """All gone while ACTIVE: told, confirmed by the books, EXITED as closed externally."""
    story = Story()
    story.feed(ClosedByOthers(100, Decimal(149), None))

    assert story.alarm_codes() == ["closed_externally"]
    assert story.wants(ReadBooks)
    story.books(by_hand(100))
    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_reason == "closed_externally"
    assert story.tracker.exit_price == Decimal(149)
    assert story.tracker.realized_pnl == Decimal("-100.00")


def test_a_part_closed_by_others_leaves_the_rest_under_watch() -> None:
    """The position stays ACTIVE with what is left, and its exit closes only that."""
    story = Story()
    story.feed(ClosedByOthers(40, Decimal(149), None))
    assert story.tracker.status is PositionStatus.ACTIVE
    story.claim()

    assert story.order().order_quantity == 60


def test_nothing_is_booked_over_an_exit_of_unknown_end() -> None:
    """A fill of it may be what the broker's positions show, so a report about them is dropped."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.feed(ClosedByOthers(100, Decimal(149), None))

    assert not any(isinstance(fact, ClosedExternally) for fact in story.facts)


def test_an_exit_that_rests_is_cancelled_once_its_units_are_gone() -> None:
    """Its fill would open a position on the other side."""
    story = Story()
    order_id = story.work().order().client_order_id
    story.feed(ClosedByOthers(100, Decimal(149), None))

    assert story.tracker.open_quantity == 0
    (cancel,) = (each for each in story.commands if isinstance(each, TransmitCancel))
    assert cancel.client_order_id == order_id


def test_a_booking_of_another_tracker_uses_up_the_trades_of_its_own_time_first() -> None:
    """The first lost 40 before the second was opened: later trades are the second's alone."""
    before = replace(FIRST, externally_closed_quantity=40, exited_at_ns=SECOND.created_at_ns + 1)
    first = replace(before, status=PositionStatus.EXITED)
    early = replace(by_hand(40, "149", 1), exchange_time_ns=FIRST.created_at_ns + 10**9)
    late = replace(by_hand(50, "140", 2), exchange_time_ns=SECOND.created_at_ns + 10**9)

    (share,) = share_out([first, SECOND], 0, [late, early], OWN)
    assert (share.tracker_id, share.quantity, share.price) == ("trk-2", 50, Decimal(140))
    assert share_out([first, SECOND], 0, [early], OWN) == ()


def test_units_found_gone_by_an_exit_have_the_price_of_their_own_trades() -> None:
    """What was booked before keeps its price; the rest is priced by the trades after it."""
    story = Story(
        replace(held(), externally_closed_quantity=25, externally_closed_notional=Decimal(2500))
    )
    story.claim(net(0))
    while not story.wants(ReadBooks):
        story.wake()
        story.feed(net(0))
    story.books(by_hand(25, "100", 1), by_hand(75, "200", 2))

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_price == Decimal(175)


def test_the_brokers_own_square_off_is_named() -> None:
    """An INTRADAY position closed about 15:20 was most likely closed by the broker."""
    story = Story()
    at_ns = ns_from_iso("2026-09-22T15:20:04+05:30")
    story.feed(ClosedByOthers(100, Decimal(149), at_ns))

    assert "the broker's own square-off" in story.alarms[0].message


def test_what_an_exit_at_rest_would_close_is_lost_last() -> None:
    """The first's exit may fill any moment; the second's units are taken for gone before those."""
    first = Story(FIRST).work().tracker

    (share,) = share_out([first, SECOND], 100, [by_hand(50)], OWN)
    assert (share.tracker_id, share.quantity) == ("trk-2", 50)
    shares = share_out([first, SECOND], 40, [by_hand(110)], OWN)
    assert [(each.tracker_id, each.quantity) for each in shares] == [("trk-1", 60), ("trk-2", 50)]


def test_a_trade_closed_nothing_of_what_was_opened_after_it() -> None:
    """The first's exit rests, and still it was the first's units that went: of the second, none
    was held yet."""
    first = Story(FIRST).work().tracker
    early = replace(by_hand(60), exchange_time_ns=SECOND.created_at_ns - 30 * 10**9)
    late = replace(by_hand(10, "140", 2), exchange_time_ns=SECOND.created_at_ns + 30 * 10**9)

    (share,) = share_out([first, SECOND], 90, [early], OWN)
    assert (share.tracker_id, share.quantity) == ("trk-1", 60)
    shares = share_out([first, SECOND], 80, [early, late], OWN)
    assert [(each.tracker_id, each.quantity, each.price) for each in shares] == [
        ("trk-1", 60, Decimal(149)),
        ("trk-2", 10, Decimal(140)),
    ]


@pytest.mark.parametrize("seed", range(40))
def test_all_is_explained_that_some_matching_explains(seed: int) -> None:
    """Against every way of giving single trades to single units, each held when it was made."""
    chance = random.Random(seed)
    minutes = [chance.randrange(10) for _ in range(4)]
    trackers = [tracker(f"trk-{n}", 1, opened=60 * at) for n, at in enumerate(sorted(minutes))]
    start_ns = FIRST.created_at_ns + 30 * 10**9
    made = {Decimal(n): start_ns + chance.randrange(10) * 60 * 10**9 for n in range(100, 104)}
    trades = [
        replace(by_hand(1, str(price), int(price)), exchange_time_ns=at_ns)
        for price, at_ns in made.items()
    ]
    missing = chance.randrange(1, 5)
    is_explained = any(
        all(t.created_at_ns <= made[price] for t, price in zip(losers, prices, strict=True))
        for losers in combinations(trackers, missing)
        for prices in permutations(made, missing)
    )

    shares = share_out(trackers, 4 - missing, trades, OWN)

    assert len(shares) == (missing if is_explained else 0)
    assert len({share.price for share in shares}) == len(shares)
    opened = {tracker.tracker_id: tracker.created_at_ns for tracker in trackers}
    assert all(opened[share.tracker_id] <= made[share.price] for share in shares)
