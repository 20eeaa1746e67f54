"""The budget over sliding windows, and the breaker's three states."""

from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.rules import Urgency
from squareoff.domain.time import seconds_to_ns
from squareoff.services.rate_budget import BreakerState, CircuitBreaker, RateBudget, RateLimits

SECOND = seconds_to_ns(1)


@given(
    gaps=st.lists(st.integers(0, 2 * SECOND), max_size=60),
    urgencies=st.lists(st.sampled_from([Urgency.STOP, Urgency.ENTRY]), min_size=60, max_size=60),
)
def test_a_write_that_waited_as_told_fits(gaps: list[int], urgencies: list[Urgency]) -> None:
    """Whoever waits as long as told fits then, and no window is ever exceeded."""
    limits = RateLimits(per_second=4, per_minute=20, per_hour=30, per_day=40)
    budget, now, taken = RateBudget(limits), 0, list[int]()
    for gap, urgency in zip(gaps, urgencies, strict=False):
        now += gap
        now += budget.wait_ns(now, urgency)
        assert budget.wait_ns(now, urgency) == 0
        budget.take(now)
        taken.append(now)

    for span, limit in limits.windows():
        for start in taken:
            assert sum(start <= each < start + span for each in taken) <= limit


def test_a_limit_of_one_still_lets_an_entry_through() -> None:
    """The reserve never takes the last place of a tiny limit."""
    budget = RateBudget(RateLimits(per_second=1))

    assert budget.wait_ns(0, Urgency.ENTRY) == 0
    budget.take(0)
    assert budget.wait_ns(0, Urgency.STOP) == SECOND
    assert budget.used() == (1, 1, 1, 1)


def test_the_breaker_opens_waits_and_lets_one_probe_through() -> None:
    """Five failures open it; after three seconds one probe goes, whose answer decides."""
    breaker = CircuitBreaker()
    for _ in range(5):
        assert breaker.wait_ns(0) == 0
        breaker.note_permit(0)
        breaker.note_failure(0)

    assert breaker.state(0) is BreakerState.OPEN
    assert breaker.wait_ns(SECOND) == 2 * SECOND
    assert breaker.wait_ns(3 * SECOND) == 0
    breaker.note_permit(3 * SECOND)
    assert breaker.wait_ns(3 * SECOND) is None
    breaker.note_failure(4 * SECOND)
    assert breaker.state(4 * SECOND) is BreakerState.OPEN
    breaker.note_permit(7 * SECOND)
    breaker.note_answer()
    assert breaker.state(7 * SECOND) is BreakerState.CLOSED


def test_a_probe_that_was_not_made_frees_its_place() -> None:
    """A permit given back lets another probe go."""
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.note_failure(0)
    breaker.note_permit(3 * SECOND)
    breaker.note_unused()

    assert breaker.wait_ns(3 * SECOND) == 0


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    """Only failures in a row open the breaker."""
    breaker = CircuitBreaker()
    for _ in range(4):
        breaker.note_failure(0)
    breaker.note_answer()
    for _ in range(4):
        breaker.note_failure(0)

    assert breaker.state(0) is BreakerState.CLOSED
