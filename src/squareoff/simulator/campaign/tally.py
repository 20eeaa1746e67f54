"""What a part of a campaign showed, and how parts add up."""

from collections import Counter
from dataclasses import dataclass, field

from squareoff.simulator.virtual.run_report import RunReport

VIOLATIONS_KEPT_MAX = 200
"""Enough to see every kind; a broken engine must not fill the memory."""


@dataclass(slots=True)
class Violation:
    """One violated run: enough to replay it."""

    seed: int
    is_outlaw: bool
    knobs: str
    lines: list[str]
    shrunk_knobs: str = ""


@dataclass(slots=True)
class Tally:
    """Sums over runs. An exit is faulted when at least one fault struck in its run."""

    runs: int = 0
    claims: int = 0
    exits: int = 0
    faulted_exits: int = 0
    orders: int = 0
    crashes: int = 0
    virtual_seconds: float = 0.0
    replayed_runs: int = 0
    violated_runs: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    crash_points: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def take(self, report: RunReport) -> None:
        """Add one run."""
        self.runs += 1
        self.claims += report.claims
        self.exits += report.exits
        self.faulted_exits += report.exits if report.faults else 0
        self.orders += report.orders
        self.crashes += len(report.crashes)
        self.virtual_seconds += report.virtual_seconds
        self.struck.update(report.faults)
        self.cells.update(report.cells)
        self.marks.update(report.marks)
        self.points.update(report.points)
        self.crash_points.update(_place(where) for where in report.crashes)
        if not report.is_good:
            self.violate(report)

    def violate(self, report: RunReport) -> None:
        """Keep a violated run."""
        self.violated_runs += 1
        if len(self.violations) < VIOLATIONS_KEPT_MAX:
            knobs = report.knobs
            self.violations.append(
                Violation(
                    report.seed, bool(knobs.outlaws), knobs.describe(), list(report.violations)
                )
            )

    def add(self, other: "Tally") -> None:
        """Add another tally."""
        for name in (
            "runs", "claims", "exits", "faulted_exits", "orders", "crashes", "virtual_seconds",
            "replayed_runs", "violated_runs",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("struck", "cells", "marks", "points", "crash_points"):
            getattr(self, name).update(getattr(other, name))
        room = VIOLATIONS_KEPT_MAX - len(self.violations)
        self.violations.extend(other.violations[:room])


def _place(where: str) -> str:
    """Return where a process died without its numbers: `point 17: x` is `x`."""
    head, separator, name = where.partition(": ")
    return name if separator and head.startswith("point") else where.split(" ")[0]
