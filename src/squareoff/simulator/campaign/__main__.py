"""`python -m squareoff.simulator.campaign`: run simulated exits over all cores and report.

Exit status 1 where a run was violated, a fuzz case escaped, or (in a full campaign) a mark was
never seen or a cell hit too rarely; 2 for wrong arguments.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from squareoff.simulator.campaign.earlier import Part, load_report
from squareoff.simulator.campaign.fuzz.runner import run_fuzz
from squareoff.simulator.campaign.matrix import HITS_WANTED
from squareoff.simulator.campaign.progress import ProgressLine
from squareoff.simulator.campaign.report import CampaignRun, as_json, as_markdown, replay_command
from squareoff.simulator.campaign.runner import Goal, run_campaign, run_one
from squareoff.simulator.campaign.shrink import shrink
from squareoff.simulator.campaign.tally import Tally
from squareoff.simulator.virtual.knobs import parse_knobs

DEFAULT_EXITS = 20_000
FULL_EXITS = 1_000_000
"""From so many exits on, a campaign also fails for a mark never seen or a cell hit too rarely."""

DEFAULT_REPORT = Path(".squareoff/campaign/report.md")
SHRUNK_MAX = 3


def main(arguments: list[str]) -> int:
    """Run a campaign; return the exit status."""
    options = _parser().parse_args(arguments)
    whole, parts = (Tally(), []) if options.after is None else load_report(options.after)
    first_seed = parts[-1].next_seed if parts else options.seed_base
    goal = Goal(max(1, options.exits - whole.faulted_exits), options.seconds, first_seed)
    line = ProgressLine(goal)
    tally, seconds = run_campaign(goal, options.workers, line.show)
    _shrink_some(tally)
    fuzz = run_fuzz(options.fuzz, options.workers, first_seed) if options.fuzz else []
    part = Part(
        _commit(),
        first_seed,
        tally.runs,
        tally.faulted_exits,
        tally.violated_runs,
        round(seconds, 1),
        options.workers,
    )
    whole.add(tally)
    run = CampaignRun(whole, [*parts, part], fuzz)
    _write(run, options.report)
    return _judge(run, is_full=whole.faulted_exits >= FULL_EXITS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.campaign")
    parser.add_argument("--exits", type=int, default=DEFAULT_EXITS, help="faulted exits to reach")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--seed-base", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--after", type=Path, help="JSON report of the parts before; adds to them")
    parser.add_argument("--report", type=Path, default=DEFAULT_REPORT, help="Markdown; JSON beside")
    parser.add_argument("--fuzz", type=int, default=0, help="fuzz cases in all; 0 leaves it out")
    return parser


def _shrink_some(tally: Tally) -> None:
    """Make the first violated runs small, and say how to run them again."""
    for violation in tally.violations[:SHRUNK_MAX]:
        knobs = parse_knobs(violation.knobs)
        violation.shrunk_knobs = shrink(violation.seed, knobs, run_one).describe()
        print("\n".join([f"seed {violation.seed}:", *violation.lines, replay_command(violation)]))


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _write(run: CampaignRun, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_markdown(run))
    path.with_suffix(".json").write_text(json.dumps(as_json(run), indent=1) + "\n")
    print(f"report: {path} and {path.with_suffix('.json')}")


def _judge(run: CampaignRun, *, is_full: bool) -> int:
    faults = [f"{run.tally.violated_runs} runs violated"] if run.tally.violated_runs else []
    faults += [f"fuzz: {line}" for line in run.fuzz_violations]
    if is_full:
        faults += [f"never seen: {name}" for name in run.marks_missed]
        if missing := run.cells_missing(HITS_WANTED):
            faults.append(f"{len(missing)} cells below {HITS_WANTED} hits")
    print("\n".join(faults) or "no violation")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
