"""What every report of a campaign of death begins with, and how it is written."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from squareoff.domain.time import Now


def write_report(folder: Path, name: str, markdown: Sequence[str], values: dict[str, Any]) -> Path:
    """Write `name.md` and `name.json` and return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text("\n".join(markdown) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


def origin(now: Now) -> dict[str, str]:
    """Return the commit that ran, the time and the machine."""
    at = datetime.fromtimestamp(now.wall_ns / 1e9, UTC)
    return {
        "commit": _commit(),
        "finished_at": at.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
    }


def _commit() -> str:
    root = Path(__file__).resolve().parents[4]
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        is_changed = bool(_git(root, "status", "--porcelain", "--", "src"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}, with changes of the working tree" if is_changed else head


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def table(heads: tuple[str, str], rows: Iterable[tuple[str, object]]) -> list[str]:
    """Return a Markdown table of two columns."""
    lines = [f"| {heads[0]} | {heads[1]} |", "| --- | --- |"]
    return lines + [f"| {name} | {value} |" for name, value in rows]


def headed(title: str, origin_values: Mapping[str, str], rows: Sequence[str]) -> list[str]:
    """Return a report's title, the lines under it, and where it comes from."""
    made = [(key.replace("_", " "), value) for key, value in origin_values.items()]
    return [f"# {title}", "", *rows, "", *table(("made", ""), made), ""]


def violations_listed(texts: Sequence[str]) -> list[str]:
    """Return the violations as a section; nothing where there is none."""
    return ["", "## Violations", "", *(f"- {text}" for text in texts)] if texts else []
