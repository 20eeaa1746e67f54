"""The lock of an account on a PostgreSQL server: a session advisory lock."""

import asyncpg

from squareoff.adapters.sql import postgres_engine
from squareoff.adapters.sql.failures import describe, foreign_errors
from squareoff.adapters.sql.locks import account_hash, locked_by
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.ids import AccountId

LOCK_CHECK_SECONDS = 2.0
"""A server that does not answer so simple a question within this time cannot vouch for a lock."""


class PostgresAccountLock:
    """A session advisory lock, held by a connection of its own.

    It comes free when that connection ends, which a server's restart or a cut network also does:
    alone it proves nothing about the process.
    """

    proves_death = False

    def __init__(self, url: str, account_id: AccountId) -> None:
        self._url = url
        digest = bytes.fromhex(account_hash(account_id))
        # PostgreSQL's key is one signed 64-bit number.
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: asyncpg.Connection | None = None

    async def acquire(self) -> None:
        """Take the lock on a fresh connection; see `ProcessLock`."""
        assert self._connection is None, "the account lock was taken twice"
        try:
            connection = await postgres_engine.connect(self._url)
        except foreign_errors() as error:
            raise _away(error) from error
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key):
                raise locked_by(await self._holder(connection))
        except foreign_errors() as error:
            connection.terminate()
            raise _away(error) from error
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def is_held(self) -> bool:
        """Ask the server, over the very connection that holds the lock."""
        connection = self._connection
        if connection is None or connection.is_closed():
            return False
        try:
            found = await connection.fetchval(_IS_OURS, self._key, timeout=LOCK_CHECK_SECONDS)
        except foreign_errors():
            return False
        return bool(found)

    async def release(self) -> None:
        """End the connection, and with it the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _holder(self, connection: asyncpg.Connection) -> str:
        row = await connection.fetchrow(_HOLDER, self._key)
        if row is None:
            return "a process that has just ended"
        return f"{row['application_name']} at {row['address'] or 'this machine'}"


# A 64-bit advisory key shows as two halves, with objsubid 1.
_KEY_MATCHES = (
    "locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND ((classid::bigint << 32) | objid::bigint) = $1"
)
_IS_OURS = f"SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {_KEY_MATCHES} AND pid = pg_backend_pid())"
_HOLDER = (
    "SELECT application_name, host(client_addr) AS address FROM pg_stat_activity "
    f"WHERE pid = (SELECT pid FROM pg_locks WHERE {_KEY_MATCHES} LIMIT 1)"
)


def _away(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the account lock could not be taken, the database is away: {describe(error)}"
    )
