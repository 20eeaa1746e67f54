"""Clocks are compared by many answers, and steps by the monotonic clock."""

import random

import pytest

from squareoff.core.session.clock_skew import READINGS_MIN, ClockSkew, wall_jump_seconds
from squareoff.domain.time import Now

SECOND = 10**9
START_NS = 1_789_440_000 * SECOND


def measured(offset: float, *, seed: int, outliers: int = 0) -> ClockSkew:
    """Return what 31 answers tell of a clock that is `offset` seconds ahead of the broker's."""
    chance, skew = random.Random(seed), ClockSkew()
    for number in range(31):
        sent_ns = START_NS + number * 20 * SECOND + chance.randrange(SECOND)
        way_ns = chance.randrange(10**7, 4 * 10**8)
        theirs_ns = sent_ns + chance.randrange(way_ns) - round(offset * SECOND)
        if number < outliers:
            theirs_ns -= 3_600 * SECOND  # an answer that a proxy kept for an hour
        whole_ns = theirs_ns - theirs_ns % SECOND
        skew.note_answer(theirs_ns=whole_ns, sent_ns=sent_ns, received_ns=sent_ns + way_ns)
    return skew


@pytest.mark.parametrize("offset", [0.0, 0.9, -0.9, 2.6, -2.6, 3_600.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_offset_is_found_within_half_a_second(offset: float, seed: int) -> None:
    """Whole seconds and unknown ways average out; a few absurd answers do not count."""
    verdict = measured(offset, seed=seed, outliers=5).verdict()

    assert verdict.offset_seconds == pytest.approx(offset, abs=0.5)
    assert verdict.is_too_large is (abs(offset) > 2)


def test_few_answers_and_slow_ones_give_no_verdict() -> None:
    """One odd answer is no alarm; neither is a slow or an impossible one."""
    skew = ClockSkew()
    for way in (1.5, -0.1):
        for _ in range(10):
            received_ns = START_NS + round(way * SECOND)
            skew.note_answer(theirs_ns=0, sent_ns=START_NS, received_ns=received_ns)
    for _ in range(READINGS_MIN - 1):
        skew.note_answer(theirs_ns=0, sent_ns=START_NS, received_ns=START_NS + 1)

    assert skew.verdict().offset_seconds is None


@pytest.mark.parametrize(("late_seconds", "offset"), [(5.0, None), (0.0, None), (-3.0, -3.0)])
def test_reports_prove_only_that_we_are_behind(late_seconds: float, offset: float | None) -> None:
    """A report cannot come before it was made; that it comes late proves nothing."""
    skew = ClockSkew()
    for number in range(READINGS_MIN):
        exchange_ns = START_NS + number * SECOND
        received_ns = exchange_ns + round(late_seconds * SECOND)
        skew.note_report(exchange_ns=exchange_ns, received_ns=received_ns)

    assert skew.verdict().offset_seconds == offset


def test_readings_of_before_a_step_are_forgotten() -> None:
    """A clock that was set has no known offset until it is measured again."""
    skew = measured(10.0, seed=0)
    skew.forget()

    assert skew.verdict().offset_seconds is None


@pytest.mark.parametrize(
    ("wall", "monotonic", "jump"),
    [(1.0, 1.0, 0.0), (1.3, 1.0, 0.0), (3.0, 1.0, 2.0), (-9.0, 1.0, -10.0)],
)
def test_a_step_is_the_difference_of_two_clocks(wall: float, monotonic: float, jump: float) -> None:
    """Less than half a second is slewing or a late look."""
    before = Now(START_NS, 5 * SECOND)
    after = Now(START_NS + round(wall * SECOND), 5 * SECOND + round(monotonic * SECOND))

    assert wall_jump_seconds(before, after) == pytest.approx(jump)
