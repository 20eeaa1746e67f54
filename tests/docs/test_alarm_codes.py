"""Every alarm that the code can raise is explained in docs/errors.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

from squareoff.domain.states import BlockReason

PROJECT_FOLDER = Path(__file__).resolve().parents[2]
_RAISERS = {"alarm", "raise_alarm", "escalate_exit"}


def _codes() -> Iterator[str]:
    for path in (PROJECT_FOLDER / "src/squareoff").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in _RAISERS:
                continue
            words = [a.value for a in node.args if isinstance(a, ast.Constant)]
            yield from (w for w in words[:1] if isinstance(w, str) and w.isidentifier())


def test_every_alarm_code_is_documented() -> None:
    """A person who reads an alarm finds its code, and what to do, in docs/errors.md."""
    text = (PROJECT_FOLDER / "docs/errors.md").read_text(encoding="utf-8")
    codes = set(_codes())

    assert len(codes) >= 8, "the codes were not found in the source"
    assert sorted(code for code in codes if f"`{code}`" not in text) == []


def test_every_block_reason_is_documented() -> None:
    """The reason why an exit waits is explained wherever it is shown."""
    text = (PROJECT_FOLDER / "docs/errors.md").read_text(encoding="utf-8")

    assert [reason.value for reason in BlockReason if f"`{reason.value}`" not in text] == []
