"""Insert a row unless its key exists, in the words of each database."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert_if_absent(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert `row` into `table`; a row with the same key stays as it is and wins."""
    match connection.dialect.name:
        case "sqlite":
            connection.execute(sqlite.insert(table).on_conflict_do_nothing(), row)
        case "postgresql":
            # Loaded by now: the connection is of this dialect.
            postgresql = import_module("sqlalchemy.dialects.postgresql")
            connection.execute(postgresql.insert(table).on_conflict_do_nothing(), row)
        case other:
            raise AssertionError(f"no insert is known for the database {other}")
