"""Watch the broker's net after fills of an exit: has somebody else closed the same units too?

A person, another program or the broker's own square-off can close a position while our exit is on
its way, and no rule of ours can prevent it. Our order then carries the net across zero, and the
tracker, whose own fills are all in order, cannot know. For some seconds after a fill, and again
after the close, which waits for the trade book, the broker's positions are read for it; a net on
the other side of zero, beyond what trackers of that side may hold, is an over-exit and critical
(I2d). Never sends anything.
"""

from squareoff.core.state.facts import Severity
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import PositionSide
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.positions.broker_reads import BrokerReads

WATCH_SECONDS = READING_LAG_SECONDS + 1.0
"""Until every fill of before is old enough to show, and one look more."""

RESTART_WATCH_SECONDS = 60.0
"""After a restart, closes this old are watched again: the last process may have died over them."""

TOLD_SECONDS_MAX = 600.0
"""An over-exit of a position that ended longer ago than this has been dealt with since."""

CHECK_INTERVAL_SECONDS = 1.0


class FlipWatch:
    """Watches keys on which an exit of ours has just filled or ended."""

    def __init__(
        self, engine: ExitEngine, reads: BrokerReads, alarms: AlarmDesk, clock: Clock
    ) -> None:
        self._engine = engine
        self._reads = reads
        self._alarms = alarms
        self._clock = clock
        self._watched: dict[tuple[PositionKey, PositionSide], int] = {}
        self._told: dict[tuple[PositionKey, PositionSide], int] = {}
        engine.on_change(self._note_change)

    async def run(self) -> None:
        """Check every second while something is watched; never returns."""
        self._note_loaded()
        while True:
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)
            if self._watched:
                await self._check()

    def _note_loaded(self) -> None:
        oldest_ns = self._clock.now().wall_ns - seconds_to_ns(RESTART_WATCH_SECONDS)
        for actor in self._engine.book:
            if (actor.tracker.exited_at_ns or 0) >= oldest_ns:
                self._note_change(actor.tracker)

    def _note_change(self, tracker: PositionTracker) -> None:
        filled = any(order.cumulative_quantity for order in tracker.exit_orders)
        # A frozen one has crossed zero by its own fills, and a person was told then.
        if filled and (tracker.status is PositionStatus.EXITED or not tracker.is_frozen):
            until_ns = self._clock.now().monotonic_ns + seconds_to_ns(WATCH_SECONDS)
            self._watched[tracker.key, tracker.side] = until_ns

    async def _check(self) -> None:
        """Compare one reading; a key is let go only after a reading at the end of its time."""
        asked_ns = self._clock.now().monotonic_ns
        # A sale of delivered shares is no flip, however long ago its tracker ended.
        reading = await self._reads.positions(*{key for key, _ in self._watched})
        if reading is None:
            return
        for closed, until_ns in tuple(self._watched.items()):
            key, side = closed
            net = reading.net_of(key)
            may_be_held = self._may_be_held_against(key, side)
            if key not in reading.unsure and -net * side.sign > may_be_held:
                del self._watched[closed]
                if self._told.get(closed) != net:
                    self._told[closed] = net
                    await self._complain(key, side, net)
                continue
            self._told.pop(closed, None)
            if asked_ns >= until_ns and self._watched[closed] == until_ns:
                del self._watched[closed]

    def _may_be_held_against(self, key: PositionKey, side: PositionSide) -> int:
        """Return what trackers of the other side may hold by a reading that lags their fills."""
        lately_ns = self._clock.now().wall_ns - seconds_to_ns(WATCH_SECONDS)
        return sum(
            tracker.quantity + sum(order.leaves_quantity for order in tracker.entry_orders)
            for tracker in self._engine.book.on_key(key)
            if tracker.side is not side and not tracker.has_ended_before(lately_ns)
        )

    async def _complain(self, key: PositionKey, side: PositionSide, net: int) -> None:
        since_ns = self._clock.now().wall_ns - seconds_to_ns(TOLD_SECONDS_MAX)
        told = [
            str(tracker.tracker_id)
            for tracker in self._engine.book.on_key(key)
            if tracker.side is side
            and tracker.signed_quantity * side.sign < 0
            and not tracker.has_ended_before(since_ns)
        ]
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "over_exit",
            f"The broker shows {net} of {key} right after our exit there has filled: "
            f"{_what_it_is(told)}",
        )


def _what_it_is(told: list[str]) -> str:
    """Say who did it, and who ends it: where our own orders did it, their alarm tells."""
    if told:
        return (
            f"it is what was already told of {', '.join(told)}; do what that alarm says, and look "
            "whether more is on the other side than it names."
        )
    return (
        "somebody else closed the same units, and the account now stands on the other side. "
        "Nothing is bought back by itself; look at the position now."
    )
