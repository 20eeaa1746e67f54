"""Tests of pricing: the protection price is on the grid, inside the circuits, and widens."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.values import INSTRUMENT
from squareoff.core.exits.pricing import (
    coarser_tick,
    is_more_aggressive,
    protected_limit,
    protection_percent,
)
from squareoff.core.state.inputs import PriceView
from squareoff.domain.orders import Side
from squareoff.domain.prices import is_on_tick

FUTURE = replace(INSTRUMENT, instrument_type="FUTIDX")
REFERENCES = st.decimals(min_value="0.05", max_value="90000", places=2)


def view(price: str | Decimal, bid: str | None = None, ask: str | None = None) -> PriceView:
    """Return a usable price."""
    return PriceView(
        Decimal(price),
        None if bid is None else Decimal(bid),
        None if ask is None else Decimal(ask),
        "memory",
        0.0,
    )


@pytest.mark.parametrize(
    ("price", "option", "other"),
    [
        ("50", "20", "2"),
        ("50.05", "10", "2"),
        ("200", "10", "1"),
        ("500.05", "5", "0.5"),
        ("1000.05", "2", "0.5"),
    ],
)
def test_the_slabs(price: str, option: str, other: str) -> None:
    """The first distance follows the broker's slabs, for options and for the rest."""
    assert protection_percent(INSTRUMENT, Decimal(price)) == Decimal(option)
    assert protection_percent(FUTURE, Decimal(price)) == Decimal(other)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(Side.SELL, "22853.55"), (Side.BUY, "23146.45")],
)
def test_the_touch_counts_before_the_last_price(side: Side, expected: str) -> None:
    """A sell is priced off the best bid, a buy off the best ask."""
    limit = protected_limit(
        FUTURE, side, view("23000", "22968.40", "23031.25"), step=0, max_slippage_percent=Decimal(5)
    )

    assert limit == Decimal(expected)


def test_without_depth_the_last_price_counts() -> None:
    """With an empty book side the last traded price is the reference."""
    limit = protected_limit(
        INSTRUMENT, Side.SELL, view("600"), step=0, max_slippage_percent=Decimal(5)
    )

    assert limit == Decimal("570.00")


def test_the_circuits_clip_on_the_grid() -> None:
    """A limit outside the circuit would be rejected, so it is the nearest tick inside."""
    bounded = replace(INSTRUMENT, lower_circuit=Decimal("98.98"), upper_circuit=Decimal("103.02"))
    five = Decimal(5)

    assert protected_limit(bounded, Side.SELL, view("100"), step=0, max_slippage_percent=five) == (
        Decimal("99.00")
    )
    assert protected_limit(bounded, Side.BUY, view("100"), step=0, max_slippage_percent=five) == (
        Decimal("103.00")
    )


@pytest.mark.parametrize(("side", "expected"), [(Side.SELL, "85.50"), (Side.BUY, "126.00")])
def test_circuits_of_another_day_clip_nothing(side: Side, expected: str) -> None:
    """A market beyond the limits shows that they are old: clipped by them, an exit would rest."""
    bounded = replace(INSTRUMENT, lower_circuit=Decimal(98), upper_circuit=Decimal(103))
    price = "90" if side is Side.SELL else "120"

    limit = protected_limit(bounded, side, view(price), step=0, max_slippage_percent=Decimal(5))

    assert limit == Decimal(expected)


def test_the_limits_of_the_day_count_instead_of_the_positions_own() -> None:
    """A position that is carried over has those of the day on which it came under watch."""
    carried = replace(INSTRUMENT, lower_circuit=Decimal(50), upper_circuit=Decimal(101))
    five = Decimal(5)
    known = replace(view("100"), limits=(Decimal("99.02"), Decimal(150)))

    sell = protected_limit(carried, Side.SELL, known, step=0, max_slippage_percent=five)
    buy = protected_limit(carried, Side.BUY, known, step=0, max_slippage_percent=five)
    assert (sell, buy) == (Decimal("99.05"), Decimal("105.00"))
    none = replace(known, limits=(None, None))
    free = protected_limit(carried, Side.BUY, none, step=0, max_slippage_percent=five)
    assert free == Decimal("105.00")


def test_an_empty_book_side_of_zero_is_none() -> None:
    """A best bid of zero says that nobody bids; the last traded price counts."""
    limit = protected_limit(
        FUTURE, Side.SELL, view("600", "0"), step=0, max_slippage_percent=Decimal(5)
    )

    assert limit == Decimal("597.00")


