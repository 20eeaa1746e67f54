"""When a breaker opens, how long it waits, what its probe decides."""

from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.time import seconds_to_ns
from squareoff.services.orders.circuit_breaker import (
    BREAKER_CALLS_MIN,
    BREAKER_FAILURES_IN_A_ROW,
    BREAKER_OPEN_SECONDS,
    BREAKER_WINDOW_SECONDS,
    ENTRY_PROBE_DELAY_SECONDS,
    PROBE_SECONDS_MAX,
    BreakerState,
    CircuitBreaker,
)

SECOND = seconds_to_ns(1)
LONGEST_WAIT = seconds_to_ns(BREAKER_OPEN_SECONDS[-1] + PROBE_SECONDS_MAX)


def opened(at_ns: int = 0) -> CircuitBreaker:
    """Return a breaker that failures in a row have just opened."""
    breaker = CircuitBreaker()
    for _ in range(BREAKER_FAILURES_IN_A_ROW):
        assert breaker.state(at_ns) is BreakerState.CLOSED
        breaker.note_failure(breaker.begin(), at_ns)
    return breaker


def probe(breaker: CircuitBreaker, at_ns: int) -> int:
    """Let the next probe out as soon as it may go; return when that was."""
    at_ns += breaker.wait_ns(at_ns, is_exit=True)
    breaker.note_permit(at_ns)
    return at_ns


def test_failures_in_a_row_open_it_and_a_probe_closes_it() -> None:
    """It waits a second, lets one probe out, and closes on any answer of the broker's."""
    breaker = opened()

    assert breaker.state(0) is BreakerState.OPEN
    assert breaker.wait_ns(0, is_exit=True) == SECOND
    assert breaker.state(SECOND) is BreakerState.HALF_OPEN
    at = probe(breaker, 0)
    assert breaker.wait_ns(at, is_exit=True) > 0
    breaker.note_answer(breaker.begin(), at)
    assert breaker.state(at) is BreakerState.CLOSED
    assert breaker.wait_ns(at, is_exit=False) == 0


def test_the_open_time_grows_to_its_bound_and_is_forgotten_after_calm() -> None:
    """Each failed probe lengthens the pause up to the bound; half a minute of calm resets it."""
    breaker, at, waits = opened(), 0, []
    for _ in range(6):
        waits.append(breaker.wait_ns(at, is_exit=True) / SECOND)
        at = probe(breaker, at)
        breaker.note_failure(breaker.begin(), at)
    at = probe(breaker, at)
    breaker.note_answer(breaker.begin(), at)
    at += seconds_to_ns(BREAKER_WINDOW_SECONDS) + SECOND
    for _ in range(BREAKER_FAILURES_IN_A_ROW):
        breaker.note_failure(breaker.begin(), at)

    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert breaker.wait_ns(at, is_exit=True) == SECOND


def test_a_high_share_of_failures_opens_it_without_a_row() -> None:
    """Two of three calls failing open it once there are enough calls to speak of a rate."""
    breaker, calls = CircuitBreaker(), 0
    while breaker.state(calls) is BreakerState.CLOSED:
        note = breaker.note_answer if calls % 3 == 0 else breaker.note_failure
        note(breaker.begin(), calls)
        calls += 1

    assert BREAKER_CALLS_MIN <= calls <= BREAKER_CALLS_MIN + 2


def test_what_failed_before_it_closed_does_not_count() -> None:
    """Of the calls since the probe was answered one in twenty failed."""
    breaker = CircuitBreaker()
    for number in range(BREAKER_CALLS_MIN):
        (breaker.note_answer if number % 3 == 0 else breaker.note_failure)(breaker.begin(), 0)
    assert breaker.state(0) is BreakerState.OPEN
    at = probe(breaker, 0)
    for _ in range(BREAKER_CALLS_MIN):
        breaker.note_answer(breaker.begin(), at)
    breaker.note_failure(breaker.begin(), at)

    assert breaker.state(at) is BreakerState.CLOSED


