"""The same seed gives the same run, in this process and in another with another hash seed."""

import os
import subprocess
import sys

import pytest

from squareoff.simulator.virtual.run_seed import run_seed

SEEDS = (3, 11, 52, 94, 155, 203)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    """A seed run twice, with other seeds between, gives the same trace and the same report."""
    first = run_seed(seed)
    run_seed(seed + 1)
    again = run_seed(seed)

    assert again.trace.lines == first.trace.lines
    assert again.trace_hash == first.trace_hash
    assert again.summary() == first.summary()


def test_the_trace_does_not_depend_on_the_hash_seed() -> None:
    """No order of a set or dict of this Python reaches the run."""
    expected = [run_seed(seed).trace_hash[:16] for seed in SEEDS]

    for hash_seed in ("1", "4242"):
        output = subprocess.run(
            [sys.executable, "-m", "squareoff.simulator.virtual", *map(str, SEEDS)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        heads = [line for line in output.splitlines() if line.startswith("seed ")]
        assert [line.split("trace ")[1][:16] for line in heads] == expected
