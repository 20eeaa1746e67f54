"""The campaign around the seeds: tallies, coverage, shrinking, the report, and the fuzz."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from squareoff.simulator.campaign import runner
from squareoff.simulator.campaign.__main__ import main
from squareoff.simulator.campaign.earlier import load_report
from squareoff.simulator.campaign.fuzz.answers import fuzz_answers
from squareoff.simulator.campaign.fuzz.frames import fuzz_frames
from squareoff.simulator.campaign.fuzz.live import fuzz_live
from squareoff.simulator.campaign.fuzz.packets import fuzz_packets
from squareoff.simulator.campaign.fuzz.runner import Fuzzer, run_part
from squareoff.simulator.campaign.fuzz.tally import FuzzTally
from squareoff.simulator.campaign.matrix import (
    all_classes,
    impossible_hits,
    missing_cells,
    why_impossible,
)
from squareoff.simulator.campaign.runner import knobs_of, run_chunk, run_one
from squareoff.simulator.campaign.shrink import shrink
from squareoff.simulator.campaign.tally import Tally
from squareoff.simulator.virtual.aims import aims_of
from squareoff.simulator.virtual.coverage import RECOVERING, STATES
from squareoff.simulator.virtual.knobs import Knobs, draw_knobs, parse_knobs
from squareoff.simulator.virtual.recipes import LONG_REST, RECIPES, seconds_of
from squareoff.simulator.virtual.run_report import RunReport
from squareoff.simulator.virtual.run_seed import run_seed

CHUNK = 4
"""Runs to a chunk here: what is shown of chunks does not hang on their size."""


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk, the least that a campaign runs, be small."""
    monkeypatch.setattr(runner, "CHUNK", CHUNK)


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_is_tallied_and_its_first_run_repeated() -> None:
    """A chunk adds up its runs; one of them is run twice and gave the same trace."""
    tally = run_chunk(0)

    assert (tally.runs, tally.replayed_runs, tally.violations) == (CHUNK, 1, [])
    assert tally.exits >= tally.faulted_exits > 0
    assert tally.cells and tally.marks and tally.struck and tally.points


def test_two_tallies_add_up() -> None:
    """Adding a tally adds every sum and every counter."""
    one, both = Tally(), Tally()
    one.take(run_one(2, knobs_of(2)))
    both.add(one)
    both.add(one)

    assert (both.runs, both.exits) == (2, 2 * one.exits)
    assert both.struck == one.struck + one.struck


def test_knobs_can_be_read_back() -> None:
    """What a report prints of a run's knobs gives that run again."""
    knobs = draw_knobs(17)

    assert parse_knobs(knobs.describe()) == knobs


def test_a_violated_run_is_made_small() -> None:
    """What the violation does not need is left out of the knobs."""
    knobs = Knobs(
        rates={"reject": 0.2, "feed_drop": 0.2, "read_slow": 0.5},
        events={"halt": 1, "pause": 1},
        position_count=4,
        thin_market=True,
    )

    def run(seed: int, tried: Knobs) -> RunReport:
        is_bad = "reject" in tried.rates and "pause" in tried.events
        return RunReport(seed, tried, violations=["I2: over"] if is_bad else [])

    assert shrink(1, knobs, run) == Knobs(
        rates={"reject": 0.2}, events={"pause": 1}, position_count=1
    )


def test_every_cell_is_wanted_or_has_a_reason() -> None:
    """With no hits at all, exactly the cells without a reason are missing."""
    missing = missing_cells(Counter(), 1)
    possible = [(s, c) for s in STATES for c in all_classes() if not why_impossible(s, c)]

    assert sorted((s, c) for s, c, _ in missing) == sorted(possible)
    assert len(set(all_classes())) == len(all_classes())


def test_a_hit_of_a_cell_that_cannot_be_fails_the_run() -> None:
    """A reason that a run contradicts is a false one: the run counts as violated."""
    found = Counter({(RECOVERING, "write_lost"): 2, (RECOVERING, "read_lost"): 5})

    assert impossible_hits(found) == [(RECOVERING, "write_lost", 2)]


def test_aimed_seeds_come_by_every_state_and_class() -> None:
    """Some thousand aimed seeds ask for every pair of a state and a class that has a recipe."""
    asked = {
        (state, name)
        for aims in map(aims_of, range(6_000))
        for state in aims.states
        for name in aims.strikes
    }
    lawful = {name for name in all_classes() if not name.startswith("outlaw_")}

    assert set(RECIPES) == set(STATES)
    assert {(s, c) for s in RECIPES for c in lawful - {"kill"}} <= asked


