"""`python -m squareoff.simulator.protocol_model` tells what it found, and by its exit status."""

import json

import pytest

from squareoff.simulator.protocol_model.__main__ import main
from squareoff.simulator.protocol_model.variants import VARIANTS


def test_a_sound_world_ends_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The count of states stands in the output."""
    assert main(["--budget", "small"]) == 0
    assert "explored to the end\nno violation, no stuck state" in capsys.readouterr().out


def test_json_holds_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """One object with states, transitions, depth, time and violations."""
    assert main(["--budget", "small", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert shown["variant"] == "sound"
    assert shown["is_complete"] is True
    assert shown["violations"] == []
    assert shown["transitions"] > shown["states"] > shown["depth"] > 0


def test_a_broken_engine_is_told_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """The rule, then every step from the beginning."""
    assert main(["--variant", "post_before_journal"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == VARIANTS["post_before_journal"].sentence
    assert lines[2] == "VIOLATED: an order left that the journal does not hold (I3)"
    assert lines[3].startswith("  0 at first: intent unclaimed")


def test_a_broken_engine_that_nothing_catches_is_a_failure() -> None:
    """A world without faults does not show what a lost answer would do."""
    assert main(["--variant", "give_up_silently", "--budget", "pairs"]) == 0
    assert main(["--variant", "trust_lagging_reading", "--budget", "small"]) == 1