def test_three_of_ten_failing_never_open_it() -> None:
    """A broker that answers seven calls of ten is not given up."""
    breaker = CircuitBreaker()
    for call in range(1_000):
        note = breaker.note_failure if call % 10 in (0, 3, 7) else breaker.note_answer
        note(breaker.begin(), call * SECOND // 8)

        assert breaker.state(call * SECOND // 8) is BreakerState.CLOSED


def test_failures_of_long_ago_do_not_count() -> None:
    """What left the window has no part in the rate."""
    breaker = CircuitBreaker()
    for call in range(BREAKER_CALLS_MIN - 1):
        note = breaker.note_answer if call % 6 == 0 else breaker.note_failure
        note(breaker.begin(), 0)
    later = seconds_to_ns(BREAKER_WINDOW_SECONDS) + 1
    breaker.note_answer(breaker.begin(), later)
    breaker.note_failure(breaker.begin(), later)

    assert breaker.state(later) is BreakerState.CLOSED


def test_calls_from_before_the_opening_decide_nothing() -> None:
    """A late answer or failure of an earlier call neither closes the breaker nor keeps it open."""
    breaker = CircuitBreaker()
    early = breaker.begin()
    for _ in range(BREAKER_FAILURES_IN_A_ROW):
        breaker.note_failure(early, 0)
    breaker.note_answer(early, 0)
    assert breaker.state(0) is BreakerState.OPEN
    at = probe(breaker, 0)
    number = breaker.begin()
    breaker.note_failure(early, at)

    assert breaker.state(at) is BreakerState.HALF_OPEN
    breaker.note_answer(number, at)
    assert breaker.state(at) is BreakerState.CLOSED


def test_permits_from_before_the_opening_decide_nothing() -> None:
    """What was let through while it was closed and comes to its write later is no probe: given
    back it frees no place of the probe's, and failing it makes no pause longer."""
    breaker = CircuitBreaker()
    for _ in range(3):
        breaker.note_permit(0)
    for _ in range(BREAKER_FAILURES_IN_A_ROW):
        breaker.note_permit(0)
    for _ in range(BREAKER_FAILURES_IN_A_ROW):
        breaker.note_failure(breaker.begin(), 0)

    late = breaker.begin()
    breaker.note_failure(late, 1)
    assert breaker.wait_ns(0, is_exit=True) == SECOND

    at = probe(breaker, 0)
    breaker.note_unused()
    breaker.note_unsent(breaker.begin())
    assert breaker.wait_ns(at, is_exit=True) == seconds_to_ns(PROBE_SECONDS_MAX)
    breaker.note_answer(breaker.begin(), at)
    assert breaker.state(at) is BreakerState.CLOSED


def test_a_probe_held_back_by_ourselves_frees_its_place() -> None:
    """Nothing of it left, so it tells nothing: the next one may go at once."""
    breaker = opened()
    at = probe(breaker, 0)
    breaker.note_unsent(breaker.begin())

    assert breaker.wait_ns(at, is_exit=True) == 0
    assert breaker.state(at) is BreakerState.HALF_OPEN


def test_an_entry_leaves_the_probe_to_exits_that_come_back() -> None:
    """An entry may probe only a second after an exit could have."""
    breaker = opened()

    late = seconds_to_ns(ENTRY_PROBE_DELAY_SECONDS)
    assert breaker.wait_ns(0, is_exit=False) == breaker.wait_ns(0, is_exit=True) + late


def test_a_probe_that_is_not_made_or_never_ends_frees_its_place() -> None:
    """A permit given back lets another probe go at once, a lost one after a bound."""
    breaker = opened()
    at = probe(breaker, 0)
    breaker.note_unused()
    assert breaker.wait_ns(at, is_exit=True) == 0
    breaker.note_permit(at)

    assert breaker.wait_ns(at, is_exit=True) == seconds_to_ns(PROBE_SECONDS_MAX)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["permit", "unused", "begin", "answer", "failure"]),
        st.integers(0, 3 * SECOND),
    ),
    max_size=120,
)


@given(STEPS)
def test_no_course_of_events_makes_an_exit_wait_for_ever(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, an exit's wait is bounded and whoever waits as told may go."""
    breaker, now, flights = CircuitBreaker(), 0, [0]
    for name, gap in steps:
        now += gap
        match name:
            case "permit":
                breaker.note_permit(now)
            case "unused":
                breaker.note_unused()
            case "begin":
                flights.append(breaker.begin())
            case "answer":
                breaker.note_answer(flights.pop(0) if flights else breaker.begin(), now)
            case "failure":
                breaker.note_failure(flights.pop() if flights else breaker.begin(), now)
        wait = breaker.wait_ns(now, is_exit=True)
        assert 0 <= wait <= LONGEST_WAIT
        assert breaker.wait_ns(now + wait, is_exit=True) == 0
        assert breaker.wait_ns(now, is_exit=False) >= wait


@given(st.lists(st.booleans(), max_size=200), st.integers(0, SECOND))
def test_it_never_opens_on_fewer_failures_than_it_says(failed: list[bool], gap: int) -> None:
    """It opens only on a row of failures, or on a rate over enough calls in the window."""
    breaker, now, row, seen = CircuitBreaker(), 0, 0, list[tuple[int, bool]]()
    for is_failure in failed:
        now += gap
        note = breaker.note_failure if is_failure else breaker.note_answer
        note(breaker.begin(), now)
        row = row + 1 if is_failure else 0
        seen.append((now, is_failure))
        window = [f for at, f in seen if at > now - seconds_to_ns(BREAKER_WINDOW_SECONDS)]
        enough = len(window) >= BREAKER_CALLS_MIN and sum(window) >= 0.6 * len(window)
        is_open = breaker.state(now) is not BreakerState.CLOSED
        assert is_open == (is_failure and (row >= BREAKER_FAILURES_IN_A_ROW or enough))
        if is_open:
            return
