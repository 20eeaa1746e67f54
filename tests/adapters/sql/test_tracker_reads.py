"""Loading takes the same few statements however much there is to load."""

from dataclasses import replace
from random import Random

import pytest
from sqlalchemy import Connection, event

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of, legal_history
from sql_samples.histories import opened as opened_fact
from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tracker_reads import load_tracker, load_trackers
from squareoff.core.state.facts import OverExitDetected, PositionUntracked, TrackerFact
from squareoff.core.state.past import held_since, is_past
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS

STATEMENTS = 5
"""Trackers, intents, orders, sends, broker orders."""


def _statements(connection: Connection, load) -> int:
    """Count the statements of both ways: prepared ones, and those that SQLAlchemy runs."""
    count = 0

    def note(*_arguments: object) -> None:
        nonlocal count
        count += 1

    def noted(prepared: Prepared, *arguments: object) -> object:
        note()
        return form_of(prepared, *arguments)

    form_of = Prepared._form
    event.listen(connection, "before_cursor_execute", note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "_form", noted)  # asked for once by every run of a statement
        load(connection)
    event.remove(connection, "before_cursor_execute", note)
    return count


@pytest.mark.parametrize("trackers", [1, 6])
def test_loading_takes_as_many_statements_for_one_as_for_many(opened, trackers: int) -> None:
    """All trackers come in five statements, as one tracker does."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            for seed in range(trackers):
                for at_ns, change in legal_history(seed, f"trk-{seed}", 20):
                    await store.commit(change, at_ns)

            def load_all(connection: Connection) -> None:
                assert len(load_trackers(connection, ACCOUNT, None)) == trackers

            def load_one(connection: Connection) -> None:
                assert load_tracker(connection, ACCOUNT, TrackerId("trk-0")) is not None

            for load in (load_all, load_one):
                taken = await database.runner.read(lambda c, load=load: _statements(c, load))
                assert taken == STATEMENTS

    run_async(body())


def test_an_unknown_tracker_is_none(opened) -> None:
    """An id that nobody opened loads as None."""

    async def body() -> None:
        async with opened() as database:
            assert await SqlStore(database.runner, ACCOUNT).load(TrackerId("trk-no")) is None

    run_async(body())


def test_trackers_are_loaded_by_status(opened) -> None:
    """Any set of statuses gives exactly its trackers, in the order of their opening."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            for seed in range(8):
                for at_ns, change in legal_history(seed, f"trk-{seed}", 20):
                    await store.commit(change, at_ns)
            everything = await store.load_all()
            present = sorted({tracker.status for tracker in everything})

            assert len(present) > 1
            for statuses in ([], present[:1], present[1:], present, list(PositionStatus)):
                wanted = tuple(t for t in everything if t.status in statuses)
                assert await store.load_all(statuses) == wanted

    run_async(body())


def test_loading_what_is_current_leaves_out_what_is_past(opened) -> None:
    """The database's own words for it say the same as `core.state.past`, whatever is held."""
    chance, sizes = Random(5), set[int]()

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            for number, day in enumerate(sorted(chance.choices(range(40), k=120))):
                held_days = None if number in (70, 100) else chance.choice((0, 0, 1, 9))
                await _commit_span(store, chance, number, day, held_days)
            everything = await store.load_all()
            for day in range(-1, 60, 3):
                since_ns = START_NS + day * DAY_NS
                held = held_since(everything)
                wanted = [each for each in everything if not is_past(each, since_ns, held)]
                assert list(await store.load_current(since_ns)) == wanted
                sizes.add(len(wanted))

    run_async(body())
    assert len(sizes) > 5, "the instants make a difference"


async def _commit_span(
    store: SqlStore, chance: Random, number: int, day: int, held_days: int | None
) -> None:
    """Open a position on a day, and end it so many days later, None for not at all."""
    product_type = chance.choice((ProductType.INTRADAY, ProductType.CNC, ProductType.MARGIN))
    fact = replace(opened_fact(f"trk-{number}"), product_type=product_type)
    at_ns = START_NS + day * DAY_NS + number
    change = change_of(None, fact, at_ns=at_ns)
    await store.commit(change, at_ns)
    if held_days is None:
        return
    name = change.after.tracker_id
    facts: list[TrackerFact] = [PositionUntracked(name, "mine", "asha")]
    if chance.random() < 0.1:
        facts.insert(0, OverExitDetected(name, 5))
    at_ns += held_days * DAY_NS + 1
    await store.commit(change_of(change.after, *facts, at_ns=at_ns), at_ns)
