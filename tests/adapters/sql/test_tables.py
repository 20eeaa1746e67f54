"""What the database itself refuses, whatever our code does."""

import pytest
from sqlalchemy import func, insert, select

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of, claimed
from sql_samples.histories import opened as opening
from squareoff.adapters.sql.rows import claim_columns, intent_columns, plan_columns
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import exit_intents, orders, trackers
from squareoff.core.state.tracker import ExitIntent, TrackedOrder
from squareoff.domain.errors import LostUpdate
from squareoff.domain.ids import ClientOrderId, IntentId
from squareoff.domain.orders import OrderOrigin, OrderRole, Side
from squareoff.domain.states import IntentStatus, OrderState


@pytest.mark.parametrize("status", list(IntentStatus))
def test_a_second_live_intent_is_refused_by_the_database(opened, status: IntentStatus) -> None:
    """Beside a live intent a tracker takes only ended ones: OPEN, BLOCKED, NEEDS_HUMAN are live."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening(), claimed())
            await store.commit(first, START_NS)
            fact = claimed(intent_id="int-2")
            second = ExitIntent(IntentId("int-2"), status, fact.reason, fact.trigger, START_NS)
            row = claim_columns("trk-1", second) | intent_columns(second)

            def add(connection) -> None:
                connection.execute(insert(exit_intents), row)

            if status.is_live:
                with pytest.raises(LostUpdate):
                    await database.runner.write(add)
            else:
                await database.runner.write(add)
            count = select(func.count()).select_from(exit_intents)
            found = await database.runner.read(lambda c: c.execute(count).scalar_one())
            assert found == (1 if status.is_live else 2)

    run_async(body())


def test_a_claim_beside_a_live_intent_that_the_tracker_hides_is_lost(opened) -> None:
    """A change that knows nothing of the live intent is refused by the index, without a trace."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            first = change_of(None, opening())
            await store.commit(first, START_NS)
            hidden = change_of(first.after, claimed(intent_id="int-hidden")).after.intent
            assert hidden is not None
            row = claim_columns("trk-1", hidden) | intent_columns(hidden)
            await database.runner.write(lambda c: c.execute(insert(exit_intents), row))

            with pytest.raises(LostUpdate):
                await store.commit(change_of(first.after, claimed()), START_NS)
            assert await store.head() == 1
            assert await store.load(first.after.tracker_id) == first.after

    run_async(body())


def test_foreign_keys_hold(opened) -> None:
    """An order without its tracker is refused: foreign keys are on, on SQLite too."""
    order = TrackedOrder(
        ClientOrderId("c-1"),
        OrderRole.EXIT,
        OrderOrigin.PLACED,
        1,
        1,
        Side.SELL,
        75,
        OrderState.PLANNED,
    )
    row = plan_columns("trk-missing", 0, order) | {
        "state": "PLANNED",
        "order_type": "LIMIT",
        "modifications": 0,
        "failure_text": "",
    }

    async def body() -> None:
        async with opened() as database:
            with pytest.raises(LostUpdate):
                await database.runner.write(lambda c: c.execute(insert(orders), row))
            count = select(func.count()).select_from(trackers)
            assert await database.runner.read(lambda c: c.execute(count).scalar_one()) == 0

    run_async(body())
