"""A commit whose answer was lost is read back before anybody believes anything."""

import pytest

from exit_story.values import ACCOUNT, held, new_position
from service_world.store import FaultyStore, LostAfterCommit, memory_store
from service_world.virtual import run_virtual
from squareoff.core.change import Change
from squareoff.core.opening import open_position
from squareoff.domain.errors import CommitOutcomeUnknown, LostUpdate, StoreUnavailable
from squareoff.services.certain_commit import commit_certainly


async def commit(store: FaultyStore) -> None:
    """Open the default position."""
    tracker, facts = open_position(new_position(), 5)
    await commit_certainly(store, Change(None, tracker, facts), 5)  # type: ignore[arg-type]


def test_a_lost_answer_of_a_commit_that_took_place_is_success() -> None:
    """The database shows the new state: it is durable."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        store.failures.append(LostAfterCommit("reset"))
        await commit(store)

        assert await store.load(held().tracker_id) is not None

    run_virtual(body())


def test_a_lost_answer_of_a_commit_that_did_not_take_place_is_unavailable() -> None:
    """The database shows the old state: nothing was written, and it may be tried again."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        store.failures.append(CommitOutcomeUnknown("reset"))
        with pytest.raises(StoreUnavailable):
            await commit(store)
        await commit(store)

    run_virtual(body())


def test_what_cannot_be_read_back_stays_unknown() -> None:
    """Without a reading the outcome is unknown, whatever the reading failed with."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        store.failures.append(LostAfterCommit("reset"))
        store.load_errors.append(StoreUnavailable("away"))
        with pytest.raises(CommitOutcomeUnknown):
            await commit(store)

    run_virtual(body())


def test_other_failures_pass_as_they_are() -> None:
    """A second open of the same tracker is a lost update."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        await commit(store)
        with pytest.raises(LostUpdate):
            await commit(store)

    run_virtual(body())
