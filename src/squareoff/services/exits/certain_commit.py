"""Commit a change and know whether it was, and whether it still is: what broke is asked again."""

import structlog

from squareoff.core.state.change import Change
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import CommitOutcomeUnknown, StoreError, StoreUnavailable
from squareoff.ports import Clock, TrackerStore

_log = structlog.get_logger("squareoff.certain_commit")
STORE_RETRY_SECONDS = 0.2
"""Pause before a database that could not serve us is asked again."""


async def commit_certainly(store: TrackerStore, change: Change, at_ns: int) -> None:
    """Commit; on return the change is durable.

    Raises:
        StoreUnavailable, LostUpdate: nothing was written.
        CommitOutcomeUnknown: it could not be read back, or the database shows a third state.
    """
    try:
        await store.commit(change, at_ns)
    except CommitOutcomeUnknown as unknown:
        try:
            stored = await store.load(change.after.tracker_id)
        except StoreError:
            raise unknown from None
        if stored == change.before:
            raise StoreUnavailable(f"nothing was committed: {unknown}") from unknown
        if stored != change.after:
            raise


async def open_certainly(store: TrackerStore, change: Change, at_ns: int, clock: Clock) -> None:
    """Commit a new tracker; on return it is durable. Waits until the database tells.

    Raises:
        StoreUnavailable, LostUpdate: nothing was written.
    """
    try:
        await commit_certainly(store, change, at_ns)
    except CommitOutcomeUnknown as unknown:
        if not await _was_written(store, change, clock):
            raise StoreUnavailable(f"nothing was committed: {unknown}") from unknown


async def _was_written(store: TrackerStore, change: Change, clock: Clock) -> bool:
    tracker_id = change.after.tracker_id
    while True:
        await clock.sleep(STORE_RETRY_SECONDS)
        try:
            return await store.load(tracker_id) is not None
        except StoreError as error:
            _log.warning("opening_in_doubt", tracker_id=tracker_id, error=str(error))


def what_was_lost(committed: PositionTracker, stored: PositionTracker | None) -> str | None:
    """Return what the database has lost of a state that it confirmed, None where it has it still.

    Versions only rise, whoever writes: one that is lower was never decided from ours.
    """
    if stored is not None and stored.version >= committed.version:
        return None
    found = "is not in it" if stored is None else f"stands at version {stored.version} in it"
    return (
        f"the database came back older than it was: tracker {committed.tracker_id} {found} and was "
        f"committed at version {committed.version}. Was a replica promoted that lagged behind? "
        "This engine ends; its next start asks the broker for orders that the database does not "
        "know and sends no exit beside them"
    )
