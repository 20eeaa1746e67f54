"""Tests of client_order_ids: shape, determinism, no collisions, golden values for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squareoff.core.exits.client_order_ids import (
    CLIENT_ORDER_ID_LENGTH_MAX,
    client_order_id,
    is_ours,
)
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.orders import OrderRole

ACCOUNT = AccountId("1100000001")
TEXT = st.text(max_size=40)


def exit_id(tracker: str, attempt: int = 1, slice_number: int = 1) -> str:
    """Return an exit order's id."""
    return client_order_id(
        ACCOUNT, TrackerId(tracker), OrderRole.EXIT, attempt=attempt, slice_number=slice_number
    )


@pytest.mark.parametrize(
    ("role", "attempt", "slice_number", "expected"),
    [
        (OrderRole.EXIT, 1, 1, "sqx-cmsw4rcqlons-001-01"),
        (OrderRole.EXIT, 37, 36, "sqx-cmsw4rcqlons-011-10"),
        (OrderRole.ENTRY, 1, 1, "sqe-cmsw4rcqlons-001-01"),
    ],
)
def test_the_derivation_never_changes(
    role: OrderRole, attempt: int, slice_number: int, expected: str
) -> None:
    """Ids in old journals must be derived the same by every later version."""
    made = client_order_id(
        ACCOUNT, TrackerId("trk-1"), role, attempt=attempt, slice_number=slice_number
    )

    assert made == expected


@given(account=TEXT, tracker=TEXT, attempt=st.integers(1, 46_655), number=st.integers(1, 1_295))
def test_an_id_fits_the_broker(account: str, tracker: str, attempt: int, number: int) -> None:
    """An id has at most 25 of `[A-Za-z0-9_-]` and is known as ours."""
    made = client_order_id(
        AccountId(account),
        TrackerId(tracker),
        OrderRole.EXIT,
        attempt=attempt,
        slice_number=number,
    )

    assert len(made) <= CLIENT_ORDER_ID_LENGTH_MAX == 25
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert is_ours(made)


def test_a_hundred_thousand_pairs_have_as_many_ids() -> None:
    """Different trackers, attempts and slices never share an id."""
    made = {exit_id(f"trk-{n}", attempt) for n in range(50_000) for attempt in (1, 2)}

    assert len(made) == 100_000


def test_attempts_and_slices_never_share_an_id() -> None:
    """Within one tracker every (attempt, slice) has its own id."""
    made = {exit_id("trk-1", a, s) for a in range(1, 200) for s in range(1, 200)}

    assert len(made) == 199 * 199


def test_accounts_do_not_share_ids() -> None:
    """The account is part of the derivation: one tracker name on two accounts has two ids."""
    other = client_order_id(
        AccountId("1100000002"), TrackerId("trk-1"), OrderRole.EXIT, attempt=1, slice_number=1
    )

    assert other != exit_id("trk-1")


@pytest.mark.parametrize(("attempt", "slice_number"), [(46_656, 1), (1, 1_296), (-1, 1), (1, -1)])
def test_numbers_that_do_not_fit_are_refused(attempt: int, slice_number: int) -> None:
    """A number that would be cut short would collide, so it raises."""
    with pytest.raises(ValueError, match="does not fit"):
        exit_id("trk-1", attempt, slice_number)


@pytest.mark.parametrize(
    "tag",
    [None, "", "NA", "sqx-cmsw4rcqlons-001-0", "SQX-cmsw4rcqlons-001-01", "1100000001-1700000000",
     "sqx-cmsw4rcqlons-001-01\n", " sqx-cmsw4rcqlons-001-01"],
)  # fmt: skip
def test_foreign_tags_are_not_ours(tag: str | None) -> None:
    """An order whose tag has another shape belongs to somebody else (I15)."""
    assert not is_ours(tag)
