"""Threads of an engine's process wait for their turn as shortly as said, and only there."""

import sys

import pytest

from squareoff.adapters.thread_turns import TURN_SECONDS, short_turns


def test_turns_are_short_until_the_end() -> None:
    """However the engine ends, the process goes on as it was found."""
    before, within = sys.getswitchinterval(), []

    def run_and_fail() -> None:
        with short_turns():
            within.append(sys.getswitchinterval())
            raise KeyError

    with pytest.raises(KeyError):
        run_and_fail()

    assert within == [pytest.approx(TURN_SECONDS)]
    assert sys.getswitchinterval() == before
