"""The budget over sliding windows: what counts, what waits, what a restart and a 429 do."""

from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.rules import Urgency
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.services.orders.rate_budget import (
    CLOCK_DOUBT_SECONDS,
    PERMIT_SECONDS_MAX,
    TRANSIT_SECONDS,
    Flight,
    RateBudget,
    RateLimits,
    WriteKind,
    stamps_of,
)

SECOND = seconds_to_ns(1)
TRANSIT = seconds_to_ns(TRANSIT_SECONDS)
SMALL = RateLimits(per_second=4, per_minute=20, per_hour=30, per_day=40)
EXIT = (Urgency.STOP, WriteKind.PLACE)
MODIFY = (Urgency.STOP, WriteKind.MODIFY)
ENTRY = (Urgency.ENTRY, WriteKind.PLACE)


def write(budget: RateBudget, now_ns: int) -> Flight:
    """Take a permit and begin its write at once."""
    budget.hold(now_ns)
    return budget.begin(now_ns)


def most_in_any_window(stamps: list[int], span: int) -> int:
    """Return the largest number of stamps in any window of `span`."""
    return max(
        (sum(start <= each < start + span for each in stamps) for start in stamps), default=0
    )


WRITES = st.lists(
    st.tuples(
        st.integers(0, 2 * SECOND),  # pause before it is asked for
        st.sampled_from([EXIT, MODIFY, ENTRY]),
        st.integers(0, SECOND),  # from the permit to the first byte
        st.integers(0, TRANSIT),  # from the first byte to the broker
        st.integers(0, SECOND),  # from the broker to the answer
    ),
    max_size=60,
)


@given(WRITES)
def test_the_broker_never_sees_more_than_the_limit(
    writes: list[tuple[int, tuple[Urgency, WriteKind], int, int, int]],
) -> None:
    """However long permits are held and answers take, no window at the broker is exceeded."""
    budget, now, arrivals = RateBudget(SMALL), 0, list[int]()
    begins: list[tuple[int, int, int]] = []
    ends: list[tuple[int, Flight]] = []

    def pass_time(to_ns: int) -> None:
        while True:
            due = [(at, 0, index) for index, (at, _, _) in enumerate(begins) if at <= to_ns]
            due += [(at, 1, index) for index, (at, _) in enumerate(ends) if at <= to_ns]
            if not due:
                return
            at, is_end, index = min(due)
            if is_end:
                budget.end(ends.pop(index)[1], at)
                continue
            _, transit, answer = begins.pop(index)
            arrivals.append(at + transit)
            ends.append((at + transit + answer, budget.begin(at)))

    for pause, (urgency, kind), held, transit, answer in writes:
        now += pause
        pass_time(now)
        while (wait := budget.wait_ns(now, urgency, kind)) > 0:
            now = min(now + wait, *(at for at, _, _ in begins), *(at for at, _ in ends), now + wait)
            pass_time(now)
        budget.hold(now)
        begins.append((now + held, transit, answer))
    pass_time(now + 10 * SECOND)

    for span, limit in SMALL.windows():
        assert most_in_any_window(arrivals, span) <= limit


