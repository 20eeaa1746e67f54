"""Sums per instrument are what a walk over positions gives; a missing price makes it unknown."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.story import Story
from exit_story.values import INSTRUMENT, held
from squareoff.core.account.account_pnl import AccountPnl, Share, money_units, rupees_of, share_of
from squareoff.core.account.account_watch import AccountWatch
from squareoff.core.state.tracker import BrokerOrder, PositionTracker
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.states import PositionStatus

ONE = INSTRUMENT.instrument_id
OTHER = InstrumentId(ExchangeSegment.MCX_COMM, "7")


def put(pnl: AccountPnl, tracker: PositionTracker, name: str = "trk-1") -> None:
    """Take a position in."""
    pnl.put(TrackerId(name), tracker.instrument.instrument_id, share_of(tracker))


def price(rupees: str) -> PriceUnits:
    """Return a price in price units."""
    return PriceUnits(int(D(rupees) * 10_000))


@pytest.mark.parametrize(
    ("tracker", "at", "expected"),
    [
        (held(), "152.05", "205"),
        (held(side=PositionSide.SHORT), "152.05", "-205"),
        (held(entry_price=D("150.12345678")), "150", "-12.35"),
        (
            replace(
                held(), externally_closed_quantity=40, externally_closed_notional=D(40) * D(160)
            ),
            "149",
            "340",
        ),
    ],
)
def test_a_position_adds_what_is_realised_and_open(
    tracker: PositionTracker, at: str, expected: str
) -> None:
    """Long and short, whole and in part."""
    pnl = AccountPnl()
    put(pnl, tracker)
    pnl.price(ONE, price(at))

    assert pnl.is_known
    assert rupees_of(pnl.total) == D(expected)


def test_a_closed_position_adds_what_its_owner_is_told() -> None:
    """The realised P&L to the paisa, and nothing open."""
    story = Story().work()
    story.fill_and_confirm()
    pnl = AccountPnl()
    put(pnl, story.tracker)

    assert (rupees_of(pnl.total), pnl.is_known, [*pnl.instruments()]) == (D("150.00"), True, [])


def test_a_position_that_was_let_go_adds_nothing_open() -> None:
    """What is held is its owner's again."""
    pnl = AccountPnl()
    put(pnl, replace(held(), status=PositionStatus.UNTRACKED))

    assert (pnl.total, [*pnl.instruments()]) == (0, [])


def test_more_closed_than_held_counts_as_the_position_it_is() -> None:
    """Twenty units too many were sold at 160: a short of twenty."""
    over = replace(
        held(), externally_closed_quantity=120, externally_closed_notional=D(120) * D(160)
    )
    pnl = AccountPnl()
    put(pnl, over)
    pnl.price(ONE, price("161"))

    assert rupees_of(pnl.total) == D("980.00")


def test_longs_and_shorts_of_one_instrument_need_no_price() -> None:
    """What cancels out is known; once it does not any more, a price is needed."""
    pnl = AccountPnl()
    put(pnl, held())
    put(pnl, held(side=PositionSide.SHORT, entry_price=D(155)), "trk-2")
    assert (pnl.is_known, rupees_of(pnl.total)) == (True, D("500.00"))

    pnl.drop(TrackerId("trk-2"))

    assert not pnl.is_known
    assert list(pnl.unseen()) == [ONE]


def test_a_price_that_may_not_be_heard_any_more_is_none() -> None:
    """An instrument that was not held meanwhile needs a new price."""
    pnl = AccountPnl()
    put(pnl, held())
    pnl.price(ONE, price("151"))
    pnl.drop(TrackerId("trk-1"))
    put(pnl, held())

    assert not pnl.is_known


def test_a_fill_without_its_price_leaves_the_pnl_unknown() -> None:
    """It stands at the entry price meanwhile."""
    pnl = AccountPnl()
    pnl.put(TrackerId("trk-1"), ONE, Share(0, 0, 0, is_priced=False))
    assert not pnl.is_known
    pnl.put(TrackerId("trk-1"), ONE, Share(0, 0, money_units(D(5))))

    assert (pnl.is_known, rupees_of(pnl.total)) == (True, D("5.00"))


@pytest.mark.parametrize(
    ("status", "is_known"), [(PositionStatus.EXITING, False), (PositionStatus.UNTRACKED, True)]
)
def test_a_fill_whose_price_nobody_asks_for_any_more_keeps_nothing_unknown(
    status: PositionStatus, is_known: bool
) -> None:
    """It is waited for as long as the position can still change."""
    story = Story().work()
    (order,) = story.tracker.orders
    record = BrokerOrder(BrokerOrderId("B1"), BrokerOrderStatus.TRADED, 100, None)
    filled = replace(order, broker_orders=(record,))
    pnl = AccountPnl()
    put(pnl, replace(story.tracker, status=status, orders=(filled,)))

    assert (pnl.is_known, pnl.total) == (is_known, 0)


def test_prices_of_markets_that_are_closed_stay() -> None:
    """Only those that are over are unseen; a new day remembers none."""
    pnl = AccountPnl()
    put(pnl, held())
    other = replace(held(), instrument=replace(INSTRUMENT, instrument_id=OTHER))
    put(pnl, other, "trk-2")
    pnl.price(ONE, price("151"))
    pnl.price(OTHER, price("152"))
    pnl.forget_prices(lambda name: name == OTHER)

    assert list(pnl.unseen()) == [OTHER]
    assert rupees_of(pnl.total) == D("100.00")
    assert rupees_of(pnl.at_its_best()) == D("300.00")
    pnl.forget_day()
    assert sorted(map(str, pnl.unseen())) == sorted(map(str, [ONE, OTHER]))
    assert pnl.at_its_best() == 0


def test_a_price_of_what_was_never_held_changes_nothing() -> None:
    """It is not even remembered."""
    pnl = AccountPnl()

    assert not pnl.price(ONE, price("151"))
    assert (pnl.total, pnl.is_known) == (0, True)


@pytest.mark.parametrize("side", PositionSide)
@pytest.mark.parametrize("exited", [0, 40])
def test_an_entry_that_filled_at_a_price_not_told_adds_nothing(
    side: PositionSide, exited: int
) -> None:
    """An entry at the market has no price until its fills tell one: counted from zero it would be a
    loss of a short's whole worth, and fire the maximum loss."""
    waiting = held(side=side, entry_order_type=OrderType.MARKET, entry_price=D(0))
    (order,) = waiting.orders
    record = BrokerOrder(BrokerOrderId("B1"), BrokerOrderStatus.TRADED, 100, None)
    filled = replace(
        waiting,
        status=PositionStatus.ACTIVE,
        quantity=100,
        orders=(replace(order, broker_orders=(record,)),),
        externally_closed_quantity=exited,
        externally_closed_notional=D(exited * 150),
    )
    watch = AccountWatch(AccountRules(max_loss=D(5000)))
    watch.is_judging = True
    put(watch.pnl, filled)
    watch.pnl.put(TrackerId("trk-2"), OTHER, Share(1, 0, 0))
    for name in (ONE, OTHER):
        watch.pnl.price(name, price("150"))

    assert not watch.pnl.is_known
    assert rupees_of(watch.pnl.total) == 150  # of the other one
    assert watch.judge_the_rest() == ()
