"""The documentation builds as a site without a warning, and every page has its place in it."""

import os
import subprocess
import sys
from pathlib import Path

from generate_docs import PROJECT_FOLDER


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """A broken link, a missing heading, and a page without a place in the menu stop the build."""
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=PROJECT_FOLDER,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    pages = {
        path.relative_to(PROJECT_FOLDER / "docs").with_suffix(".html")
        for path in (PROJECT_FOLDER / "docs").rglob("*.md")
    }
    built = {path.relative_to(tmp_path / "site") for path in (tmp_path / "site").rglob("*.html")}
    assert pages - built == set()
    assert Path("changelog.html") in built
