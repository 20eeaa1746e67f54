"""Figures of a soak: histograms, slopes, and the engine's own metrics."""

import os

import pytest

from squareoff.simulator.soak.watching import (
    CLAIM,
    look_at,
    quantile_bound,
    slope_per_hour,
    times_of,
    value_of,
)

METRICS = """\
# HELP squareoff_tasks Tasks
squareoff_tasks 12.0
squareoff_ticks_total 345.0
squareoff_socket_up{socket="market_feed"} 1.0
squareoff_socket_up{socket="order_updates"} 1.0
squareoff_trigger_to_claim_seconds_bucket{le="0.005"} 90.0
squareoff_trigger_to_claim_seconds_bucket{le="0.01"} 98.0
squareoff_trigger_to_claim_seconds_bucket{le="0.025"} 100.0
squareoff_trigger_to_claim_seconds_bucket{le="+Inf"} 100.0
"""


def test_metrics_are_read() -> None:
    """A plain value, the sum over labels, and nothing for what is not there."""
    assert value_of(METRICS, "squareoff_tasks") == 12
    assert value_of(METRICS, "squareoff_socket_up") == 2
    assert value_of(METRICS, "squareoff_other") == 0


def test_a_quantile_is_bounded_by_its_bucket() -> None:
    """The bound that at least so many were within; none where nothing was timed."""
    times = times_of(METRICS, CLAIM)

    assert quantile_bound(times, 0.90) == 0.005
    assert quantile_bound(times, 0.99) == 0.025
    assert quantile_bound({}, 0.99) is None


def test_a_slope_is_per_hour() -> None:
    """One a second is 3,600 an hour; two points tell nothing."""
    assert slope_per_hour([(0.0, 5.0), (1.0, 6.0), (2.0, 7.0)]) == pytest.approx(3_600)
    assert slope_per_hour([(0.0, 5.0), (1.0, 6.0)]) is None
    assert slope_per_hour([(1.0, 5.0), (1.0, 6.0), (1.0, 7.0)]) is None


def test_a_process_is_looked_at() -> None:
    """Memory, descriptors, threads and processor time of a living process, tasks by its metrics."""
    sample = look_at(os.getpid(), 3.0, METRICS)

    assert sample.resident_bytes > 1_000_000
    assert sample.descriptors >= 3
    assert sample.threads >= 1
    assert sample.tasks == 12
    assert sample.processor_seconds > 0
