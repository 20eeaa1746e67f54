"""Write the generated parts of docs/ and README.md again, and `WHOLE_FILES` (`make docs`).

With `--check` nothing is written, and the exit status is 1 when something is out of date.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from generated_docs.grafana import grafana_dashboard
from generated_docs.interface import metric_table, option_table, route_table, settings_table
from generated_docs.markers import Generator, stale_files
from generated_docs.rule_pictures import rule_pictures
from generated_docs.state_machines import state_diagram, state_table
from generated_docs.tables import (
    class_table,
    code_table,
    command_table,
    enum_table,
    error_table,
)
from squareoff.config.commented import environment_text

PROJECT_FOLDER = Path(__file__).resolve().parents[1]

GENERATORS: Mapping[str, Generator] = {
    "state-diagram": state_diagram,
    "state-table": state_table,
    "enum": enum_table,
    "errors": error_table,
    "classes": class_table,
    "codes": code_table,
    "commands": command_table,
    "metrics": metric_table,
    "options": option_table,
    "routes": route_table,
    "settings": settings_table,
}


WHOLE_FILES: Mapping[Path, Callable[[], str]] = {
    PROJECT_FOLDER / ".env.example": environment_text,
    PROJECT_FOLDER / "deploy" / "grafana-dashboard.json": grafana_dashboard,
    **{
        PROJECT_FOLDER / "docs" / "images" / "rules" / name: draw
        for name, draw in rule_pictures().items()
    },
}
"""Files that are generated from their first line to their last."""


def stale_whole_files() -> dict[Path, str]:
    """Return the files of `WHOLE_FILES` that are out of date or missing, with their text."""
    fresh = {path: make() for path, make in WHOLE_FILES.items()}
    return {
        path: text
        for path, text in fresh.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def documents() -> list[Path]:
    """Return README.md and everything below docs/, in the order of their names."""
    return [PROJECT_FOLDER / "README.md", *sorted((PROJECT_FOLDER / "docs").rglob("*.md"))]


def main(arguments: Sequence[str]) -> int:
    """Write or check; return the exit status: 0 done, 1 out of date, 2 misused."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = {**stale_files(documents(), GENERATORS), **stale_whole_files()}
    for path, text in stale.items():
        if not arguments:
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(PROJECT_FOLDER)}: {'out of date' if arguments else 'written'}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
