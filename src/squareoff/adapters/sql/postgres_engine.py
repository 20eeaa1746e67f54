"""PostgreSQL connections and engines, by asyncpg.

Invariants:
1. A commit is durable on return (`synchronous_commit=on`).
2. Nothing waits for ever: connecting, each statement, each row lock and each idle transaction has
   a limit, on the server too, so that a lost client cannot hold the journal's head.
3. Reads see one snapshot per transaction (REPEATABLE READ, READ ONLY).
"""

import os
from functools import partial

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 5.0
PORT_DEFAULT = 5_432
COMMAND_SECONDS = 5.0
"""Below the gateway's 8 s for a whole call; a healthy commit takes a few milliseconds."""

READING_CONNECTIONS = 4
"""API, command line and recovery read at the same time; more would only queue on the server."""

_SERVER_SETTINGS = {
    "synchronous_commit": "on",
    "lock_timeout": "3000",
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "10000",
    # The server finds out within half a minute that our machine is gone, and frees its locks.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}


async def connect(url: str) -> asyncpg.Connection:
    """Open one connection with our settings; it names our process to the server.

    Raises:
        OSError: nobody answers there, or not within CONNECT_SECONDS.
        asyncpg.PostgresError: the server refuses us.
    """
    settings = _SERVER_SETTINGS | {"application_name": application_name()}
    try:
        return await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS, server_settings=settings
        )
    except OSError as error:
        reason = error.strerror or _why(error)
        raise ConnectionError(f"nobody answers at {_place(url)}: {reason}") from error


def _place(url: str) -> str:
    """Return host and port, without user and password."""
    parts = make_url(url)
    return f"{parts.host}:{parts.port or PORT_DEFAULT}"


def _why(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else type(error).__name__


def application_name() -> str:
    """Return the name under which our sessions show on the server: with the process id."""
    return f"squareoff pid {os.getpid()}"


def engines(url: str) -> tuple[AsyncEngine, AsyncEngine]:
    """Return the writing and the reading engine for a `postgresql://` URL; nothing connects yet."""
    writing = _engine(url, connections=1)
    reading = _engine(url, connections=READING_CONNECTIONS)
    snapshot = reading.execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    return writing, snapshot


def _engine(url: str, connections: int) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(connect, url),
        pool_size=connections,
        max_overflow=0,
        # After a restart of the server the first transaction meets a fresh connection.
        pool_pre_ping=True,
        hide_parameters=True,
    )
