"""A soak of seconds with real processes; what it measures is not judged here."""

import asyncio
from pathlib import Path

from squareoff.simulator.soak.__main__ import run_soak
from squareoff.simulator.soak.driving import SoakPlan


def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    """Every print that crossed a stop fired it, nothing else was closed, and the books agree."""
    plan = SoakPlan(
        seconds=8.0,
        positions=8,
        rate=1_000,
        burst_rate=2_000,
        fire_every=0.5,
        fault_every=5.0,
    )
    record, verdict = asyncio.run(run_soak(plan, tmp_path))

    assert verdict.broken == []
    assert verdict.figures["exits"] == verdict.figures["prints_that_crossed"] >= 1
    assert [fault for _, fault in record.faults] == ["feed cut"]
    assert verdict.figures["ticks_taken_in"] > 0
    assert record.samples[-1].tasks > 5
