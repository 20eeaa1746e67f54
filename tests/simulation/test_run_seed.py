"""A run as a whole: calm runs, single faults, and the command that runs seeds."""

import pytest

from squareoff.simulator.campaign.matrix import all_classes
from squareoff.simulator.virtual.__main__ import main
from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    OUTLAW_EVENTS,
    OWNER_PREFIX,
    STORE_CLASSES,
)
from squareoff.simulator.virtual.fault_classes import (
    ACTING_BEHIND_AN_ERROR,
    FAULT_CLASSES,
    OUTLAW_CLASSES,
    TRULY_REFUSING,
)
from squareoff.simulator.virtual.knobs import Knobs, draw_knobs
from squareoff.simulator.virtual.run_seed import run_seed


def test_a_calm_run_closes_what_was_asked_for() -> None:
    """Without faults every claim ends in an exit."""
    report = run_seed(4, knobs=Knobs(chaos_seconds=10.0, position_count=2))

    assert report.is_good, report.summary()
    assert report.claims == report.exits == 2
    assert report.faults == {}


@pytest.mark.parametrize("name", sorted((*FAULT_CLASSES, *ANSWER_CLASSES, *NETWORK_CLASSES)))
def test_each_fault_class_alone_is_survived(name: str) -> None:
    """Each class at half of all events, alone, breaks no promise."""
    rate = 0.08 if name == "feed_spike" else 0.5
    reports = [
        run_seed(seed, knobs=Knobs(chaos_seconds=12.0, rates={name: rate})) for seed in (4, 11, 13)
    ]

    assert [report.summary() for report in reports if not report.is_good] == []


@pytest.mark.parametrize("name", sorted(n for n in STORE_CLASSES if n.startswith(OWNER_PREFIX)))
def test_each_fault_of_the_owners_row_alone_is_survived(name: str) -> None:
    """With two engines on the account, whatever befalls the row that says who owns it."""
    knobs = Knobs(chaos_seconds=12.0, rates={name: 0.5}, events={"kill": 2}, has_standby=True)
    reports = [run_seed(seed, knobs=knobs) for seed in (4, 11, 13)]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert sum(report.faults.get(name, 0) for report in reports) > 0


def test_another_engine_on_its_own_database_and_a_bust_are_told() -> None:
    """Neither can be prevented: a person hears of both, which the auditor demands."""
    events = dict.fromkeys(OUTLAW_EVENTS, 2)
    knobs = Knobs(chaos_seconds=20.0, position_count=8, events=events, outlaws={"outlaw_late": 0})
    reports = [run_seed(seed, knobs=knobs) for seed in range(6)]

    assert [report.summary() for report in reports if not report.is_good] == []
    for name in OUTLAW_EVENTS:
        assert sum(report.faults.get(name, 0) for report in reports) > 0, name


@pytest.mark.parametrize("name", sorted(EVENT_CLASSES))
def test_each_event_alone_is_survived(name: str) -> None:
    """Each event, three times in a run without any other fault, breaks no promise."""
    reports = [
        run_seed(seed, knobs=Knobs(chaos_seconds=15.0, position_count=4, events={name: 3}))
        for seed in (4, 11, 13)
    ]

    assert [report.summary() for report in reports if not report.is_good] == []


def test_every_fault_class_hits_in_some_run() -> None:
    """No class is dead: over a thousand seeds each is drawn, and none is drawn by all."""
    knobs = [draw_knobs(seed) for seed in range(1_000)]
    drawn = [{*each.rates, *each.events, *each.strikes} for each in knobs]
    outlaws = {*OUTLAW_CLASSES, *OUTLAW_EVENTS}

    assert set.union(*drawn) | outlaws == set(all_classes())
    assert not set.union(*drawn) & outlaws
    assert set.intersection(*drawn) == set()
    assert not any(d & TRULY_REFUSING and d & ACTING_BEHIND_AN_ERROR for d in drawn)


def test_the_command_prints_a_line_per_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m squareoff.simulator.virtual 3..4` runs two seeds and exits with 0."""
    status = main(["3..4"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line[:8] for line in lines if line.startswith("seed")] == ["seed 3: ", "seed 4: "]
