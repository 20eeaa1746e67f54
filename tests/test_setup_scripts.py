"""The scripts that set the project up can be read by their shells and keep their promises."""

import os
import subprocess
from pathlib import Path

import pytest

PROJECT_FOLDER = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("shell", "script"), [("sh", "scripts/setup.sh"), ("bash", ".ci/run")])
def test_a_script_has_no_syntax_error(shell: str, script: str) -> None:
    """Each script parses in the shell that it names."""
    done = subprocess.run(
        [shell, "-n", script], cwd=PROJECT_FOLDER, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_ci_run_is_executable_and_requires_services() -> None:
    """`.ci/run` can be started as it is, and a missing service fails there instead of skipping."""
    script = PROJECT_FOLDER / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert "export SQUAREOFF_REQUIRE_SERVICES=1" in script.read_text(encoding="utf-8")


def test_a_set_up_without_python_says_what_to_install(tmp_path: Path) -> None:
    """Without a new enough Python the set-up stops with one line that names the remedy."""
    shell, tool_folder = "/bin/sh", tmp_path / "bin"
    tool_folder.mkdir()
    (tool_folder / "dirname").symlink_to("/usr/bin/dirname")

    done = subprocess.run(
        [shell, str(PROJECT_FOLDER / "scripts" / "setup.sh"), str(tmp_path / "stamp")],
        env={"PATH": str(tool_folder)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / "stamp").exists()
