"""Writes asked for together share a COMMIT, and none takes another with it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event, func, insert, select

from async_body import run_async
from squareoff.adapters.sql.database import Database
from squareoff.adapters.sql.failures import in_commit
from squareoff.adapters.sql.group_commit import GROUP_MAX, GroupCommit, Outcome, write_each
from squareoff.adapters.sql.tables import paper_state
from squareoff.domain.errors import CommitOutcomeUnknown, LostUpdate, StoreUnavailable


def _add(connection: Connection, account_id: str) -> str:
    connection.execute(insert(paper_state), {"account_id": account_id, "ledger": b""})
    return account_id


async def _saved(database: Database) -> int:
    count = select(func.count()).select_from(paper_state)
    return await database.runner.read(lambda connection: connection.execute(count).scalar_one())


@contextmanager
def _counted_commits() -> Iterator[list[None]]:
    """Count the COMMITs of every engine."""
    commits: list[None] = []

    def note(_connection: Connection) -> None:
        commits.append(None)

    event.listen(Connection, "commit", note)
    try:
        yield commits
    finally:
        event.remove(Connection, "commit", note)


def test_what_is_asked_for_during_a_commit_goes_together_in_the_next(shared_opened) -> None:
    """A hundred writes at once: the first alone, all others with one COMMIT, each its answer."""

    async def body() -> None:
        async with shared_opened() as database:
            await database.runner.write(lambda c: _add(c, "first"))
            names = [f"a{number:03}" for number in range(100)]
            with _counted_commits() as commits:
                answers = await asyncio.gather(
                    *(database.runner.write(lambda c, name=name: _add(c, name)) for name in names)
                )

            assert answers == names
            assert len(commits) == 2
            assert await _saved(database) == 101

    run_async(body())


def test_a_write_that_fails_takes_no_other_with_it(shared_opened) -> None:
    """The second claim of one intent is refused; the claims around it are made."""

    async def body() -> None:
        async with shared_opened() as database:
            names = ["a", "b", "b", "c"]
            answers = await asyncio.gather(
                *(database.runner.write(lambda c, name=name: _add(c, name)) for name in names),
                return_exceptions=True,
            )

            assert [type(each) for each in answers] == [str, str, LostUpdate, str]
            assert await _saved(database) == 3

    run_async(body())


def test_a_caller_that_goes_away_leaves_its_write_in_the_group(shared_opened) -> None:
    """Who asked is cancelled, what he asked for is made, and the others hear of theirs."""

    async def body() -> None:
        async with shared_opened() as database:
            tasks = [
                asyncio.create_task(database.runner.write(lambda c, name=name: _add(c, name)))
                for name in ("a", "b", "c")
            ]
            await asyncio.sleep(0)
            tasks[1].cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)

            assert [answers[0], answers[2]] == ["a", "c"]
            assert isinstance(answers[1], asyncio.CancelledError)
            assert await _saved(database) == 3

    run_async(body())


class _Store:
    """Transactions of a pretended database: what is kept, and what COMMIT does next."""

    def __init__(self) -> None:
        self.kept: list[object] = []
        self.commits = 0
        self.failure: Exception | None = None

    def transact(self, work) -> object:
        """Do the work; keep it unless COMMIT fails."""
        result = work(self)
        self.commits += 1
        if self.failure is not None:
            with in_commit():
                raise self.failure
        self.kept.append(result)
        return result


@pytest.mark.parametrize("error", [StoreUnavailable("busy"), CommitOutcomeUnknown("cut")])
def test_a_commit_that_fails_is_the_failure_of_all_and_is_not_tried_again(
    error: Exception,
) -> None:
    """Whether it was kept is one question for the whole group: nobody's work is done twice."""
    store = _Store()
    store.failure = error

    with pytest.raises(type(error)):
        write_each(store.transact, [lambda _: 1, lambda _: 2])
    assert store.commits == 1


def test_a_defect_in_one_work_is_told_to_its_caller_alone() -> None:
    """An exception of the work itself is found by itself; the others are committed."""
    store = _Store()

    outcomes = write_each(store.transact, [lambda _: 1, lambda _: 1 // 0, lambda _: 3])

    assert [each.result for each in outcomes] == [1, None, 3]
    assert [type(each.error) for each in outcomes] == [type(None), ZeroDivisionError, type(None)]
    assert store.kept == [1, 3]


def test_groups_are_bounded_and_keep_the_order() -> None:
    """However many wait, a group has a largest size, and nobody overtakes."""

    async def body() -> None:
        groups: list[tuple[object, ...]] = []

        def write_group(works) -> "asyncio.Future[list[Outcome]]":
            groups.append(works)
            done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
            outcomes = [Outcome(work(None)) for work in works]
            asyncio.get_running_loop().call_soon(done.set_result, outcomes)
            return done

        group_commit, seen = GroupCommit(write_group), []
        total = GROUP_MAX * 2 + 10
        answers = await asyncio.gather(
            *(group_commit.add(lambda _, n=n: seen.append(n) or n) for n in range(total))
        )

        assert answers == seen == list(range(total))
        assert [len(each) for each in groups] == [1, GROUP_MAX, GROUP_MAX, 9]

    run_async(body())
