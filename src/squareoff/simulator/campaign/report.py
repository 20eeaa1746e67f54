"""The report of a campaign: Markdown for people, JSON for machines, from one tally."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from squareoff.simulator.campaign.earlier import Part
from squareoff.simulator.campaign.fuzz.tally import FuzzTally
from squareoff.simulator.campaign.matrix import (
    HITS_WANTED,
    all_classes,
    missing_cells,
    why_impossible,
)
from squareoff.simulator.campaign.tally import Tally, Violation
from squareoff.simulator.virtual.coverage import STATES
from squareoff.simulator.virtual.marks import MARKS, OUTLAW_MARKS

YEAR_SECONDS = 31_557_600.0
MISSING_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class CampaignRun:
    """One campaign and what it showed: the sums over all its parts, the newest part last."""

    tally: Tally
    parts: list[Part]
    fuzz: list[FuzzTally] = field(default_factory=list)

    @property
    def worker_seconds(self) -> float:
        """Return the real time of all workers, seconds."""
        return sum(part.seconds * part.workers for part in self.parts)

    @property
    def marks_missed(self) -> list[str]:
        """Return the marks that no run has shown."""
        return [name for name in (*MARKS, *OUTLAW_MARKS) if not self.tally.marks[name]]

    @property
    def fuzz_violations(self) -> list[str]:
        """Return what the fuzz found."""
        return [line for part in self.fuzz for line in part.violations]

    def cells_missing(self, wanted: int) -> list[tuple[str, str, int]]:
        """Return the cells with fewer hits than wanted."""
        return missing_cells(self.tally.cells, wanted)


def as_json(run: CampaignRun) -> dict[str, Any]:
    """Return everything as JSON values."""
    tally = run.tally
    return {
        "parts": [part.as_json() for part in run.parts],
        "exits": tally.exits,
        "faulted_exits": tally.faulted_exits,
        "claims": tally.claims,
        "orders": tally.orders,
        "crashes": tally.crashes,
        "virtual_seconds": round(tally.virtual_seconds),
        "replayed_runs": tally.replayed_runs,
        "faults": dict(sorted(tally.struck.items())),
        "cells": {
            state: {
                name: tally.cells[state, name] for name in all_classes() if tally.cells[state, name]
            }
            for state in STATES
        },
        "cells_below_wanted": [list(cell) for cell in run.cells_missing(HITS_WANTED)],
        "marks": {name: tally.marks[name] for name in (*MARKS, *OUTLAW_MARKS)},
        "points_passed": dict(sorted(tally.points.items())),
        "crash_points": dict(sorted(tally.crash_points.items())),
        "violated_runs": tally.violated_runs,
        "violations": [_violation_json(each) for each in tally.violations],
        "fuzz": [part.as_json() for part in run.fuzz],
    }


def _violation_json(violation: Violation) -> dict[str, Any]:
    return {
        "seed": violation.seed,
        "outlaw": violation.is_outlaw,
        "lines": violation.lines,
        "knobs": violation.shrunk_knobs or violation.knobs,
    }


def as_markdown(run: CampaignRun) -> str:
    """Return the report for people."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: CampaignRun) -> Iterator[str]:
    tally = run.tally
    yield "# Campaign of simulated exits"
    yield ""
    yield from _table(_head(run), "what", "figure")
    yield from _part_lines(run)
    yield from _violation_lines(run)
    yield "## Marks"
    yield ""
    texts = {**MARKS, **OUTLAW_MARKS}
    yield "| mark | seen | what it is |"
    yield "| --- | ---: | --- |"
    for name, text in texts.items():
        yield f"| {name} | {tally.marks[name]:,} | {text} |"
    yield ""
    yield "## Faults that struck"
    yield ""
    yield from _table({n: f"{tally.struck[n]:,}" for n in all_classes()}, "fault class", "struck")
    yield "## Where the process died"
    yield ""
    yield "`passed` counts the named points that processes passed, `died` where they were killed."
    yield ""
    yield "| point | passed | died |"
    yield "| --- | ---: | ---: |"
    for name in sorted({*tally.points, *tally.crash_points}):
        yield f"| {name} | {tally.points[name]:,} | {tally.crash_points[name]:,} |"
    yield ""
    yield from _matrix_lines(run)
    for part in run.fuzz:
        yield from part.as_lines()


