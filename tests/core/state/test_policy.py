"""Tests of core.state.policy: what is derived from the lag of the positions, and the defaults."""

from squareoff.bootstrap import engine_settings
from squareoff.config import Settings
from squareoff.core.state.policy import (
    POSITIONS_LAG_SECONDS_MAX,
    READING_LAG_SECONDS,
    ExitPolicy,
)
from squareoff.services.desk import held_check
from squareoff.services.positions import flip_watch
from squareoff.simulator.virtual import fault_classes


def test_everybody_waits_for_longer_than_positions_lag() -> None:
    """Who concludes that something is gone waits longest, and the simulation lags as far."""
    assert fault_classes.LAG_SECONDS_MAX == POSITIONS_LAG_SECONDS_MAX
    assert POSITIONS_LAG_SECONDS_MAX < held_check.HELD_WAIT_SECONDS
    assert held_check.HELD_WAIT_SECONDS < READING_LAG_SECONDS < flip_watch.WATCH_SECONDS
    assert (held_check.HELD_WAIT_SECONDS, READING_LAG_SECONDS) == (3.0, 5.0)
    assert flip_watch.WATCH_SECONDS == 6.0


def test_the_defaults_are_those_of_the_settings() -> None:
    """An engine without a settings file decides by what the policy says of itself."""
    assert engine_settings(Settings()).policy == ExitPolicy()
