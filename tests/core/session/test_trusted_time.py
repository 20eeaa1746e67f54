"""Of three clocks two that agree are believed, and a doubt ends."""

import pytest

from squareoff.core.session.trusted_time import DOUBT_SECONDS, TrustedNow, TrustedTime
from squareoff.domain.time import Now, seconds_to_ns

START_NS = 1_789_440_000 * 10**9
HOUR, DAY = 3_600.0, 86_400.0


class Machine:
    """A machine whose wall clock may be set; `true` is how long it runs, seconds."""

    def __init__(self) -> None:
        self.true = 0.0
        self.lead = 0.0
        self.trusted = TrustedTime(self._now())

    def _now(self) -> Now:
        running_ns = seconds_to_ns(self.true)
        return Now(START_NS + running_ns + seconds_to_ns(self.lead), 7 + running_ns)

    def run(self, seconds: float) -> TrustedNow:
        """Look every second for so long."""
        for _ in range(round(seconds)):
            self.true += 1.0
            look = self.trusted.look(self._now())
        return look

    def errors(self, look: TrustedNow) -> tuple[float, float]:
        """Return how far what is believed is ahead of the truth: of day and duration."""
        true_ns = START_NS + seconds_to_ns(self.true)
        assert look.day.monotonic_ns == look.steady.monotonic_ns == self._now().monotonic_ns
        return (look.day.wall_ns - true_ns) / 1e9, (look.steady.wall_ns - true_ns) / 1e9


@pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, -DAY, 0.6, -3.0])
def test_a_step_that_nobody_explains_counts_for_times_of_the_day_after_a_while(step: float) -> None:
    """For a minute the time before it holds, then the wall clock; durations never take it in."""
    machine = Machine()
    machine.run(5)
    machine.lead = step

    assert machine.errors(machine.run(DOUBT_SECONDS)) == pytest.approx((0, 0))
    assert machine.trusted.is_in_doubt
    assert machine.errors(machine.run(1)) == pytest.approx((step, 0))
    assert machine.errors(machine.run(500)) == pytest.approx((step, 0))
    assert not machine.trusted.is_in_doubt


@pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, 0.6])
def test_a_broker_who_agrees_with_the_time_before_is_believed(step: float) -> None:
    """What both say holds beyond the minute, and a second step starts from it."""
    machine = Machine()
    machine.run(5)
    machine.lead = step
    machine.run(10)
    machine.trusted.note_offset(step)

    assert machine.errors(machine.run(500)) == pytest.approx((0, 0))
    assert not machine.trusted.is_in_doubt
    machine.lead = step + 2 * HOUR
    assert machine.errors(machine.run(10)) == pytest.approx((0, 0))
    assert machine.trusted.is_in_doubt


def test_a_broker_who_agrees_with_the_wall_clock_is_believed() -> None:
    """A clock that was wrong from the start and is set right counts at once."""
    machine = Machine()
    machine.lead = -HOUR
    machine.trusted = TrustedTime(machine._now())
    machine.run(5)
    machine.lead = 0.0
    machine.trusted.look(machine._now())
    machine.trusted.note_offset(0.2)

    assert machine.errors(machine.run(1)) == pytest.approx((0, 0))


def test_a_broker_who_agrees_with_neither_withholds_nothing_for_ever() -> None:
    """After the minute the wall clock counts."""
    machine = Machine()
    machine.run(5)
    machine.lead = HOUR
    machine.run(1)
    machine.trusted.note_offset(2 * HOUR)

    assert machine.errors(machine.run(DOUBT_SECONDS - 1)) == pytest.approx((0, 0))
    assert machine.errors(machine.run(1)) == pytest.approx((HOUR, 0))


def test_an_offset_of_before_the_step_says_nothing() -> None:
    """It told of the clock as it stood."""
    machine = Machine()
    machine.trusted.note_offset(0.0)
    machine.run(5)
    machine.lead = HOUR

    assert machine.errors(machine.run(10)) == pytest.approx((0, 0))


def test_steps_one_after_the_other_prolong_no_doubt() -> None:
    """The minute counts from the first step that nobody has explained."""
    machine = Machine()
    machine.run(5)
    for number in range(6):
        machine.lead = (number + 1) * HOUR
        machine.run(10)

    assert machine.errors(machine.run(1)) == pytest.approx((6 * HOUR, 0))


def test_a_clock_that_is_set_back_to_where_it_stood_is_right() -> None:
    """Two steps that cancel leave no doubt."""
    machine = Machine()
    machine.run(5)
    machine.lead = DAY
    machine.run(10)
    machine.lead = 0.01

    assert machine.errors(machine.run(1)) == pytest.approx((0.01, 0.01))
    assert not machine.trusted.is_in_doubt


def test_without_a_step_the_wall_clock_is_believed() -> None:
    """One that was wrong from the start, or drifts, is followed, whatever the broker says."""
    machine = Machine()
    machine.trusted.note_offset(HOUR)

    assert machine.errors(machine.run(5)) == pytest.approx((0, 0))
    for _ in range(100):
        machine.lead += 0.1
        errors = machine.errors(machine.run(1))
    assert errors == pytest.approx((10.0, 10.0))
