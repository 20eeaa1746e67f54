"""When other people, the exchange and the machine meddle with one run, drawn beforehand.

Every event is a class of `event_classes.EVENT_CLASSES`; what it does is in `acts`. Nothing new
begins once the world is healed.
"""

import random
from collections.abc import Callable

from squareoff.simulator.virtual.acts import Acts
from squareoff.simulator.virtual.coverage import TRACKER_STATES
from squareoff.simulator.virtual.event_classes import EVENT_CLASSES, OUTLAW_EVENTS
from squareoff.simulator.virtual.strangers import trade_foreign
from squareoff.simulator.virtual.world import World

FOREIGN_ORDERS = 3
_AIMED_SHARE = 0.6
"""So many events wait for a state rather than for an instant: rare states are short."""

_EARLIEST_SECONDS = {
    "close_by_hand": 5.0,
    "cancel_by_others": 5.0,
    "expire_by_broker": 5.0,
    "reject_at_exchange": 5.0,
    "square_off_by_broker": 6.0,
    "freeze_lowered": 1.0,
    "pause": 2.0,
    "clock_slew": 1.0,
}
_EARLIEST_OTHERWISE = 3.0
_THRICE = frozenset({"cancel_by_others", "expire_by_broker", "reject_at_exchange"})
_AT_AN_INSTANT = frozenset(
    {
        "stream_silent", "stream_mute", "feed_silent", "reject_for_good", "kill_new", "kill_all",
        "freeze_lowered",
    }
)  # fmt: skip
"""Events that last long enough to meet many states by themselves."""


class Meddling:
    """The events of one run, put on the world's clock by `start`."""

    def __init__(self, world: World, acts: Acts, chance: random.Random) -> None:
        self._world = world
        self._acts = acts
        self._chance = chance
        self._end = world.knobs.chaos_seconds

    def start(self) -> None:
        """Put every event of the knobs on the world's clock."""
        for name in (*EVENT_CLASSES, *OUTLAW_EVENTS):
            times = 3 if name in _THRICE else 1
            for _ in range(self._world.knobs.events.get(name, 0) * times):
                self._plan(name)
        for _ in range(FOREIGN_ORDERS):
            self._at(self._chance.uniform(1.0, self._end), lambda: trade_foreign(self._world))

    def _plan(self, name: str) -> None:
        """Do it at an instant of the chaos, or as soon as an exit comes into some state."""
        earliest = _EARLIEST_SECONDS.get(name, _EARLIEST_OTHERWISE)
        at = self._chance.uniform(min(earliest, self._end), self._end)
        state = self._chance.choice(TRACKER_STATES)
        if name in _AT_AN_INSTANT or self._chance.random() >= _AIMED_SHARE:
            self._at(at, lambda: self._acts.fire(name))
            return
        delay = self._chance.choice((0.0, 0.0, self._chance.uniform(0.0, 0.1)))
        later = self._world.later
        self._world.coverage.when(state, lambda: later(delay, lambda: self._acts.fire(name)))

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        self._world.later(seconds - self._world.loop.time(), action)
