"""Runs under faults and crashes whose account has a maximum loss: no promise is broken by it.

The seeds are those of the other runs, with a rule of the account beside what they draw.
"""

from dataclasses import replace

import pytest

from squareoff.simulator.campaign.runner import run_one
from squareoff.simulator.virtual.knobs import draw_knobs
from squareoff.simulator.virtual.run_report import RunReport

SEEDS_PER_CHUNK = 10
LOSS_RUPEES = 1_500


def _run(seed: int) -> RunReport:
    return run_one(seed, replace(draw_knobs(seed), account_max_loss=LOSS_RUPEES))


@pytest.mark.parametrize("first", range(0, 40, SEEDS_PER_CHUNK))
def test_a_loss_of_the_account_keeps_every_promise(first: int) -> None:
    """Exits once and right, entries held back, nothing left open: whatever else befalls the run."""
    reports = [_run(seed) for seed in range(first, first + SEEDS_PER_CHUNK)]

    bad = [f"{r.summary()}\n  --knobs '{r.knobs.describe()}'" for r in reports if not r.is_good]
    assert bad == []
    assert sum(report.marks["account rule fired"] for report in reports) > 0