def test_a_price_turned_away_is_halved_toward_the_market() -> None:
    """Every rejection of the price halves the distance; many leave the reference itself."""
    limits = [
        protected_limit(
            INSTRUMENT,
            Side.SELL,
            view("600"),
            step=0,
            max_slippage_percent=Decimal(5),
            price_rejections=count,
        )
        for count in (0, 1, 2, 50)
    ]

    assert limits == [Decimal("570.00"), Decimal("585.00"), Decimal("592.50"), Decimal(600)]


def test_a_sell_never_falls_below_one_tick() -> None:
    """The last option on its last tick is still offered at a price above zero."""
    limit = protected_limit(
        INSTRUMENT, Side.SELL, view("0.05"), step=24, max_slippage_percent=Decimal(100)
    )

    assert limit == Decimal("0.05")


def test_a_circuit_of_zero_is_no_circuit() -> None:
    """Instrument files write 0 for no band; it must not clip a buy to nothing."""
    free = replace(INSTRUMENT, lower_circuit=Decimal(0), upper_circuit=Decimal(0))

    limit = protected_limit(free, Side.BUY, view("100"), step=0, max_slippage_percent=Decimal(5))

    assert limit == Decimal("105.00")


@given(price=REFERENCES, step=st.integers(0, 25), side=st.sampled_from(Side))
def test_a_limit_is_marketable_and_within_the_slippage(
    price: Decimal, step: int, side: Side
) -> None:
    """The limit is on the grid, through the reference, at most the slippage off."""
    limit = protected_limit(FUTURE, side, view(price), step=step, max_slippage_percent=Decimal(5))
    bound, tick = price * Decimal("0.05"), FUTURE.tick_size

    assert is_on_tick(limit, tick)
    if side is Side.SELL:
        assert limit <= max(price, tick)
        assert limit >= max(price - bound - tick, tick)
    else:
        assert price <= limit <= price + bound + tick


@given(price=REFERENCES, side=st.sampled_from(Side))
def test_every_chase_step_widens_or_stays(price: Decimal, side: Side) -> None:
    """A later step is never less aggressive than an earlier one at the same price."""
    limits = [
        protected_limit(FUTURE, side, view(price), step=step, max_slippage_percent=Decimal(5))
        for step in range(26)
    ]

    for earlier, later in pairwise(limits):
        assert not is_more_aggressive(side, earlier, later)


def test_what_more_aggressive_means() -> None:
    """Lower for a sell, higher for a buy, and anything where no limit stood."""
    low, high = Decimal(1), Decimal(2)

    assert is_more_aggressive(Side.SELL, low, high)
    assert is_more_aggressive(Side.BUY, high, low)
    assert not is_more_aggressive(Side.SELL, low, low)
    assert is_more_aggressive(Side.SELL, high, None)


@pytest.mark.parametrize(
    ("tick", "steps", "coarser"),
    [
        ("0.01", 0, "0.01"),
        ("0.01", 1, "0.05"),
        ("0.05", 1, "0.10"),
        ("0.05", 9, "5"),
        ("7", 1, "7"),
        ("0.0025", 1, "0.01"),
        ("0.02", 1, "0.10"),
    ],
)
def test_a_grid_that_is_not_taken_gives_way_to_a_coarser_one(
    tick: str, steps: int, coarser: str
) -> None:
    """Each lies on the one before, so a price on it suits the exchange whichever is right."""
    assert coarser_tick(Decimal(tick), steps) == Decimal(coarser)


def test_a_coarser_grid_is_that_of_the_limit_too() -> None:
    """The price lies no nearer to the market for it, and inside the circuit."""
    share = replace(FUTURE, tick_size=Decimal("0.01"), lower_circuit=Decimal("240.57"))
    sold = {
        steps: protected_limit(
            share, Side.SELL, view("243"), step=9, max_slippage_percent=Decimal(1),
            tick_rejections=steps,
        )
        for steps in (0, 1, 3)
    }  # fmt: skip

    assert sold == {0: Decimal("240.57"), 1: Decimal("240.60"), 3: Decimal(241)}


def test_where_the_market_stands_at_its_circuit_the_price_ends_there() -> None:
    """A tick beyond the limit is refused for ever; at it the order stands in the queue."""
    share = replace(FUTURE, tick_size=Decimal("0.05"))
    locked = {
        side: [
            protected_limit(
                share, side, view("136.80"), step=0, max_slippage_percent=Decimal(5),
                price_rejections=count,
            )
            for count in (0, 3, 6, 9)
        ]
        for side in Side
    }  # fmt: skip

    assert locked[Side.SELL] == [Decimal(each) for each in ("135.40", "136.60", "136.80", "136.80")]
    assert locked[Side.BUY] == [Decimal(each) for each in ("138.20", "137.00", "136.80", "136.80")]
