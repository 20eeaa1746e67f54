"""Exact decimals and whole numbers."""

from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of
from sql_samples.histories import opened as opening
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import trackers
from squareoff.core.state.facts import AlarmRaised, Severity

DECIMALS = ["0", "0.00", "12.50", "-0.05", "1E+3", "1E-9", "33.333333333333333333333333333333"]


@pytest.mark.parametrize("digits", DECIMALS)
def test_a_decimal_comes_back_with_the_same_digits(opened, digits: str) -> None:
    """Sign, digits and exponent survive, also where a float or NUMERIC would change them."""

    async def body() -> None:
        async with opened() as database:
            await SqlStore(database.runner, ACCOUNT).commit(change_of(None, opening()), START_NS)
            store = trackers.update().values(exit_price=Decimal(digits))
            await database.runner.write(lambda c: c.execute(store))
            query = select(trackers.c.exit_price, trackers.c.realized_pnl)

            price, pnl = await database.runner.read(lambda c: c.execute(query).one())
            assert price.as_tuple() == Decimal(digits).as_tuple()
            assert pnl is None

    run_async(body())


def test_a_64_bit_number_fits(opened) -> None:
    """Nanoseconds of the far future fit a column of times."""

    async def body() -> None:
        async with opened() as database:
            row = {"account_id": ACCOUNT, "seq": 2**63 - 1, "entry_hash": ""}
            from_head = select(trackers.metadata.tables["journal_head"].c.seq)
            table = trackers.metadata.tables["journal_head"]
            await database.runner.write(lambda c: c.execute(insert(table), row))

            assert await database.runner.read(lambda c: c.execute(from_head).scalar_one()) == (
                2**63 - 1
            )

    run_async(body())


@pytest.mark.parametrize(
    "odd", ["", "\x00", "a\x00b", "\x1b", "\x1b0", "\x1bE\x00", "\x00E", "ü₹\n"]
)
def test_any_text_comes_back_as_it_was(opened, odd: str) -> None:
    """NUL and escape characters in text from outside survive on every database."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            fact = AlarmRaised(Severity.WARNING, "code", odd)
            await store.record([fact], START_NS)

            assert [alarm.message for alarm in await store.alarms()] == [odd]
            assert [entry.fact for entry in await store.entries()] == [fact]

    run_async(body())
