"""Statements that are compiled once and then run on the driver's own cursor.

An exit waits for its commits, and a commit is a handful of small statements: compiling, caching and
result objects of `Connection.execute` cost several times what the database itself does. Here a
statement is compiled at its first use per database, and a run is a tuple of values and one call of
the driver, inside the transaction of the connection it is given.

Invariants:
1. A statement is always given the same columns: its first row decides which.
2. Values pass through the column types exactly as with `Connection.execute`.
3. Failures are SQLAlchemy's own exceptions, without parameters, as everywhere else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Row = Mapping[str, Any]
_Bind = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement in one database's words: each `?` by name, with what its type does to a value."""

    sql: str
    parameters: tuple[tuple[str, _Bind | None], ...]

    def values(self, row: Row) -> tuple[Any, ...]:
        return tuple(
            row[name] if bind is None else bind(row[name]) for name, bind in self.parameters
        )


class Prepared:
    """One statement with named parameters, run with rows of values."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def change(self, connection: Connection, row: Row) -> int:
        """Run an INSERT or UPDATE once; return how many rows it touched."""
        form = self._form(connection, row)
        with _sqlalchemy_errors(connection, form.sql):
            cursor = connection.connection.cursor()
            cursor.execute(form.sql, form.values(row))
            touched: int = cursor.rowcount
            cursor.close()
        return touched

    def change_each(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run an INSERT or UPDATE for every row; nothing for none."""
        if len(rows) == 1:
            self.change(connection, rows[0])
        elif rows:
            form = self._form(connection, rows[0])
            with _sqlalchemy_errors(connection, form.sql):
                cursor = connection.connection.cursor()
                cursor.executemany(form.sql, [form.values(row) for row in rows])
                cursor.close()

    def first(self, connection: Connection, row: Row) -> tuple[Any, ...] | None:
        """Run a SELECT whose columns need no conversion; return its first row, None for none."""
        form = self._form(connection, row)
        with _sqlalchemy_errors(connection, form.sql):
            cursor = connection.connection.cursor()
            cursor.execute(form.sql, form.values(row))
            found = cursor.fetchone()
            cursor.close()
        return None if found is None else tuple(found)

    def _form(self, connection: Connection, row: Row) -> _Form:
        form = self._forms.get(connection.dialect.name)
        if form is None:
            form = _compile(self._statement, connection.dialect, list(row))
            self._forms[connection.dialect.name] = form
        return form


def _compile(statement: ClauseElement, dialect: Dialect, names: list[str]) -> _Form:
    compiled: Any = statement.compile(dialect=dialect, column_keys=names)
    assert compiled.positiontup is not None, "both drivers take their values by position"
    binds = {
        name: parameter.type.dialect_impl(dialect).bind_processor(dialect)
        for name, parameter in compiled.binds.items()
    }
    return _Form(str(compiled), tuple((name, binds[name]) for name in compiled.positiontup))


@contextmanager
def _sqlalchemy_errors(connection: Connection, sql: str) -> Iterator[None]:
    """Raise the driver's errors in SQLAlchemy's classes, which say the same of every driver."""
    driver_error: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        raise DBAPIError.instance(
            sql, None, error, driver_error, hide_parameters=True, dialect=connection.dialect
        ) from error
