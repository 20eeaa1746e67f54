"""When a token is renewed and when people are warned, as arithmetic."""

import pytest

from squareoff.core.session.token_plan import (
    TokenOutlook,
    earliest_end_ns,
    renewal_is_due,
    seconds_until,
    warnings_due,
)

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0

PLANS = {
    # name: (token lives, session goes on, renew while idle, renew while busy, warnings)
    "unknown end": (None, 6 * HOUR, False, False, ()),
    "long life": (12 * HOUR, 6 * HOUR, False, False, ()),
    "no session left": (2 * HOUR, None, False, False, ()),
    "ends in the session": (5 * HOUR, 6 * HOUR, True, False, ("session",)),
    "ends just after it": (6 * HOUR + 14 * MINUTE, 6 * HOUR, True, False, ("session",)),
    "outlives it": (6 * HOUR + 16 * MINUTE, 6 * HOUR, False, False, ()),
    "an hour and a half": (90 * MINUTE, None, True, False, ()),
    "an hour": (60 * MINUTE, None, True, False, ("3600",)),
    "twenty minutes": (20 * MINUTE, None, True, True, ("3600",)),
    "a quarter of an hour": (15 * MINUTE, HOUR, True, True, ("session", "3600", "900")),
    "just made, and the session is longer": (DAY, DAY - 10 * MINUTE, False, False, ()),
    "ten minutes old": (DAY - 10 * MINUTE, DAY - 20 * MINUTE, False, False, ()),
    "a new one reaches farther": (
        DAY - 12 * MINUTE,
        DAY - 22 * MINUTE,
        True,
        False,
        ("session",),
    ),
    "over": (-1.0, HOUR, True, True, ()),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_due(name: str) -> None:
    """Each outlook deserves what the table says."""
    token, session, idle, busy, warnings = PLANS[name]
    outlook = TokenOutlook(token, session)

    assert renewal_is_due(outlook, is_busy=False) is idle
    assert renewal_is_due(outlook, is_busy=True) is busy
    assert warnings_due(outlook) == warnings


def test_the_earlier_end_counts() -> None:
    """The token's claim and the broker's word may differ, or be missing."""
    assert earliest_end_ns(None, 5, 3) == 3
    assert earliest_end_ns(None, None) is None
    assert seconds_until(None, 7) is None
    assert seconds_until(5 * 10**9, 7 * 10**9) == -2.0
