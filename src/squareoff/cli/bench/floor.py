"""The floor of an exit: one bare durable commit and one bare POST, with nothing of ours between."""

import sqlite3
from pathlib import Path
from typing import Any

import aiohttp


class BareCommit:
    """One row, durable on return, in an SQLite file set up as the engine's own."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE floor (id INTEGER PRIMARY KEY, body TEXT)")

    def commit(self) -> None:
        """Insert one row in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO floor (body) VALUES ('x')")
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class BarePost:
    """One order, posted to the broker by aiohttp on a kept-alive connection, its answer read."""

    def __init__(self, session: aiohttp.ClientSession, url: str, order: dict[str, Any]) -> None:
        self._session = session
        self._url = url
        self._order = order
        self._count = 0

    async def post(self) -> None:
        """Place one order under an id of its own."""
        self._count += 1
        body = self._order | {"correlationId": f"floor-{self._count}"}
        headers = {"access-token": "floor", "client-id": body["dhanClientId"]}
        async with self._session.post(self._url, json=body, headers=headers) as response:
            await response.read()
            response.raise_for_status()
