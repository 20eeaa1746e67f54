"""Prepared statements do what SQLAlchemy's own do: same values, same errors, every database."""

from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from async_body import run_async
from squareoff.adapters.sql.column_types import AnyText, ExactDecimal
from squareoff.adapters.sql.prepared import Prepared
from squareoff.domain.errors import LostUpdate

_TABLE = Table(
    "prepared_sample",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("price", ExactDecimal),
    Column("remark", AnyText),
)
_ROWS = [
    {"number": 1, "price": Decimal("1.50"), "remark": "plain"},
    {"number": 2, "price": None, "remark": "with \x00 and \x1b"},
]


def test_values_pass_through_the_column_types(opened) -> None:
    """What goes in prepared comes out by SQLAlchemy exactly as it went in."""

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(lambda c: _TABLE.create(c))
            await database.runner.write(lambda c: Prepared(insert(_TABLE)).change_each(c, _ROWS))
            found = await database.runner.read(
                lambda c: c.execute(select(_TABLE).order_by(_TABLE.c.number)).mappings().all()
            )

        assert [dict(row) for row in found] == _ROWS
        assert str(found[0]["price"]) == "1.50"

    run_async(body())


def test_a_change_says_how_many_rows_it_touched(opened) -> None:
    """A conditional update that matches nothing touches nothing."""
    change = Prepared(update(_TABLE).where(_TABLE.c.number == bindparam("key_number")))

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(lambda c: _TABLE.create(c))
            await database.runner.write(lambda c: Prepared(insert(_TABLE)).change(c, _ROWS[0]))
            touched = [
                await database.runner.write(
                    lambda c, n=n: change.change(c, {"key_number": n, "remark": "changed"})
                )
                for n in (1, 9)
            ]

        assert touched == [1, 0]

    run_async(body())


def test_the_first_row_or_none(opened) -> None:
    """A select of plain columns gives its first row."""
    query = Prepared(select(_TABLE.c.number).where(_TABLE.c.number == bindparam("wanted")))

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(lambda c: _TABLE.create(c))
            await database.runner.write(lambda c: Prepared(insert(_TABLE)).change(c, _ROWS[0]))
            assert await database.runner.read(lambda c: query.first(c, {"wanted": 1})) == (1,)
            assert await database.runner.read(lambda c: query.first(c, {"wanted": 2})) is None

    run_async(body())


def test_rows_pass_through_the_column_types(opened) -> None:
    """What a prepared select gives is what SQLAlchemy gives, literals and a limit included."""
    query = (
        select(_TABLE, (_TABLE.c.number > 1).label("is_late"))
        .where(_TABLE.c.number < bindparam("below"), _TABLE.c.number != 7)
        .order_by(_TABLE.c.number)
        .limit(bindparam("limit"))
    )
    prepared = Prepared(query)

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(lambda c: _TABLE.create(c))
            await database.runner.write(lambda c: Prepared(insert(_TABLE)).change_each(c, _ROWS))
            for keys in (
                {"below": 9, "limit": 5},
                {"below": 9, "limit": 1},
                {"below": 0, "limit": 5},
            ):
                found = await database.runner.read(lambda c, keys=keys: prepared.rows(c, keys))
                known = await database.runner.read(
                    lambda c, keys=keys: c.execute(query, keys).mappings().all()
                )
                assert found == [dict(row) for row in known]
                assert [type(row["is_late"]) for row in found] == [bool] * len(found)

    run_async(body())


def test_errors_are_sqlalchemys_own_and_tell_no_values(opened) -> None:
    """A refused row is the store's lost update, and its text holds nothing of the row."""

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(lambda c: _TABLE.create(c))
            twice = [_ROWS[0] | {"remark": "a secret"}] * 2
            with pytest.raises(LostUpdate) as caught:
                await database.runner.write(
                    lambda c: Prepared(insert(_TABLE)).change_each(c, twice)
                )

        assert isinstance(caught.value.__cause__, IntegrityError)
        assert "a secret" not in str(caught.value) + str(caught.value.__cause__)

    run_async(body())
