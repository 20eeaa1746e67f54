"""What each word of the broker at the end of a feed connection asks for (dhanhq-v2.md 7.7)."""

import pytest

from squareoff.core.prices.feed_endings import ending_of
from squareoff.core.state.facts import Severity


@pytest.mark.parametrize(
    ("code", "pauses", "holds_all", "alarms"),
    [
        pytest.param(None, [0, 0], False, None, id="a cut"),
        pytest.param(800, [0, 0], False, None, id="the broker's own fault"),
        pytest.param(429, [60, 120, 240, 300, 300], True, Severity.WARNING, id="cool down"),
        pytest.param(804, [60, 120], False, Severity.WARNING, id="too many instruments"),
        pytest.param(805, [15, 30, 60, 120, 240, 300], True, Severity.WARNING, id="connections"),
        pytest.param(806, [60, 120], True, Severity.CRITICAL, id="not subscribed"),
        pytest.param(807, [0, 0], False, None, id="token expired: the token's watch heals it"),
        pytest.param(808, [5, 10, 20], True, Severity.CRITICAL, id="authentication"),
        pytest.param(809, [5, 10, 20], True, Severity.CRITICAL, id="token invalid"),
        pytest.param(810, [5, 10, 20], True, Severity.CRITICAL, id="client id invalid"),
        *(
            pytest.param(code, [60, 120], False, Severity.WARNING, id=f"wrong, {code}")
            for code in (811, 812, 813, 814)
        ),
    ],
)
def test_every_code_has_its_own_answer(code, pauses, holds_all, alarms) -> None:
    """The pause and how it grows, whether all connections wait, and who is told."""
    ending = ending_of(code)

    assert [ending.pause_after(times) for times in range(1, len(pauses) + 1)] == pauses
    assert ending.holds_all is holds_all
    assert (ending.severity if ending.alarm else None) is alarms
