"""Thousands of seeds under every fault class, crashes included: no promise is broken.

`SQUAREOFF_SIMULATION_SEEDS` sets how many (default 2000); a failing seed prints its knobs and can
be run alone by `python -m squareoff.simulator.virtual SEED`.
"""

import os

import pytest

from squareoff.simulator.virtual.knobs import draw_knobs
from squareoff.simulator.virtual.run_seed import RunReport, run_seed

SEED_COUNT = int(os.environ.get("SQUAREOFF_SIMULATION_SEEDS", "2000"))
OUTLAW_COUNT = SEED_COUNT // 10
CHUNK = 50


def _story(report: RunReport) -> str:
    return f"{report.summary()}\n  knobs: {report.knobs.describe()}"


def _run(first: int, last: int, *, outlaw: bool) -> list[RunReport]:
    print(f"seeds {first}..{last - 1}{' outlaw' if outlaw else ''}")
    return [run_seed(seed, knobs=draw_knobs(seed, outlaw=outlaw)) for seed in range(first, last)]


@pytest.mark.parametrize("first", range(0, SEED_COUNT, CHUNK))
def test_every_promise_holds_under_every_lawful_fault(first: int) -> None:
    """Whatever the network, the broker, the database and crashes do, no seed breaks a promise."""
    reports = _run(first, min(first + CHUNK, SEED_COUNT), outlaw=False)

    assert [_story(report) for report in reports if not report.is_good] == []
    assert sum(report.exits for report in reports) > 0
    assert sum(len(report.crashes) for report in reports) > 0


@pytest.mark.parametrize("first", range(0, OUTLAW_COUNT, CHUNK))
def test_what_is_beyond_the_bound_is_detected_and_told(first: int) -> None:
    """An order that takes effect after the quarantine, or twice, ends in a critical alarm."""
    reports = _run(first, min(first + CHUNK, OUTLAW_COUNT), outlaw=True)

    assert [_story(report) for report in reports if not report.is_good] == []
    assert sum(report.faults.get("outlaw_twice", 0) for report in reports) > 0
