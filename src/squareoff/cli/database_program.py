"""The work behind `squareoff db`."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from squareoff.adapters.sql import backups
from squareoff.adapters.sql.database import Database, open_database, sqlite_file
from squareoff.adapters.sql.journal_rows import ChainReport, count_entries, verify_chains
from squareoff.adapters.sql.locks import FileAccountLock, account_lock, lock_path, lock_paths
from squareoff.adapters.sql.postgres_dump import dump
from squareoff.adapters.sql.schema import (
    SchemaAge,
    SchemaState,
    check_revision,
    schema_state,
    upgrade,
)
from squareoff.adapters.sql.tables import journal_head
from squareoff.adapters.system import SystemClock
from squareoff.bootstrap import account_of
from squareoff.cli.carrying_over import carry_over
from squareoff.config import Settings
from squareoff.domain.errors import ConfigError, StoreError
from squareoff.domain.ids import AccountId
from squareoff.ports import ProcessLock

_CHECKED_SUFFIX = ".restoring"
_FIT = (SchemaAge.SAME, SchemaAge.OLDER)
_STRANGE = (SchemaAge.EMPTY, SchemaAge.FOREIGN)
_POSTGRES_RESTORE = (
    "the database is PostgreSQL: stop the engine and its standby, then run `pg_restore --clean "
    "--if-exists --single-transaction --dbname=URL FILE`"
)


def _told_of(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Run to the end, and return what was found also where a Ctrl-C came when it was done.

    Raises:
        KeyboardInterrupt: it came before.
    """
    found: list[dict[str, Any]] = []

    async def keep() -> None:
        found.append(await work)

    try:
        asyncio.run(keep())
    except KeyboardInterrupt:
        if not found:
            raise
    return found[0]


def upgrade_database(settings: Settings) -> dict[str, str | None]:
    """Upgrade; return where it is, the revision it `was` of ("" for empty), and its `revision`.

    Raises:
        AccountLocked: an engine uses the database, and would go on with tables it does not know.
        StoreError: the database cannot be reached, or is of a newer version.
    """
    return asyncio.run(_upgrade(settings))


async def _upgrade(settings: Settings) -> dict[str, str | None]:
    database = open_database(settings.database_url.get_secret_value())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        before = await schema_state(database)
        if before.age is SchemaAge.OLDER:
            for lock in await _engine_locks(database, account_of(settings)):
                await _hold(stack, lock)
        await upgrade(database)
        after = await schema_state(database)
    return {"database": database.display_url, "was": before.found, "revision": after.found}


async def _engine_locks(database: Database, account_id: AccountId) -> list[ProcessLock]:
    """Return the locks that keep every engine off a database, the one of this account too."""
    path = database.sqlite_path
    if path is not None:
        return _file_locks(path, account_id)
    known = await database.runner.read(_accounts)
    return [account_lock(database, each) for each in sorted({account_id, *known})]


def _file_locks(path: Path, account_id: AccountId) -> list[ProcessLock]:
    paths = {lock_path(path, account_id), *lock_paths(path)}
    return [FileAccountLock(each) for each in sorted(paths)]


def _accounts(connection: Connection) -> list[AccountId]:
    return [
        AccountId(each) for each in connection.execute(select(journal_head.c.account_id)).scalars()
    ]


async def _hold(stack: AsyncExitStack, lock: ProcessLock) -> None:
    await lock.acquire()
    stack.push_async_callback(lock.release)


def back_up_database(settings: Settings, target: Path) -> dict[str, Any]:
    """Copy the database to a new file, while an engine may run.

    Returns:
        `file`, `bytes`, and the number of journal `entries` in it (on PostgreSQL: at its start).

    Raises:
        StoreError: it cannot be read, is damaged or none of ours, or the file cannot be written.
    """
    return _told_of(_back_up(settings, target))


async def _back_up(settings: Settings, target: Path) -> dict[str, Any]:
    url = settings.database_url.get_secret_value()
    path = sqlite_file(url)
    if path is None:
        entries = await _entries_of_server(url)
        size = await asyncio.to_thread(dump, url, target)
    else:
        size, entries = backups.back_up_ours(path, target)
    return {"file": str(target), "bytes": size, "entries": entries}


async def _entries_of_server(url: str) -> int:
    database = open_database(url)
    try:
        state = await schema_state(database)
        if state.age in _STRANGE:
            raise StoreError(f"{database.display_url} is no database of squareoff")
        return await database.runner.read(count_entries)
    finally:
        await database.close()


def restore_database(settings: Settings, copy: Path) -> dict[str, Any]:
    """Put a copy back in place of the database, which is kept aside.

    Returns:
        `database`, `kept_aside` (None where there was none), `revision`, whether it
        `needs_upgrade`, the number of journal `entries` and `carried_over`: a line each for what
        the copy was told of the replaced database, or could not be told.

    Raises:
        AccountLocked: an engine uses the database.
        ConfigError: the account to keep out is not known.
        StoreError: the copy is damaged or of another version; nothing was changed.
    """
    return _told_of(_restore(settings, copy))


