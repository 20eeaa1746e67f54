"""The seeded bugs: every patch fits the tree, and their runner does not call a survivor caught."""

from pathlib import Path

import pytest

from run_seeded_bugs import main
from seeded_bugs.bug import SECONDS_MAX, SOURCE, Bug, PatchDoesNotFit
from seeded_bugs.catalogue import BUGS
from seeded_bugs.report import Facts, report_text
from seeded_bugs.running import Outcome, Verdict, first_line, judge
from seeded_bugs.typed import ill_typed

PROJECT_FOLDER = Path(__file__).resolve().parents[1]
BUGS_MIN = 40
PYTEST, SEEDS = ("-m", "pytest", "x.py"), ("-m", "squareoff.simulator.virtual", "0..9")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_patch_fits_the_tree(bug: Bug) -> None:
    """Its text is there exactly once, what comes of it compiles, and its check exists."""
    text = (PROJECT_FOLDER / bug.path).read_text(encoding="utf-8")

    assert text.count(bug.old) == 1, bug.path
    compile(text.replace(bug.old, bug.new), bug.path, "exec")
    assert bool(bug.tests) is not bool(bug.seeds)
    assert [t for t in bug.tests if not (PROJECT_FOLDER / t.partition("::")[0]).exists()] == []
    assert 0 < bug.seconds <= SECONDS_MAX


def test_there_are_enough_of_them() -> None:
    """At least forty, each with a name of its own and another change."""
    assert len(BUGS) >= BUGS_MIN
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert len({(bug.file, bug.old, bug.new) for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("four", "five", id="not there"),
        pytest.param("one", "two", id="there twice"),
        pytest.param("three", "three", id="no change"),
    ],
)
def test_a_patch_that_does_not_fit_is_an_error(tmp_path: Path, old: str, new: str) -> None:
    """A patch is never skipped in silence."""
    (tmp_path / SOURCE).mkdir(parents=True)
    (tmp_path / SOURCE / "a.py").write_text("one = one = three\n")

    with pytest.raises(PatchDoesNotFit, match="some-bug"):
        Bug("some-bug", "", "a.py", old, new).apply(tmp_path)


def test_a_patch_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    """Whatever imports it would fail, so nothing would be proved."""
    (tmp_path / SOURCE).mkdir(parents=True)
    (tmp_path / SOURCE / "a.py").write_text("x = 1\n")

    with pytest.raises(SyntaxError):
        Bug("some-bug", "", "a.py", "1", "(").apply(tmp_path)


@pytest.mark.parametrize(
    ("check", "status", "output", "verdict"),
    [
        pytest.param(PYTEST, 1, "FAILED x.py::test_y", Verdict.CAUGHT, id="a test failed"),
        pytest.param(PYTEST, 0, "3 passed", Verdict.SURVIVED, id="all tests passed"),
        pytest.param(PYTEST, 2, "ERROR x.py", Verdict.BROKEN, id="tests could not be collected"),
        pytest.param(PYTEST, 4, "not found: x.py", Verdict.BROKEN, id="no such test"),
        pytest.param(PYTEST, 5, "no tests ran", Verdict.BROKEN, id="no tests"),
        pytest.param(PYTEST, -11, "", Verdict.BROKEN, id="the runner crashed"),
        pytest.param(SEEDS, 1, "seed 3: VIOLATED, 1", Verdict.CAUGHT, id="a seed was violated"),
        pytest.param(SEEDS, 0, "", Verdict.SURVIVED, id="no seed was violated"),
        pytest.param(SEEDS, 1, "ImportError: x", Verdict.BROKEN, id="the simulator did not start"),
    ],
)
def test_only_a_failed_test_or_a_violated_seed_catches(
    check: tuple[str, ...], status: int, output: str, verdict: Verdict
) -> None:
    """A check that did not run catches nothing."""
    assert judge(check, status, output) is verdict


def test_the_first_failure_is_named() -> None:
    """Of a check's output the first line that names a failure is kept."""
    assert first_line("x\n  I3: two orders\nFAILED y\n", Verdict.CAUGHT) == "I3: two orders"
    assert first_line("FAILED a.py::test_b - assert\n", Verdict.CAUGHT).startswith("FAILED a.py")
    assert first_line("3 passed\n", Verdict.SURVIVED) == ""


def test_a_bug_is_caught_in_a_copy_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The runner applies a bug to a copy, imports that copy, and leaves the tree as it is."""
    bug = next(bug for bug in BUGS if bug.name == "lot-ignored")
    before = (PROJECT_FOLDER / bug.path).read_bytes()

    status = main(["--only", bug.name, "--report", "-", "--patience", "20"])

    told = capsys.readouterr().out
    assert status == 0, told
    assert "1 of 1 caught" in told
    assert "squareoff is imported from /" in told
    assert str(PROJECT_FOLDER / SOURCE) not in told
    assert (PROJECT_FOLDER / bug.path).read_bytes() == before


def test_a_survivor_stands_out_in_the_report() -> None:
    """The verdict names every bug that was not caught."""
    outcomes = {bug.name: Outcome(Verdict.CAUGHT, 1.0, "FAILED x") for bug in BUGS}
    survivor = BUGS[0].name
    outcomes[survivor] = Outcome(Verdict.SURVIVED, 2.0, "")

    text = report_text(outcomes, Facts("abc", "/copy", 9.0, 1.0, has_passed=True))

    assert f"**Not caught: {survivor}.**" in text
    assert f"Caught: {len(BUGS) - 1} of {len(BUGS)}" in text
    assert text.count("| caught |") == len(BUGS) - 1


def test_an_unknown_name_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is run where a name is wrong."""
    assert main(["--only", "no-such-bug"]) == 2
    assert "no-such-bug" in capsys.readouterr().err


def test_a_patch_that_breaks_a_name_is_told(tmp_path: Path) -> None:
    """It would be caught by anything; a dead branch is a bug like others."""
    (tmp_path / SOURCE).mkdir(parents=True)
    (tmp_path / SOURCE / "a.py").write_text("def f(x: int) -> int:\n    return x + 1\n")
    wrong = Bug("wrong-name", "", "a.py", "x + 1", "y + 1")
    dead = Bug("dead-branch", "", "a.py", "return x", "return 0\n    return x")

    said = ill_typed(tmp_path, [wrong, dead])

    assert [line.partition(":")[0] for line in said] == ["wrong-name"]
