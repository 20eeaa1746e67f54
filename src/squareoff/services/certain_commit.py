"""Commit a change and know whether it was: a connection that broke in COMMIT is asked again."""

from squareoff.core.change import Change
from squareoff.domain.errors import CommitOutcomeUnknown, StoreError, StoreUnavailable
from squareoff.ports import TrackerStore


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
