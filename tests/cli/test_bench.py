"""`squareoff bench` runs the real thing and reports its figures; how fast it is, is not tested."""

import json
import subprocess

import pytest

from squareoff.cli.bench.percentiles import percentile
from squareoff.cli.demo.processes import program


def test_the_exit_benchmark_times_real_exits() -> None:
    """Engine, simulator and floor run, and the ratios are those of the figures beside them."""
    done = subprocess.run(
        [*program(), "bench", "exit", "--samples", "20", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    figures = json.loads(done.stdout)

    assert figures["samples"] == 20
    for name in ("p50", "p99"):
        floor = figures[f"floor_{name}_seconds"]
        assert floor > 0
        assert figures[f"{name}_ratio"] == pytest.approx(figures[f"{name}_seconds"] / floor)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.99, 4), (0.01, 1), (1.0, 4)])
def test_percentiles_are_of_the_sample_itself(share: float, expected: int) -> None:
    """Nearest rank: always a value that was measured."""
    assert percentile([4, 1, 3, 2], share) == expected
