"""Only the rows that differ are written."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of, claimed
from sql_samples.histories import opened as opening
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tracker_writes import update_tracker, write_parts
from squareoff.core.state import facts as f
from squareoff.core.state.change import Change
from squareoff.domain.errors import LostUpdate
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    ReportSource,
    Side,
)

ID = TrackerId("trk-1")
FIRST, SECOND = ClientOrderId("c-1"), ClientOrderId("c-2")


def _planned(client_order_id: ClientOrderId, slice_number: int) -> f.OrderPlanned:
    return f.OrderPlanned(
        ID,
        client_order_id,
        OrderRole.EXIT,
        OrderOrigin.PLACED,
        1,
        slice_number,
        Side.SELL,
        75,
        OrderType.LIMIT,
        None,
    )


def _sent(client_order_id: ClientOrderId) -> f.OrderSent:
    return f.OrderSent(ID, client_order_id, 1, OrderType.LIMIT, Decimal("139.50"), "memory")


def _reported(quantity: int) -> f.OrderReported:
    return f.OrderReported(
        ID,
        FIRST,
        BrokerOrderId("7"),
        BrokerOrderStatus.PART_TRADED,
        quantity,
        Decimal("139.55"),
        "",
        ReportSource.STREAM,
    )


# Facts that come before, the fact to write, and the tables that it touches beside `trackers`.
BEFORE_SENDING = (opening(), claimed(), _planned(FIRST, 1), _planned(SECOND, 2))
AFTER_REPORT = (*BEFORE_SENDING, _sent(FIRST), _sent(SECOND), _reported(25))
STEPS = {
    "a claim": ((opening(),), (claimed(),), ["INSERT exit_intents"]),
    "a stop that moved": (
        AFTER_REPORT,
        (f.StopMoved(ID, 1_600_000, 1_500_000, "trailing"),),
        [],
    ),
    "two planned slices": (
        (opening(), claimed()),
        (_planned(FIRST, 1), _planned(SECOND, 2)),
        ["INSERT orders"],
    ),
    "one send of two orders": (
        BEFORE_SENDING,
        (_sent(FIRST),),
        ["UPDATE orders", "INSERT order_sends"],
    ),
    "a first report": (
        AFTER_REPORT[:-1],
        (_reported(25),),
        ["UPDATE orders", "INSERT broker_orders"],
    ),
    "a further fill": (AFTER_REPORT, (_reported(50),), ["UPDATE broker_orders"]),
    "a repeated report": (AFTER_REPORT, (_reported(25),), []),
    "a block": (
        AFTER_REPORT,
        (f.ExitEscalated(ID, "a person must look"),),
        ["UPDATE exit_intents"],
    ),
}


def _touched_tables(connection: Connection, change: Change) -> list[str]:
    """Return kind and table of each statement that the driver is given."""
    touched: list[str] = []

    class Listening:
        """The driver's connection, with an ear at its cursors."""

        def cursor(self) -> Any:
            driven = connection.connection.cursor()

            def note(method: Callable[..., Any], sql: str, *rest: Any) -> Any:
                words = sql.replace("INTO ", "").split()
                touched.append(f"{words[0]} {words[1]}")
                return method(sql, *rest)

            return SimpleNamespace(
                execute=partial(note, driven.execute),
                executemany=partial(note, driven.executemany),
                close=driven.close,
                rowcount=0,
            )

    heard = SimpleNamespace(dialect=connection.dialect, connection=Listening())
    write_parts(cast(Connection, heard), change, START_NS)
    return touched


@pytest.mark.parametrize(("before", "step", "expected"), STEPS.values(), ids=STEPS.keys())
def test_a_step_writes_the_rows_that_it_changed_and_no_others(
    opened, before: tuple, step: tuple, expected: list[str]
) -> None:
    """Each kind of step touches its own tables, one statement per table and kind of write."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            base = change_of(None, *before)
            await store.commit(base, START_NS)
            change = change_of(base.after, *step)

            touched = await database.runner.write(lambda c: _touched_tables(c, change))
            assert touched == expected

    run_async(body())


def test_a_tracker_of_another_version_is_not_updated(opened) -> None:
    """The conditional update finds no row and says so."""

    async def body() -> None:
        async with opened() as database:
            base = change_of(None, opening())
            await SqlStore(database.runner, ACCOUNT).commit(base, START_NS)
            claim = change_of(base.after, claimed())

            with pytest.raises(LostUpdate, match="version 1"):
                await database.runner.write(lambda c: update_tracker(c, claim.after, claim.after))

    run_async(body())
