"""Try every seeded bug: apply it to a copy of the tree and see that its check fails there.

First the type checker looks at all patches, and all checks are run on the tree as it is, where none
may fail; `--baseline` does only that.
`--only NAME` tries one bug, without that (may be repeated), `--jobs N` so many at a time,
`--patience X` stretches the time boxes on a busy machine, `--report FILE` says where the report
goes (`-` for nowhere, as without it where `--only` is given), `--list` names all bugs.
Exit status: 0 all caught (or all passed), 1 not so, 2 misused.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seeded_bugs.bug import Bug
from seeded_bugs.catalogue import BUGS
from seeded_bugs.report import REPORT_FILE, Facts, commit_of, report_text
from seeded_bugs.running import (
    Outcome,
    Verdict,
    imported_from,
    project_copy,
    run_check,
    try_bug,
)
from seeded_bugs.typed import ill_typed

PROJECT_FOLDER = Path(__file__).resolve().parents[1]
BASELINE_SECONDS_MAX = 1_800.0


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    options = _parser().parse_args(arguments)
    chosen = [bug for bug in BUGS if not options.only or bug.name in options.only]
    unknown = sorted(set(options.only) - {bug.name for bug in chosen})
    if unknown:
        print(f"no such bug: {', '.join(unknown)}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{bug.name}: {bug.careless}" for bug in chosen))
        return 0
    with project_copy(PROJECT_FOLDER) as copy:
        imported = imported_from(copy)
        print(f"squareoff is imported from {imported}", flush=True)
        if not Path(imported).is_relative_to(copy):
            print("that is not the copy: nothing would be proved", file=sys.stderr)
            return 1
        if options.baseline or not options.only:
            status = _check_types(chosen) or _run_baseline(chosen, copy)
            if options.baseline or status != 0:
                return status
        return _try_all(chosen, options, copy, imported)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python scripts/run_seeded_bugs.py")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--report", default="")
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--list", action="store_true")
    return parser


def _try_all(chosen: list[Bug], options: argparse.Namespace, frozen: Path, imported: str) -> int:
    """Try each bug on a copy of the frozen tree, whatever happens to the project meanwhile."""
    began, commit = time.monotonic(), commit_of(PROJECT_FOLDER)

    def attempt(bug: Bug) -> Outcome:
        outcome = try_bug(frozen, bug, patience=options.patience)
        verdict, seconds = outcome.verdict.value, outcome.seconds
        print(f"{verdict:18} {seconds:6.1f} s  {bug.name}: {outcome.line}", flush=True)
        return outcome

    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = dict(zip([b.name for b in chosen], pool.map(attempt, chosen), strict=True))
    seconds = time.monotonic() - began
    caught = sum(each.verdict is Verdict.CAUGHT for each in outcomes.values())
    print(f"{caught} of {len(chosen)} caught in {seconds:.0f} s")
    report = options.report or ("-" if options.only else REPORT_FILE)
    if report != "-":
        path = PROJECT_FOLDER / report
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = Facts(commit, imported, seconds, options.patience, has_passed=not options.only)
        text = report_text(outcomes, facts)
        path.write_text(text, encoding="utf-8")
        print(f"report: {report}")
    return 0 if caught == len(chosen) else 1


def _check_types(chosen: list[Bug]) -> int:
    """Say which patches would fail for a wrong name alone; none may."""
    with project_copy(PROJECT_FOLDER) as copy:
        said = ill_typed(copy, chosen)
    print("\n".join(said) or f"{len(chosen)} patches make sense to the type checker", flush=True)
    return 1 if said else 0


def _run_baseline(chosen: list[Bug], copy: Path) -> int:
    """Run all test files at once, then each range of seeds; nothing may fail."""
    tests = sorted({test for bug in chosen for test in bug.tests})
    ranges = sorted({bug.seeds for bug in chosen if bug.seeds})
    whole = [Bug("all", "", "", "", "", tests=tuple(tests))] if tests else []
    is_good = True
    for bug in (*whole, *(Bug(seeds, "", "", "", "", seeds=seeds) for seeds in ranges)):
        outcome = run_check(copy, bug.check, BASELINE_SECONDS_MAX)
        passed = outcome.verdict is Verdict.SURVIVED
        is_good = is_good and passed
        what = f"seeds {bug.seeds}" if bug.seeds else f"{len(tests)} test files"
        told = "pass" if passed else f"do not pass ({outcome.line})"
        print(f"{what} {told}, {outcome.seconds:.0f} s", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