def _head(run: CampaignRun) -> Mapping[str, str]:
    tally = run.tally
    possible = sum(1 for s in STATES for c in all_classes() if not why_impossible(s, c))
    years = tally.virtual_seconds / YEAR_SECONDS
    return {
        "runs": f"{tally.runs:,}",
        "exits confirmed": f"{tally.exits:,}",
        "of these in runs with faults": f"{tally.faulted_exits:,}",
        "orders at the broker": f"{tally.orders:,}",
        "faults that struck": f"{sum(tally.struck.values()):,}",
        "deaths of the process": f"{tally.crashes:,}",
        "virtual time": f"{tally.virtual_seconds:,.0f} s ({years:.2f} years)",
        "runs repeated for the same trace": f"{tally.replayed_runs:,}",
        "real time of all workers": f"{run.worker_seconds:,.0f} s",
        "exits per second and worker": f"{tally.exits / max(run.worker_seconds, 1e-9):.1f}",
        "runs violated": f"{tally.violated_runs:,}",
        "marks never seen": ", ".join(run.marks_missed) or "none",
        "cells that can be": f"{possible:,}",
        "cells never hit": f"{len(run.cells_missing(1)):,}",
        f"cells hit fewer than {HITS_WANTED} times": f"{len(run.cells_missing(HITS_WANTED)):,}",
    }


def _part_lines(run: CampaignRun) -> Iterator[str]:
    yield "## Parts"
    yield ""
    yield "| commit | seeds | exits under faults | runs violated | real time |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for part in run.parts:
        seeds = f"{part.first_seed} to {part.next_seed - 1}"
        time = f"{part.seconds:,.0f} s on {part.workers} workers"
        yield (
            f"| {part.commit} | {seeds} | {part.faulted_exits:,} | {part.violated_runs:,} "
            f"| {time} |"
        )
    yield ""


def _table(rows: Mapping[str, str], left: str, right: str) -> Iterator[str]:
    yield f"| {left} | {right} |"
    yield "| --- | ---: |"
    for name, value in rows.items():
        yield f"| {name} | {value} |"
    yield ""


def _violation_lines(run: CampaignRun) -> Iterator[str]:
    yield "## Violations"
    yield ""
    if not run.tally.violations:
        yield "None."
        yield ""
    kinds: Counter[str] = Counter()
    for violation in run.tally.violations:
        kinds.update({line.partition(":")[0] for line in violation.lines})
    for violation in run.tally.violations[:20]:
        yield f"Seed {violation.seed}{' (outlaw)' if violation.is_outlaw else ''}:"
        yield ""
        yield "```"
        yield from violation.lines[:5]
        yield replay_command(violation)
        yield "```"
        yield ""
    if kinds:
        yield from _table({n: str(c) for n, c in kinds.most_common()}, "invariant", "runs")


def replay_command(violation: Violation) -> str:
    """Return the command that runs a violated run again."""
    knobs = violation.shrunk_knobs or violation.knobs
    return f"python -m squareoff.simulator.virtual {violation.seed} --knobs '{knobs}'"


def _matrix_lines(run: CampaignRun) -> Iterator[str]:
    yield "## Coverage: strikes of each fault class while some exit was in the state"
    yield ""
    yield "A dash is a cell that cannot be; the reasons follow the table."
    yield ""
    yield "| fault class | " + " | ".join(STATES) + " |"
    yield "| --- |" + " ---: |" * len(STATES)
    for name in all_classes():
        cells = [_cell(run.tally.cells, state, name) for state in STATES]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    reasons = {why_impossible(s, c): None for s in STATES for c in all_classes()}
    for reason in filter(None, reasons):
        examples = sorted(
            {s for s in STATES for c in all_classes() if why_impossible(s, c) == reason}
        )
        yield f"- {', '.join(examples)}: {reason}."
    yield ""
    missing = run.cells_missing(HITS_WANTED)
    if missing:
        yield f"Cells below {HITS_WANTED} hits, {len(missing)} in all, the emptiest first:"
        yield ""
        yield "| state | fault class | hits |"
        yield "| --- | --- | ---: |"
        for state, name, count in missing[:MISSING_SHOWN_MAX]:
            yield f"| {state} | {name} | {count} |"
        yield ""


def _cell(cells: Counter[tuple[str, str]], state: str, name: str) -> str:
    return "-" if why_impossible(state, name) else f"{cells[state, name]:,}"
