"""What is left of delivered shares, under every way in which a broker may book their sale."""

from decimal import Decimal
from itertools import product

import pytest

from exit_story.values import ACCOUNT
from squareoff.core.exits.delivery import (
    DayTrades,
    Delivered,
    day_trades,
    delivered_before_sales,
    shown_quantity,
)
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import BrokerPosition, Holding

SHARE = InstrumentId(ExchangeSegment.NSE_EQ, "2885")
CNC = PositionKey(ACCOUNT, SHARE, ProductType.CNC)
MTF = PositionKey(ACCOUNT, SHARE, ProductType.MTF)
NSE, BSE = ExchangeSegment.NSE_EQ, ExchangeSegment.BSE_EQ


def held(delivered: Delivered, day: DayTrades) -> int:
    """Return what a reading says is held."""
    return delivered.quantity + day.net


DAYS = [
    (before, bought, sold)
    for before, bought, sold in product(range(5), repeat=3)
    if sold <= before + bought
]
"""Shares of earlier days, and what was bought and sold today, in units of whatever size."""


@pytest.mark.parametrize("falls", ["never", "by what came out", "by every sale"])
def test_what_was_noted_before_the_first_sale_gives_the_exact_quantity(falls: str) -> None:
    """Whether and however the holdings fall by a sale, what is held is what was less what went."""
    for before, bought, sold in DAYS:
        fall = {"never": 0, "by what came out": max(0, sold - bought), "by every sale": sold}
        shown = max(0, before - fall[falls])
        day = DayTrades(bought - sold, bought, sold)

        found = delivered_before_sales(shown, day, noted=before, proved=0)

        assert held(found, day) == before + bought - sold
        assert found.is_sure


@pytest.mark.parametrize("falls", [False, True])
def test_without_a_note_no_more_is_counted_than_is_there(falls: bool) -> None:
    """A process that starts after a sale may count too little, and then says that it is unsure."""
    for before, bought, sold in DAYS:
        came_out = max(0, sold - bought)
        shown = before - came_out if falls else before
        day = DayTrades(bought - sold, bought, sold)
        for proved in range(before + 1):
            found = delivered_before_sales(shown, day, noted=None, proved=proved)

            assert held(found, day) <= before + bought - sold
            if held(found, day) < before + bought - sold:
                assert not found.is_sure


def test_what_an_exit_was_sized_on_proves_what_was_there() -> None:
    """After a restart in a partly done exit the rest is held, where the holdings fell and where
    they did not."""
    day = DayTrades(-40, 0, 40)

    fell = delivered_before_sales(60, day, noted=None, proved=100)
    stayed = delivered_before_sales(100, day, noted=None, proved=100)

    assert (held(fell, day), fell.is_sure) == (60, True)
    assert (held(stayed, day), stayed.is_sure) == (60, False)  # 140 may have been there


def test_shares_that_left_by_another_way_are_not_counted() -> None:
    """What was noted counts no further than today's sales explain."""
    day = DayTrades(0, 0, 0)

    assert delivered_before_sales(30, day, noted=100, proved=0).quantity == 30


def test_holdings_that_cannot_be_read_prove_nothing() -> None:
    """An unreadable answer is unsure, whatever was noted."""
    found = delivered_before_sales(None, DayTrades(0, 0, 0), noted=100, proved=100)

    assert found == Delivered(0, is_sure=False)


@pytest.mark.parametrize(
    ("rows", "cnc", "mtf"),
    [
        ([], 0, 0),
        ([Holding(None, "2885", 100, 20)], 100, 20),
        ([Holding(NSE, "2885", 100, 20)], 100, 20),
        ([Holding(BSE, "2885", 100, 20)], 0, 0),
        ([Holding(None, "1333", 100, 20)], 0, 0),
        ([Holding(None, "2885", None, None)], None, None),
        ([Holding(None, "1333", None, None)], 0, 0),
        ([Holding(None, "2885", 100, 0), Holding(None, "2885", 50, 0)], None, None),
    ],
)
def test_a_row_counts_for_its_instrument_and_product(
    rows: list[Holding], cnc: int | None, mtf: int | None
) -> None:
    """Another instrument's row says nothing; an unreadable one of ours, or two, are no reading."""
    assert shown_quantity(rows, CNC) == cnc
    assert shown_quantity(rows, MTF) == mtf


def test_a_days_trades_are_those_of_the_key() -> None:
    """Without counts of bought and sold the net itself tells what came out."""
    row = BrokerPosition(SHARE, ProductType.CNC, -40, 10, 50, Decimal(1), Decimal(1))
    bare = BrokerPosition(SHARE, ProductType.MTF, -40, 0, 0, Decimal(0), Decimal(0))

    assert day_trades([row, bare], CNC) == DayTrades(-40, 10, 50)
    assert day_trades([row, bare], MTF) == DayTrades(-40, 0, 40)