async def _restore(settings: Settings, copy: Path) -> dict[str, Any]:
    path = sqlite_file(settings.database_url.get_secret_value())
    if path is None:
        raise StoreError(_POSTGRES_RESTORE)
    if settings.mode == "live" and not settings.credentials.client_id:
        raise ConfigError(
            "DHAN_CLIENT_ID: is needed to restore in live mode: it names the engine to keep out"
        )
    async with AsyncExitStack() as stack:
        for lock in _file_locks(path, account_of(settings)):
            await _hold(stack, lock)
        checked = path.with_name(path.name + _CHECKED_SUFFIX)
        backups.remove(checked)  # left by a restore that was cut short
        stack.callback(backups.remove, checked)
        # In this thread: a Ctrl-C waits for the end of a step. One that another thread goes on with
        # would replace the database unlocked, after the command has ended without a word.
        backups.back_up(copy, checked)
        state, entries = await _examined(checked)
        aside = _name_aside(path)
        is_kept = aside is not None and _keep_aside(path, aside)
        carried = await carry_over(None if aside is None else path, checked)
        _heed_interruption()
        if aside is None or is_kept:
            backups.put_back(checked, path)
        else:
            backups.replace_damaged(path, checked, aside)
    return {
        "database": str(path),
        "kept_aside": None if aside is None else str(aside),
        "revision": state.found,
        "needs_upgrade": state.age is SchemaAge.OLDER,
        "entries": entries + len(carried.facts),
        "carried_over": list(carried.texts),
    }


def _heed_interruption() -> None:
    """End here where a Ctrl-C came, also where nothing was waited for since: the next step cannot
    be taken back."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _examined(path: Path) -> tuple[SchemaState, int]:
    """Return the revision of a copy, and how many journal entries it holds, all of them intact."""
    database = open_database(f"sqlite:///{path}")
    try:
        state = await schema_state(database)
        if state.age not in _FIT:
            raise StoreError(
                f"the copy is of revision {state.found or 'none'}, this squareoff is of "
                f"{state.expected}: it was made by a newer version, or is none of ours"
            )
        entries = await database.runner.read(_verified)
    finally:
        await database.close()
    return state, entries


def _verified(connection: Connection) -> int:
    reports = verify_chains(connection)
    for account_id, report in reports.items():
        if not report.is_intact:
            raise StoreError(
                f"the copy's journal does not hold: account {account_id}: {report.fault_text}"
            )
    return sum(report.entries for report in reports.values())


def _name_aside(path: Path) -> Path | None:
    """Return the name under which what is there now is kept, None where nothing is."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    stamp = SystemClock().now().ist().strftime("%Y%m%d-%H%M%S")
    return path.with_name(f"{path.name}.before-restore-{stamp}")


def _keep_aside(path: Path, aside: Path) -> bool:
    """Copy the database that is about to be replaced; False where it is too damaged for that.

    Raises:
        StoreError: it is sound, but locked, or there is no room for the copy.
    """
    try:
        backups.back_up(path, aside)
    except StoreError:
        if not backups.is_damaged(path):
            raise
        return False
    return True


def verify_journal(settings: Settings) -> dict[str, Any]:
    """Check the journal of every account, whichever the settings name.

    Only reads, so the engine may run meanwhile.

    Returns:
        `database`, the `accounts` (each with `account`, `entries`, `intact` and `fault`), and over
        all of them the number of `entries`, whether all are `intact`, and the first `fault`.

    Raises:
        StoreError: there is no database or no journal in it, it cannot be reached, or is of another
            version.
    """
    return asyncio.run(_verify(settings))


async def _verify(settings: Settings) -> dict[str, Any]:
    url = settings.database_url.get_secret_value()
    path = sqlite_file(url)
    if path is not None and not await asyncio.to_thread(path.exists):  # else it is made
        raise StoreError(f"there is no database at {path}")
    database = open_database(url)
    try:
        await check_revision(database)
        reports = await database.runner.read(verify_chains)
    finally:
        await database.close()
    if not any(report.entries or not report.is_intact for report in reports.values()):
        raise StoreError(f"{database.display_url} holds no journal: no engine ever wrote to it")
    return {"database": database.display_url} | _verdict(reports)


def _verdict(reports: Mapping[AccountId, ChainReport]) -> dict[str, Any]:
    faults = [f"account {name}: {r.fault_text}" for name, r in reports.items() if not r.is_intact]
    return {
        "accounts": [
            {
                "account": account_id,
                "entries": report.entries,
                "intact": report.is_intact,
                "fault": report.fault_text,
            }
            for account_id, report in reports.items()
        ],
        "entries": sum(report.entries for report in reports.values()),
        "intact": not faults,
        "fault": faults[0] if faults else "",
    }