@pytest.mark.parametrize("aim", ["blocked token_dead", "exit ABSENT", "cancel under way"])
def test_an_aimed_run_strikes_in_its_state(aim: str) -> None:
    """What strikes while it is aimed at strikes there, and breaks no promise."""
    knobs = Knobs(
        chaos_seconds=seconds_of((aim,)),
        position_count=8,
        aims=(aim,),
        strikes=("read_slow", "feed_drop", "clock_step"),
    )
    reports = [run_seed(seed, knobs=knobs) for seed in range(16)]

    assert [report.summary() for report in reports if not report.is_good] == []
    for name in knobs.strikes:
        assert sum(report.cells[aim, name] for report in reports) > 0, name


def test_a_long_rest_uses_up_the_modifications() -> None:
    """An order that rests while the market runs away is modified 25 times, and then replaced."""
    knobs = Knobs(chaos_seconds=seconds_of((LONG_REST,)), position_count=4, aims=(LONG_REST,))
    reports = [run_seed(seed, knobs=knobs) for seed in range(3)]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert sum(report.marks["modified 25 times"] for report in reports) > 0


@pytest.mark.usefixtures("small_chunks")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--exits` ends the campaign; Markdown and JSON say what was run."""
    path = tmp_path / "report.md"
    status = main(["--exits", "5", "--workers", "1", "--seed-base", "40", "--report", str(path)])

    told = json.loads(path.with_suffix(".json").read_text())
    assert status == 0, capsys.readouterr().out
    assert told["faulted_exits"] >= 5 and told["parts"][0]["first_seed"] == 40
    assert path.read_text().startswith("# Campaign of simulated exits")


@pytest.mark.usefixtures("small_chunks")
def test_a_campaign_in_two_parts_adds_up(tmp_path: Path) -> None:
    """The second part goes on with the next seed, and the sums are those of all seeds."""
    first, both = tmp_path / "first.json", tmp_path / "both.json"
    one = ["--exits", "1", "--workers", "1"]
    assert main([*one, "--seed-base", "60", "--report", str(first.with_suffix(".md"))]) == 0
    more = ["--after", str(first), "--exits", "1", "--workers", "1"]
    assert main([*more, "--report", str(both.with_suffix(".md"))]) == 0
    before, after = json.loads(first.read_text()), json.loads(both.read_text())

    expected = Tally()
    expected.add(run_chunk(60))
    expected.add(run_chunk(60 + CHUNK))
    assert [part["first_seed"] for part in after["parts"]] == [60, 60 + CHUNK]
    assert after["parts"][0] == before["parts"][0]
    assert after["faulted_exits"] == expected.faulted_exits > before["faulted_exits"]
    assert after["faults"] == dict(sorted(expected.struck.items()))
    whole, parts = load_report(both)
    in_matrix = {cell: hits for cell, hits in expected.cells.items() if cell[1] in all_classes()}
    assert (whole.cells, whole.points) == (in_matrix, expected.points)
    assert sum(part.runs for part in parts) == expected.runs


def test_two_engines_take_over_from_each_other() -> None:
    """A standby takes over from an owner that died or stood still, and no promise is broken."""
    reports = [
        run_seed(seed, knobs=replace(draw_knobs(seed), has_standby=True, events={"pause": 1}))
        for seed in range(1, 13)
    ]

    assert [report.summary() for report in reports if not report.is_good] == []
    assert sum(report.faults.get("takeover", 0) for report in reports) > 0


@pytest.mark.parametrize(
    ("fuzzer", "cases"),
    [
        pytest.param(fuzz_frames, 10_000, id="order updates"),
        pytest.param(fuzz_answers, 10_000, id="REST answers"),
        pytest.param(fuzz_packets, 10_000, id="feed packets"),
        pytest.param(fuzz_live, 3_000, id="a live engine"),
    ],
)
def test_nothing_escapes_and_nothing_is_made_up(fuzzer: Fuzzer, cases: int) -> None:
    """Whatever comes from the broker is read as said, or refused in the port's own words."""
    tally = FuzzTally("slice")
    fuzzer(random.Random("slice"), cases, tally)

    assert tally.violations == []
    assert tally.cases == cases


def test_the_same_fuzz_seed_gives_the_same_cases() -> None:
    """A part is repeatable."""
    first, again = (run_part("feed packets", 3, 500) for _ in range(2))

    assert first.outcomes == again.outcomes
