"""The stories that real processes play: what is held, what fires, and what goes wrong once.

Each story is played many times; what differs is where the engine dies or freezes.
"""

from dataclasses import dataclass
from typing import Any

SEGMENT, SECURITY_ID, PRODUCT = "NSE_FNO", "49543", "INTRADAY"
"""NIFTY future: lot 75, freeze quantity 1800."""

ENTRY_PRICE = "26000.00"
_FIRING_PRICES = {"LONG": "25949.00", "SHORT": "26051.00"}


@dataclass(frozen=True, slots=True)
class LiveStory:
    """One story.

    `quantities`: one position each, all on one key. `faults`: what befalls calls, each once, by
    `(method, path, what)`. `available`: units that may trade per print, None for any number.
    `resting_prints`: prints at which nothing trades. `hand_close`: units that a person closes in
    the broker's app before the stop. `asked`: a person asks for the exit; no rule fires.
    """

    name: str
    side: str = "LONG"
    quantities: tuple[int, ...] = (150,)
    faults: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    available: int | None = None
    resting_prints: int = 0
    order_type: str = "limit"
    by_entry: bool = False
    hand_close: int = 0
    asked: bool = False

    @property
    def sign(self) -> int:
        """+1 long, -1 short."""
        return 1 if self.side == "LONG" else -1

    @property
    def firing_price(self) -> str:
        """The price beyond the stop."""
        return _FIRING_PRICES[self.side]

    def settings(self) -> str:
        """Return the engine's settings: everything that waits waits short."""
        return (
            "[timeouts]\norder_seconds = 1.0\n"
            "[settle]\nquarantine_seconds = 2.5\n"
            f'[exit]\norder_type = "{self.order_type}"\nchase_interval_seconds = 0.7\n'
            "[reconcile]\nin_flight_seconds = 0.3\n"
        )


_PLACE = ("POST", "/v2/orders")
_REJECT = "RMS: price is out of the current execution range"

MANY_POSITIONS = LiveStory("fourteen positions", quantities=(75,) * 14)
"""So many commits that SQLite moves its write-ahead log into the database on the way."""

LIVE_STORIES: dict[str, LiveStory] = {
    story.name: story
    for story in (
        LiveStory("long"),
        LiveStory("short", side="SHORT"),
        LiveStory("market order", order_type="market"),
        LiveStory("asked by a person", asked=True),
        LiveStory("entered by an order", by_entry=True),
        LiveStory("sliced by freeze quantity", quantities=(3_600,)),
        LiveStory("filled in parts", available=60),
        LiveStory("two positions on one key", quantities=(150, 225)),
        LiveStory("chased", resting_prints=8),
        LiveStory("answer lost", faults=((*_PLACE, {"drop_after": "hold"}),)),
        LiveStory("answer reset", faults=((*_PLACE, {"drop_after": "reset"}),)),
        LiveStory("never arrived", faults=((*_PLACE, {"drop_before": "hold"}),)),
        LiveStory("late arrival", faults=((*_PLACE, {"delay_ms": 1_800}),)),
        LiveStory("server error after acting", faults=((*_PLACE, {"status": 502, "act": True}),)),
        LiveStory("server error before acting", faults=((*_PLACE, {"status": 500}),)),
        LiveStory("rejected once", faults=((*_PLACE, {"reject": _REJECT}),)),
        LiveStory("partly closed by hand", quantities=(300,), hand_close=150),
    )
}
