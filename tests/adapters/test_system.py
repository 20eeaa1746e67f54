"""Rehearsal checkpoints: noted, and refused where they cannot be meant."""

from pathlib import Path

import pytest

from squareoff.adapters.system import (
    REHEARSAL_VARIABLES,
    NoCheckpoints,
    checkpoints_from_environment,
)


def test_nothing_happens_where_nothing_is_asked_for() -> None:
    """Production has no checkpoints, whatever else is in the environment."""
    assert isinstance(checkpoints_from_environment({"PATH": "/bin"}), NoCheckpoints)


def test_points_are_noted_with_their_count(tmp_path: Path) -> None:
    """The file says in which order points were reached, and for the how-manieth time."""
    notes = tmp_path / "points.txt"
    checkpoints = checkpoints_from_environment({REHEARSAL_VARIABLES["note_to"]: str(notes)})

    for name in ("a", "b", "a"):
        checkpoints.reach(name)

    assert notes.read_text().split() == ["a:1", "b:1", "a:2"]


@pytest.mark.parametrize("point", [":1", "a:0", "a:x", "a:-1"])
def test_a_point_that_cannot_be_reached_is_refused(point: str) -> None:
    """A rehearsal that would never strike must not look like one that did."""
    with pytest.raises(ValueError, match="name:n"):
        checkpoints_from_environment({REHEARSAL_VARIABLES["kill_at"]: point})
