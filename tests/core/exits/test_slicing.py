"""Tests of core.exits.slicing: slices sum to the quantity and each is one the exchange takes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.values import INSTRUMENT
from squareoff.core.exits.slicing import FREEZE_QUANTITY_MAX, slice_limit, slice_quantity


@given(quantity=st.integers(1, 100_000), lot=st.integers(1, 500), freeze=st.integers(500, 20_000))
def test_slices_cover_the_quantity_within_the_freeze(quantity: int, lot: int, freeze: int) -> None:
    """Slices sum to the quantity, none is above the freeze quantity, all but the last are lots."""
    slices = slice_quantity(quantity, lot, freeze)

    assert sum(slices) == quantity
    assert all(0 < size <= freeze for size in slices)
    assert all(size % lot == 0 for size in slices[:-1])
    if quantity % lot == 0:
        assert slices[-1] % lot == 0


@given(lots=st.integers(1, 2_000), lot=st.integers(1, 500), freeze=st.integers(500, 20_000))
def test_no_plan_needs_fewer_orders(lots: int, lot: int, freeze: int) -> None:
    """There are as few slices as lot multiples within the freeze quantity allow."""
    largest = freeze // lot * lot

    assert len(slice_quantity(lots * lot, lot, freeze)) <= -(-lots * lot // largest)


@pytest.mark.parametrize(
    ("quantity", "lot", "freeze", "expected"),
    [
        (75, 75, None, (75,)),
        (1800, 75, 1800, (1800,)),
        (1875, 75, 1800, (1800, 75)),
        (3700, 75, 1800, (1800, 1800, 100)),
        (100, 30, 70, (60, 40)),
    ],
)
def test_worked_examples(
    quantity: int, lot: int, freeze: int | None, expected: tuple[int, ...]
) -> None:
    """Largest slices first; an odd remainder stays in the last one."""
    assert slice_quantity(quantity, lot, freeze) == expected


@pytest.mark.parametrize(
    ("quantity", "lot", "freeze"), [(0, 25, None), (-25, 25, None), (25, 0, None), (100, 25, 10)]
)
def test_impossible_terms_are_refused(quantity: int, lot: int, freeze: int | None) -> None:
    """No quantity, no lot, or a freeze quantity below one lot cannot be sliced."""
    with pytest.raises(ValueError):
        slice_quantity(quantity, lot, freeze)


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (1801, 1800),
        (1800, 1800),
        (1825, 1825),
        (None, None),
        (-1, None),
        (0, None),
        (24, None),
        (FREEZE_QUANTITY_MAX + 1, None),
    ],
)
def test_the_limit_of_a_slice(freeze: int | None, expected: int | None) -> None:
    """Whole lots within the file's figure; a figure that cannot be one limits nothing."""
    assert slice_limit(replace(INSTRUMENT, freeze_quantity=freeze), ()) == expected
