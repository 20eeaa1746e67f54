"""One seeded bug: a change of one place in the source, and the check that must notice it.

Invariants:
1. `old` occurs exactly once in the file; a patch that no longer fits is an error, never skipped.
2. The changed file still compiles: a bug that cannot be imported would be caught by anything.
"""

from dataclasses import dataclass
from pathlib import Path

SOURCE = "src/squareoff"
SECONDS_MAX = 120


class PatchDoesNotFit(Exception):
    """The text to be replaced is not in the file exactly once, or the change is none."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug.

    Attributes:
        name: unique, in kebab case.
        careless: one sentence, what the engineer does.
        file: below `src/squareoff`.
        tests: pytest targets that must fail, relative to the project; or else
        seeds: simulated seeds (`FIRST..LAST`) of which one must be violated.
        seconds: the time box on an idle core.
    """

    name: str
    careless: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    seeds: str = ""
    seconds: int = 60

    @property
    def path(self) -> str:
        """The changed file, relative to the project."""
        return f"{SOURCE}/{self.file}"

    @property
    def check(self) -> tuple[str, ...]:
        """The arguments of Python that run the check."""
        if self.seeds:
            return ("-m", "squareoff.simulator.virtual", self.seeds, "--quiet")
        return ("-m", "pytest", "-x", "-rfE", "--tb=short", "-p", "no:cacheprovider", *self.tests)

    @property
    def check_text(self) -> str:
        """The check in a few words."""
        return f"seeds {self.seeds}" if self.seeds else ", ".join(self.tests)

    def apply(self, project: Path) -> None:
        """Make the change in a copy of the project.

        Raises:
            PatchDoesNotFit: see invariant 1.
            SyntaxError: see invariant 2.
        """
        path = project / self.path
        text = path.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise PatchDoesNotFit(f"{self.name}: its text is {found} times in {self.path}")
        changed = text.replace(self.old, self.new)
        compile(changed, str(path), "exec")
        path.write_text(changed, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
