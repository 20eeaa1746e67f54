"""Thousands of exits under every fault class, crashes included: no promise is broken.

`SQUAREOFF_SIMULATION_EXITS` sets how many exits under faults (default 20,000). A failing seed
prints its knobs and can be run alone by `python -m squareoff.simulator.virtual SEED --knobs '...'`.
"""

import os

import pytest

from squareoff.simulator.campaign.runner import run_one
from squareoff.simulator.virtual.knobs import draw_knobs
from squareoff.simulator.virtual.run_report import RunReport

EXIT_COUNT = int(os.environ.get("SQUAREOFF_SIMULATION_EXITS", "20000"))
EXITS_PER_CHUNK = 200
SEEDS_PER_CHUNK_MAX = 1_000
OUTLAW_SEEDS = EXIT_COUNT // 200
OUTLAW_SEEDS_PER_CHUNK = 10


def _story(report: RunReport) -> str:
    return f"{report.summary()}\n  --knobs '{report.knobs.describe()}'"


@pytest.mark.parametrize("chunk", range(max(1, EXIT_COUNT // EXITS_PER_CHUNK)))
def test_every_promise_holds_under_every_lawful_fault(chunk: int) -> None:
    """Whatever the network, the broker, people, the database, the clock and crashes do."""
    reports: list[RunReport] = []
    exits = 0
    first = chunk * SEEDS_PER_CHUNK_MAX
    print(f"seeds from {first}")
    for seed in range(first, first + SEEDS_PER_CHUNK_MAX):
        report = run_one(seed, draw_knobs(seed))
        reports.append(report)
        exits += report.exits if report.faults else 0
        if exits >= EXITS_PER_CHUNK:
            break

    assert [_story(report) for report in reports if not report.is_good] == []
    assert exits >= EXITS_PER_CHUNK
    assert sum(len(report.crashes) for report in reports) > 0


@pytest.mark.parametrize("first", range(0, OUTLAW_SEEDS, OUTLAW_SEEDS_PER_CHUNK))
def test_what_is_beyond_the_bound_is_detected_and_told(first: int) -> None:
    """An order that takes effect after the quarantine, or twice, ends in a critical alarm."""
    seeds = range(first, first + OUTLAW_SEEDS_PER_CHUNK)
    reports = [run_one(seed, draw_knobs(seed, outlaw=True)) for seed in seeds]

    assert [_story(report) for report in reports if not report.is_good] == []
    assert sum(report.faults.get("outlaw_twice", 0) for report in reports) > 0
