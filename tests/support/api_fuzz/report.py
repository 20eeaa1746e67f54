"""The report of a long run: what the unknown asked for, and what they were told."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.evidence import headed, origin, table, violations_listed


def write_report(
    path: Path,
    *,
    operations: int,
    ways: Counter[str],
    answers: Counter[str],
    violations: Sequence[str],
) -> None:
    """Write the Markdown; `ways` counts calls by what stood in for a token."""
    calls = sum(ways.values())
    rows = [
        f"{calls:,} calls, good and bad ones, of all {operations} operations of `/openapi.json` "
        "(the stream of events is called elsewhere), over a real socket, none with a token in "
        f"force: {calls // len(ways):,} made-up cases, each sent in {len(ways)} ways.",
        "None may have an effect: nothing is in the journal afterwards but that calls were "
        "refused, and nobody is told more than why.",
        "",
        f'```\nmake test ARGS="tests/controls/test_unknown_callers.py --api-calls {calls} '
        f'--api-report {path}"\n```',
    ]
    made = origin(SystemClock().now())
    lines = headed("Calls without a token", made, rows)
    lines += ["## Instead of a token", "", *_counted("sent", ways)]
    lines += ["", "## Told", "", *_counted("answer", answers)]
    lines += ["", f"Effects and answers that tell more: {len(violations)}."]
    lines += violations_listed(violations)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _counted(head: str, counts: Counter[str]) -> list[str]:
    return table((head, "calls"), [(name, f"{count:,}") for name, count in counts.most_common()])
