"""The report of a run over the seeded bugs, in Markdown."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seeded_bugs.bug import Bug
from seeded_bugs.catalogue import AREAS
from seeded_bugs.running import Outcome, Verdict

REPORT_FILE = "docs/evidence/seeded-bugs.md"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run was made on: the commit, where its copies import from, how long it took, by how
    much its time boxes were stretched, and whether the unchanged tree passed every check."""

    commit: str
    imported: str
    seconds: float
    patience: float
    has_passed: bool


def commit_of(project: Path) -> str:
    """Return the commit that was tried, and whether the tree differed from it."""
    head = _git(project, "rev-parse", "--short=12", "HEAD")
    if not head:
        return "no commit (not a git work tree)"
    changed = _git(project, "status", "--porcelain", "--", "src", "tests", "scripts")
    return f"{head} and uncommitted changes" if changed else head


def report_text(outcomes: Mapping[str, Outcome], facts: Facts) -> str:
    """Return the whole report of the bugs that were tried."""
    survivors = [name for name, each in outcomes.items() if each.verdict is not Verdict.CAUGHT]
    longest = max((each.seconds for each in outcomes.values()), default=0.0)
    verdict = (
        f"Not caught: {', '.join(survivors)}."
        if survivors
        else f"All {len(outcomes)} seeded bugs were caught within their time boxes."
    )
    lines = [
        "# Seeded bugs",
        "",
        "Each is applied alone to a copy of the tree, and its check must fail there within its "
        "time box.",
        "The catalogue is `scripts/seeded_bugs/`; `make campaign-bugs` writes this page.",
        "",
        f"- Commit: {facts.commit}",
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, "
        f"{facts.seconds:.0f} s in all",
        f"- Imported in the copies: `{facts.imported}`",
        f"- Time boxes: 60 s on an idle core where the catalogue says nothing else; stretched "
        f"{facts.patience:g}-fold in this run; the longest check took {longest:.0f} s",
        f"- The tree as it is: {'passes every check' if facts.has_passed else 'not tried'}",
        f"- Caught: {len(outcomes) - len(survivors)} of {len(outcomes)}",
        "",
        f"**{verdict}**",
    ]
    for area, bugs in AREAS.items():
        tried = [bug for bug in bugs if bug.name in outcomes]
        if tried:
            lines += ["", f"## {area}", "", *_table(tried, outcomes)]
    return "\n".join(lines) + "\n"


def _table(bugs: list[Bug], outcomes: Mapping[str, Outcome]) -> list[str]:
    head = [
        "| bug | the careless engineer | verdict | s | what failed first |",
        "|---|---|---|--:|---|",
    ]
    return head + [_row(bug, outcomes[bug.name]) for bug in bugs]


def _row(bug: Bug, outcome: Outcome) -> str:
    line = outcome.line.replace("|", "\\|").replace("`", "'")
    name = f"`{bug.name}` (`{bug.file}`)"
    told = f"`{line}`" if line else bug.check_text
    return f"| {name} | {bug.careless} | {outcome.verdict.value} | {outcome.seconds:.1f} | {told} |"


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=project, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
