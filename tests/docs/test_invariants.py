"""Every invariant has one number and one row in docs/invariants.md."""

import re
from collections.abc import Iterator
from pathlib import Path

from generate_docs import documents

PROJECT_FOLDER = Path(__file__).resolve().parents[2]
INVARIANTS = PROJECT_FOLDER / "docs/invariants.md"
_NUMBER = re.compile(r"\bI(?P<number>\d{1,2})[a-d]?\b")
_ROW = re.compile(r"^\| I(?P<number>\d{1,2}) \| ", re.MULTILINE)


def test_every_number_in_use_has_a_row() -> None:
    """Whoever reads a number in code, tests or docs finds what must hold."""
    rows = _rows()
    texts = [*_code(), *(path for path in documents() if path != INVARIANTS)]

    unknown = {f"{path.name}: I{number}" for path in texts for number in _used(path) - set(rows)}
    assert sorted(unknown) == []


def test_every_row_is_in_use() -> None:
    """A row without use is stale; and no number is given twice."""
    rows = _rows()
    used = set[int]().union(*(_used(path) for path in _code()))

    assert len(rows) == len(set(rows)) > 10
    assert rows == sorted(rows)
    assert sorted(set(rows) - used) == []


def test_the_kill_switch_has_one_number() -> None:
    """The model, the auditor and the docs once named it by numberings of their own."""
    row = next(line for line in INVARIANTS.read_text().splitlines() if "kill switch" in line)
    rules = (PROJECT_FOLDER / "src/squareoff/simulator/protocol_model/rules.py").read_text()
    (said,) = [line for line in rules.splitlines() if "the kill switch stood" in line]

    assert row.startswith("| I9 |")
    assert "(I9)" in said


def _rows() -> list[int]:
    return [int(found["number"]) for found in _ROW.finditer(INVARIANTS.read_text(encoding="utf-8"))]


def _code() -> Iterator[Path]:
    for folder in ("src", "tests"):
        yield from sorted((PROJECT_FOLDER / folder).rglob("*.py"))


def _used(path: Path) -> set[int]:
    text = path.read_text(encoding="utf-8")
    return {int(found["number"]) for found in _NUMBER.finditer(text)}
