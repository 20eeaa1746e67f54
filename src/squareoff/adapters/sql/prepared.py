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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Row = Mapping[str, Any]
_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement in one database's words: each `?` by name, with what its type does to a value.

    `columns` are what a SELECT gives, with what their types do to a value; a change gives none.
    `literals` are the statement's own values, such as the offset that SQLite's LIMIT asks for.
    """

    sql: str
    parameters: tuple[tuple[str, _Convert | None], ...]
    columns: tuple[tuple[str, _Convert | None], ...]
    literals: Row

    def values(self, row: Row) -> tuple[Any, ...]:
        if self.literals:
            row = {**self.literals, **row}
        return tuple(
            [row[name] if bind is None else bind(row[name]) for name, bind in self.parameters]
        )

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self.columns, values, strict=True)
        }


class Prepared:
    """One statement with named parameters, run with rows of values."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def change(self, connection: Connection, row: Row) -> int:
        """Run an INSERT or UPDATE once; return how many rows it touched."""
        form = self._form(connection, row)
        with _SqlalchemyErrors(connection, form.sql):
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
            with _SqlalchemyErrors(connection, form.sql):
                cursor = connection.connection.cursor()
                cursor.executemany(form.sql, [form.values(row) for row in rows])
                cursor.close()

    def first(self, connection: Connection, row: Row) -> tuple[Any, ...] | None:
        """Run a SELECT whose columns need no conversion; return its first row, None for none."""
        form = self._form(connection, row)
        with _SqlalchemyErrors(connection, form.sql):
            cursor = connection.connection.cursor()
            cursor.execute(form.sql, form.values(row))
            found = cursor.fetchone()
            cursor.close()
        return None if found is None else tuple(found)

    def rows(self, connection: Connection, row: Row) -> list[dict[str, Any]]:
        """Run a SELECT; return all its rows by column name."""
        form = self._form(connection, row)
        with _SqlalchemyErrors(connection, form.sql):
            cursor = connection.connection.cursor()
            cursor.execute(form.sql, form.values(row))
            found = cursor.fetchall()
            cursor.close()
        return [form.row(values) for values in found]

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
    selected = statement.selected_columns if isinstance(statement, Select) else ()
    return _Form(
        str(compiled),
        tuple((name, binds[name]) for name in compiled.positiontup),
        tuple(
            (str(column.key), column.type.dialect_impl(dialect).result_processor(dialect, None))
            for column in selected
        ),
        {name: value for name, value in compiled.params.items() if name not in names},
    )


class _SqlalchemyErrors:
    """Raises the driver's errors in SQLAlchemy's classes, which say the same of every driver."""

    __slots__ = ("_connection", "_sql")

    def __init__(self, connection: Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql

    def __enter__(self) -> None:
        """Nothing is begun."""

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if error is None:
            return
        dialect = self._connection.dialect
        driver_error: type[Exception] = dialect.loaded_dbapi.Error
        if isinstance(error, driver_error):
            raise DBAPIError.instance(
                self._sql, None, error, driver_error, hide_parameters=True, dialect=dialect
            ) from error
