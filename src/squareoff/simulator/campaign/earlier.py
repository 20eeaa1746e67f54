"""A campaign in parts: the report of an earlier part is read, and this part is added to it.

A million exits take hours; a part can end at any moment, and another commit may run the next one.
Each part keeps its commit and its seeds, so that a reader sees what ran on which code.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squareoff.simulator.campaign.tally import Tally, Violation


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a campaign: what ran on one commit without a break."""

    commit: str
    first_seed: int
    runs: int
    faulted_exits: int
    violated_runs: int
    seconds: float
    workers: int

    @property
    def next_seed(self) -> int:
        """Return the first seed that this part has not run."""
        return self.first_seed + self.runs

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; `part_from_json` reads them."""
        return {name: getattr(self, name) for name in self.__slots__}


def part_from_json(values: dict[str, Any]) -> Part:
    """Return the part that `Part.as_json` wrote."""
    return Part(**values)


def load_report(path: Path) -> tuple[Tally, list[Part]]:
    """Return the sums of an earlier report and the parts it consists of.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is no report of a campaign.
    """
    report = json.loads(path.read_text())
    tally = Tally(
        runs=sum(part["runs"] for part in report["parts"]),
        claims=report["claims"],
        exits=report["exits"],
        faulted_exits=report["faulted_exits"],
        orders=report["orders"],
        crashes=report["crashes"],
        virtual_seconds=float(report["virtual_seconds"]),
        replayed_runs=report["replayed_runs"],
        violated_runs=report["violated_runs"],
        struck=Counter(report["faults"]),
        cells=Counter(
            {
                (state, fault_class): count
                for state, row in report["cells"].items()
                for fault_class, count in row.items()
            }
        ),
        marks=Counter(report["marks"]),
        points=Counter(report["points_passed"]),
        crash_points=Counter(report["crash_points"]),
        violations=[
            Violation(each["seed"], each["outlaw"], each["knobs"], each["lines"])
            for each in report["violations"]
        ],
    )
    return tally, [part_from_json(part) for part in report["parts"]]
