"""The starting state for a client that follows the journal and folds it into its own copy.

Invariant: the state holds every fact up to `seq` and none after it. Where facts are being written
while it is read, it is read again; if the journal does not come to rest, the call fails rather than
return a state with only some of them.
"""

from dataclasses import dataclass

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.time import ist_midnight_ns
from squareoff.ports import Alarm, Clock, ExitAllState, Journal, KillSwitchState, TrackerStore
from squareoff.services.positions.position_book import PositionBook

TRIES_MAX = 200
TRY_AGAIN_SECONDS = 0.01
"""With the tries above some seconds: even a mass exit leaves the journal at rest in between."""


@dataclass(frozen=True, slots=True)
class ReplicaStart:
    """The account as of `seq`: positions that are open or ended today, alarms likewise."""

    seq: int
    trackers: tuple[PositionTracker, ...]
    alarms: tuple[Alarm, ...]
    kill_switch: KillSwitchState
    exit_all: ExitAllState | None


async def replica_start(
    book: PositionBook, store: TrackerStore, journal: Journal, clock: Clock
) -> ReplicaStart:
    """Return the state as of the journal's newest entry.

    Raises:
        StoreUnavailable: the database is away, or facts came faster than they could be read.
    """
    for _ in range(TRIES_MAX):
        seq = await journal.head()
        today_ns = ist_midnight_ns(clock.now().wall_ns)
        alarms = await store.alarms(since_ns=today_ns)
        kill_switch = await store.kill_switch()
        exit_all = await store.exit_all()
        is_at_rest = not any(actor.lock.locked() for actor in book)
        held = (actor.tracker for actor in book)
        trackers = tuple(each for each in held if not each.has_ended_before(today_ns))
        if is_at_rest and await journal.head() == seq:
            return ReplicaStart(seq, trackers, alarms, kill_switch, exit_all)
        await clock.sleep(TRY_AGAIN_SECONDS)
    raise StoreUnavailable("the journal grows too fast to be read as a whole; ask again")
