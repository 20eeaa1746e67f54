"""What the classes of faults strike: calls, the quotes among the reads."""

import random

import pytest

from squareoff.simulator.faults import FaultPlan, FaultPoint
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES
from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.run_seed import run_seed

QUOTES = FaultPoint(method="POST", path="/marketfeed/quote")
LISTS_ALONE = frozenset({"read_empty_list"})


@pytest.mark.parametrize(
    "name", sorted(n for n in FAULT_CLASSES if n.startswith("read_") and n not in LISTS_ALONE)
)
def test_every_fault_of_reads_strikes_the_quotes_too(name: str) -> None:
    """The quote call is a read in spite of its verb: what befalls reads befalls it."""
    plan = FaultPlan(random.Random(1))
    plan.add(FAULT_CLASSES[name](1.0), 0)

    assert plan.decide(QUOTES, 1).rule_ids == (f"{name}/quotes",)
    assert len(plan.decide(FaultPoint(method="GET", path="/orders"), 1).rule_ids) == 1
    assert plan.decide(FaultPoint(method="POST", path="/orders"), 1).rule_ids == ()


def test_a_lagging_quote_is_asked_for_and_survived() -> None:
    """Where the feed falls silent, quotes of some seconds ago fire nothing that was not traded."""
    knobs = Knobs(
        chaos_seconds=25.0, position_count=8, rates={"lag_quotes": 0.9}, events={"feed_silent": 2}
    )
    reports = [run_seed(seed, knobs=knobs) for seed in range(4)]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert sum(report.faults.get("lag_quotes", 0) for report in reports) > 0
