"""Runs under faults and crashes whose feed lags by up to 20 seconds: no promise is broken by it.

The seeds are those of the other runs, with the lag beside what they draw.
"""

from dataclasses import replace

from squareoff.simulator.campaign.runner import run_one
from squareoff.simulator.virtual.knobs import draw_knobs

SEEDS = range(600_000, 600_010)
LATE_SECONDS = 20.0


def test_a_feed_that_lags_keeps_every_promise() -> None:
    """Late prints fire in their order, once, at prices that were traded and reached the level."""
    reports = [
        run_one(seed, replace(draw_knobs(seed), feed_late_seconds=LATE_SECONDS)) for seed in SEEDS
    ]

    bad = [f"{r.summary()}\n  --knobs '{r.knobs.describe()}'" for r in reports if not r.is_good]
    assert bad == []
    assert sum(report.marks["late print fired"] for report in reports) > 0
