"""The scripts that set the project up can be read by their shells and keep their promises."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT_FOLDER = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("shell", "script"),
    [("sh", "scripts/setup.sh"), ("sh", "scripts/get_mermaid.sh"), ("bash", ".ci/run")],
)
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


def _get_mermaid(file: Path, *, npm: str) -> "subprocess.CompletedProcess[str]":
    """Ask for the script with this program as npm, "" for none."""
    tool_folder = file.parent / "bin"
    tool_folder.mkdir()
    for name in ("dirname", "gzip", "mkdir", "mktemp", "mv", "rm", "sha256sum", "tail", "tar"):
        found = shutil.which(name)
        assert found is not None, name
        (tool_folder / name).symlink_to(found)
    if npm:
        program = tool_folder / "npm"
        program.write_text(f"#!/bin/sh\n{npm}\n")
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(PROJECT_FOLDER / "scripts" / "get_mermaid.sh"), str(file)],
        env={"PATH": str(tool_folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("npm", "told"),
    [
        ("", "npm is needed"),
        ("echo no network; exit 1", "could not be downloaded"),
        ("mkdir -p package/dist; echo other >package/dist/mermaid.min.js; "
         "tar -czf mermaid-11.12.0.tgz package", "is not the file that is pinned"),
    ],
)  # fmt: skip
def test_a_script_for_diagrams_is_the_pinned_one_or_none(
    npm: str, told: str, tmp_path: Path
) -> None:
    """Without npm, without a network and with another file nothing is left and the reason said."""
    wanted = tmp_path / "mermaid.min.js"
    wanted.write_text("of before, and another")
    done = _get_mermaid(wanted, npm=npm)

    assert done.returncode == 1
    assert told in done.stderr
    assert wanted.read_text() == "of before, and another"
