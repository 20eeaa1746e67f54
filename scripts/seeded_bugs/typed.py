"""Whether what a patch leaves still makes sense to the type checker.

A patch that names what is not there, or gives a call what it cannot take, ends in an exception that
any test meets: it would be caught, and prove nothing. Dead branches are what careless engineers
leave behind, so these are let pass.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from seeded_bugs.bug import Bug

LET_PASS = ("unreachable", "comparison-overlap")


def ill_typed(project: Path, bugs: Sequence[Bug]) -> list[str]:
    """Return what mypy says of the patches, each as a module beside the one it changes.

    Args:
        project: a copy of the project, which gets the modules and keeps them.
    """
    names: dict[str, str] = {}
    for number, bug in enumerate(bugs):
        path = project / bug.path
        beside = path.with_name(f"{path.stem}__patch{number}.py")
        text = path.read_text(encoding="utf-8")
        beside.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
        names[str(beside.relative_to(project))] = bug.name
    cache = f"--cache-dir={project / '.mypy_cache'}"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", cache, *names],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines() + done.stderr.splitlines()
    return [
        f"{names.get(line.partition(':')[0], '?')}: {line}"
        for line in said
        if not line.endswith(tuple(f"[{code}]" for code in LET_PASS))
    ]
