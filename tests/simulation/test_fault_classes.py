"""What the classes of faults strike: calls, the quotes among the reads, and the account's facts."""

import asyncio
import random
from typing import Any

import pytest

from squareoff.domain.errors import CommitOutcomeUnknown
from squareoff.simulator.faults import FaultPlan, FaultPoint
from squareoff.simulator.virtual.coverage import Coverage
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES
from squareoff.simulator.virtual.incarnation import Incarnation
from squareoff.simulator.virtual.knobs import NO_CRASH, Knobs
from squareoff.simulator.virtual.run_seed import run_seed
from squareoff.simulator.virtual.store_at_risk import StoreAtRisk, StoreFaults

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


def test_a_fill_that_the_stream_called_a_cancel_is_found_and_counts_once() -> None:
    """The order book denies the end that the stream told: what filled is booked, never resent."""
    rates = {"stream_cancel_of_filled": 0.9}
    knobs = Knobs(chaos_seconds=25.0, position_count=8, rates=rates)
    reports = [run_seed(seed, knobs=knobs) for seed in range(6)]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert sum(report.marks["fill after cancel"] for report in reports) > 0


class _Records:
    """A store that keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    async def record(self, facts: Any, _at_ns: int) -> tuple[()]:
        self.kept.append(facts)
        return ()


def test_the_commit_of_an_account_fact_may_be_kept_or_not_and_says_neither() -> None:
    """The kill switch and a fired account rule meet an unknown COMMIT as a tracker does."""
    struck: list[str] = []
    inner = _Records()
    store = StoreAtRisk(
        inner,
        Incarnation(1, NO_CRASH, lambda *_: None),
        StoreFaults({"store_commit_unknown": 1.0}),
        random.Random(3),
        coverage=Coverage(),
        strike=struck.append,
        now_ns=int,
    )

    async def record_often() -> None:
        for _ in range(20):
            with pytest.raises(CommitOutcomeUnknown):
                await store.record((), 1)

    asyncio.run(record_often())

    assert 0 < len(inner.kept) < 20
    assert struck == ["store_commit_unknown"] * 20


def test_a_process_that_is_told_to_stop_ends_in_good_order() -> None:
    """It ends by itself, with a write on its way too, gives the account back, and its heir goes
    on."""
    knobs = Knobs(
        chaos_seconds=25.0,
        position_count=8,
        rates={"write_slow": 0.5},
        events={"clean_stop": 3},
        has_standby=True,
    )
    reports = [run_seed(seed, knobs=knobs) for seed in range(12)]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert {where for report in reports for where in report.crashes} == {"its end in good order"}
    assert sum(report.cells["exit SENT", "clean_stop"] for report in reports) > 0
    assert sum(report.faults.get("takeover", 0) for report in reports) == 0