def test_a_permit_counts_until_its_write_has_reached_the_broker() -> None:
    """Neither a permit that waits for its write nor a slow write makes room before its time."""
    budget = RateBudget(RateLimits(per_second=1))
    budget.hold(0)
    assert budget.wait_ns(5 * SECOND, *EXIT) > 0
    flight = budget.begin(5 * SECOND)
    assert budget.wait_ns(5 * SECOND, *EXIT) == TRANSIT + SECOND
    budget.end(flight, 5 * SECOND + TRANSIT // 2)

    assert budget.wait_ns(5 * SECOND + TRANSIT // 2, *EXIT) == SECOND
    assert budget.wait_ns(6 * SECOND + TRANSIT // 2, *EXIT) == 0


def test_a_permit_that_is_given_back_or_forgotten_makes_room() -> None:
    """Given back it does so at once; lost it counts as used after a bound."""
    budget = RateBudget(RateLimits(per_second=1))
    budget.hold(0)
    budget.release(0)
    assert budget.wait_ns(0, *EXIT) == 0
    budget.hold(0)

    assert budget.wait_ns(0, *EXIT) == seconds_to_ns(PERMIT_SECONDS_MAX) + SECOND
    assert budget.wait_ns(seconds_to_ns(PERMIT_SECONDS_MAX) + SECOND, *EXIT) == 0


def test_entries_leave_a_reserve_and_modifies_half_of_it() -> None:
    """On every horizon entries end first, then modifies, and exits have the rest to themselves."""
    for horizon in ("per_second", "per_minute", "per_hour", "per_day"):
        budget = RateBudget(RateLimits(**{"per_second": 1_000, horizon: 8}))
        room = dict.fromkeys(("entry", "modify", "exit"), 0)
        for _ in range(8):
            for name, kind in (("entry", ENTRY), ("modify", MODIFY), ("exit", EXIT)):
                room[name] += budget.wait_ns(0, *kind) == 0
            write(budget, 0)
        assert room == {"entry": 6, "modify": 7, "exit": 8}
        assert budget.wait_ns(0, *EXIT) > 0


def test_a_limit_of_one_still_lets_an_entry_through() -> None:
    """The reserve never takes the last place of a tiny limit."""
    budget = RateBudget(RateLimits(per_second=1))

    assert budget.wait_ns(0, *ENTRY) == budget.wait_ns(0, *MODIFY) == 0
    budget.end(write(budget, 0), 0)
    assert budget.wait_ns(0, *EXIT) == SECOND
    assert budget.used(0) == (1, 1, 1, 1)


def test_too_many_requests_fills_the_second_for_all_and_longer_each_time() -> None:
    """One 429 stops every write for a second; the next one in a row for two, then four."""
    budget, now, holds = RateBudget(RateLimits()), 0, []
    for _ in range(4):
        together = [write(budget, now) for _ in range(3)]
        for flight in together:
            budget.note_rate_limited(flight, now)
            budget.end(flight, now)
        wait = budget.wait_ns(now, Urgency.KILL_SWITCH, WriteKind.CANCEL)
        holds.append(wait / SECOND)
        now += wait
    budget.note_in_rate(write(budget, now))
    budget.note_rate_limited(write(budget, now), now)

    assert holds == [1.0, 2.0, 4.0, 4.0]
    assert budget.wait_ns(now, *EXIT) == SECOND


def test_an_answer_to_an_earlier_write_does_not_end_the_slowing_down() -> None:
    """Only a write that began after the hold shows that the broker takes writes again."""
    budget = RateBudget(RateLimits())
    early, refused = write(budget, 0), write(budget, 0)
    budget.note_rate_limited(refused, 0)
    budget.note_in_rate(early)
    budget.note_rate_limited(write(budget, SECOND), SECOND)

    assert budget.wait_ns(SECOND, *EXIT) == 2 * SECOND


def test_a_write_of_which_nothing_left_is_withdrawn_alone() -> None:
    """At once, late, or after its window has passed: every other write goes on counting."""
    budget = RateBudget(RateLimits())
    others = [write(budget, 0) for _ in range(3)]
    for flight, after in zip(
        [write(budget, 0) for _ in range(4)], (0, TRANSIT, SECOND, 61 * SECOND), strict=True
    ):
        budget.withdraw(flight, after)
    assert budget.used(61 * SECOND) == (0, 0, 3, 3)

    for flight in others:
        budget.end(flight, 61 * SECOND)
    assert budget.used(61 * SECOND) == (0, 0, 3, 3)


NOW = Now(wall_ns=1_000_000 * SECOND, monotonic_ns=500 * SECOND)


def test_journalled_writes_count_after_a_restart() -> None:
    """Writes of earlier processes fill the windows, a little younger than the wall clock says."""
    budget = RateBudget(RateLimits(per_second=2, per_minute=4))
    ages = (90, 50, 40, 1)
    budget.seed(stamps_of([NOW.wall_ns - age * SECOND for age in ages], NOW))

    assert budget.used(NOW.monotonic_ns) == (1, 3, 4, 4)
    assert budget.wait_ns(NOW.monotonic_ns, *EXIT) == 0
    write(budget, NOW.monotonic_ns)
    doubt = seconds_to_ns(CLOCK_DOUBT_SECONDS)
    later = NOW.monotonic_ns + SECOND + TRANSIT
    assert budget.wait_ns(later, *EXIT) == 12 * SECOND + doubt - (later - NOW.monotonic_ns) - doubt


def test_a_clock_set_forward_since_the_last_writes_gives_no_second_of_its_own() -> None:
    """How long ago they were made is told by the wall clock alone; the last burst is new."""
    budget = RateBudget(SMALL)
    a_day_ago = NOW.wall_ns - 86_400 * SECOND
    budget.seed(stamps_of([a_day_ago - 2 * SECOND] + [a_day_ago] * 4, NOW))

    assert budget.wait_ns(NOW.monotonic_ns, *EXIT) == SECOND
    assert budget.wait_ns(NOW.monotonic_ns + SECOND, *EXIT) == 0


def test_what_may_have_left_right_before_a_death_fills_the_second_after_it() -> None:
    """A refused send is made again under its first journal entry, up to its deadline later."""
    budget = RateBudget(RateLimits(per_second=3, per_minute=100))
    ages = (30.0, 4.9, 4.4, 1.0)
    budget.seed(stamps_of([NOW.wall_ns - seconds_to_ns(age) for age in ages], NOW))

    assert budget.wait_ns(NOW.monotonic_ns, *EXIT) == SECOND
    assert budget.wait_ns(NOW.monotonic_ns + SECOND, *EXIT) == 0
    doubt = seconds_to_ns(CLOCK_DOUBT_SECONDS)
    minute_later = NOW.monotonic_ns + 60 * SECOND - seconds_to_ns(4.9) + doubt
    assert budget.used(minute_later)[1] == 2  # they keep their own age there


@given(
    st.lists(st.integers(0, 400 * SECOND), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 400 * SECOND)), max_size=3),
)
def test_a_clock_that_jumps_back_never_makes_writes_older(
    gaps: list[int], jumps: list[tuple[int, int]]
) -> None:
    """Whatever the wall clock was set back by, no write counts as older than it is."""
    true_ns, wall_ns, offset = 0, [], 0
    true_times: list[int] = []
    for index, gap in enumerate(gaps):
        true_ns += gap
        offset -= sum(step for at, step in jumps if at == index)
        true_times.append(true_ns)
        wall_ns.append(10**15 + true_ns + offset)
    now = Now(10**15 + true_ns + offset, true_ns)

    stamps = stamps_of(wall_ns, now)
    assert stamps == sorted(stamps)
    assert all(stamp >= true for stamp, true in zip(stamps, true_times, strict=True))
    assert stamps[-1] <= now.monotonic_ns
