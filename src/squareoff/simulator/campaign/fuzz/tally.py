"""What one kind of fuzz showed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

VIOLATIONS_KEPT_MAX = 20


@dataclass(slots=True)
class FuzzTally:
    """Cases by what became of them; `grown_bytes` is the process's growth in the later half."""

    target: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    grown_bytes: int = 0

    def violate(self, text: str) -> None:
        """Keep a violation."""
        if len(self.violations) < VIOLATIONS_KEPT_MAX:
            self.violations.append(f"{self.target}: {text}")

    def add(self, other: "FuzzTally") -> None:
        """Add another part of the same kind."""
        self.cases += other.cases
        self.outcomes.update(other.outcomes)
        self.violations.extend(other.violations[: VIOLATIONS_KEPT_MAX - len(self.violations)])
        self.grown_bytes = max(self.grown_bytes, other.grown_bytes)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "target": self.target,
            "cases": self.cases,
            "outcomes": dict(self.outcomes.most_common()),
            "violations": self.violations,
            "grown_bytes": self.grown_bytes,
        }

    def as_lines(self) -> Iterator[str]:
        """Yield the Markdown of this kind."""
        yield f"## Fuzz: {self.target}"
        yield ""
        yield f"{self.cases:,} cases, {len(self.violations)} violations, "
        yield f"{self.grown_bytes / 1e6:.1f} MB grown in the later half."
        yield ""
        yield "| what became of it | cases |"
        yield "| --- | ---: |"
        for name, count in self.outcomes.most_common():
            yield f"| {name} | {count:,} |"
        yield ""
