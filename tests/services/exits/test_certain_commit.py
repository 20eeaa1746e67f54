"""A commit whose answer was lost is read back before anybody believes anything."""

from dataclasses import replace

import pytest

from exit_story.values import ACCOUNT, held, new_position
from service_world.store import FaultyStore, LostAfterCommit, memory_store
from service_world.virtual import run_virtual
from squareoff.core.entries.opening import open_position
from squareoff.core.state.change import Change
from squareoff.domain.errors import CommitOutcomeUnknown, LostUpdate, StoreUnavailable
from squareoff.services.exits.certain_commit import commit_certainly, what_was_lost


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


def test_a_lower_version_or_a_missing_row_is_a_lost_commit() -> None:
    """The same version and a higher one, of a successor or of an unanswered commit, are none."""
    committed = replace(held(), version=5)
    found = [
        what_was_lost(committed, None if version is None else replace(committed, version=version))
        for version in (None, 4, 5, 6)
    ]

    assert [text is not None for text in found] == [True, True, False, False]
    assert "is not in it" in str(found[0])
    assert "stands at version 4 in it and was committed at version 5" in str(found[1])
