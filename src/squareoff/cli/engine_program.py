"""The program behind `squareoff run`: the engine with its API in one process."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from rich.panel import Panel

from squareoff import __version__
from squareoff.adapters.garbage_collection import GarbageRounds
from squareoff.adapters.private_files import (
    folder_open_to_all,
    keep_to_ourselves,
    open_to_others,
)
from squareoff.adapters.sql.database import files_of, sqlite_file
from squareoff.adapters.system import SystemClock
from squareoff.adapters.thread_turns import short_turns
from squareoff.bootstrap import EngineHooks, open_engine
from squareoff.cli.halt_signal import HaltSignal
from squareoff.cli.logs import Redactor, configure_logs
from squareoff.cli.loops import run_until_told
from squareoff.cli.saying import say, say_to_a_person
from squareoff.cli.service_manager import signs_of_life, tell
from squareoff.cli.standing_by import open_as_standby
from squareoff.config import Settings
from squareoff.config.fields import LOOPBACK_NAMES
from squareoff.domain.errors import ConfigError
from squareoff.web.api_token import api_token, role_tokens
from squareoff.web.app import create_app
from squareoff.web.server import ApiServer, refuse_taken_address, serve_for_good

_log = structlog.get_logger("squareoff.engine_program")
_NEW = "           made just now: no position is under watch"
_STYLES = {"paper": "bold black on green", "live": "bold white on red"}


def run_engine(settings: Settings, *, as_json: bool, standby: bool = False) -> None:
    """Run until interrupted; with `standby` only once the account's engine is dead or silent.

    Raises:
        SquareoffError: it could not start, or a part of it failed.
    """
    keep_to_ourselves()
    refuse_open_files(settings)
    # A first start that is refused leaves no token behind: it is made once the engine is open.
    is_first = settings.api_token is None and not settings.api.token_path.exists()
    given = None if is_first and not standby else api_token(settings)
    redactor = configure_logs((*settings.secret_values(), *((given[0],) if given else ())))
    run_until_told(_run(settings, redactor, given, as_json=as_json, standby=standby))


def refuse_open_files(settings: Settings) -> None:
    """Refuse to start on files that others may read or replace.

    Raises:
        ConfigError: one line a file.
    """
    lines = []
    path = sqlite_file(settings.database_url.get_secret_value())
    if path is not None:
        found = open_to_others(files_of(path)) + folder_open_to_all(path.parent)
        lines += [f"database_url: {line}" for line in found]
    if lines:
        raise ConfigError(lines)


async def _run(
    settings: Settings,
    redactor: Redactor,
    given: tuple[str, Path | None] | None,
    *,
    as_json: bool,
    standby: bool,
) -> None:
    hooks, halt_signal = EngineHooks(on_secret=redactor.add), HaltSignal()
    halt_signal.listen()
    is_new = _has_no_database(settings)
    async with signs_of_life(), AsyncExitStack() as stack:
        stack.enter_context(short_turns())
        if standby:
            assert given is not None, "a standby answers before it owns anything"
            token, token_path = given
            engine, port = await open_as_standby(stack, settings, hooks, token, as_json=as_json)
        else:
            refuse_taken_address(settings.api.host, settings.api.port)
            engine, port = await stack.enter_async_context(open_engine(settings, hooks)), None
            token, token_path = given or api_token(settings)
            redactor.add(token)
        app = create_app(
            engine.desk,
            tokens=role_tokens(settings, token),
            metrics_public=settings.api.metrics_public,
            hosts=(*LOOPBACK_NAMES, settings.api.host),
            broker=broker_name(settings),
        )
        server = ApiServer(app, settings.api.host, settings.api.port if port is None else port)
        announce(settings, server.url, token_path, as_json=as_json, is_new_database=is_new)
        _log.info("dashboard_served", url=f"{server.url}/")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(halt_signal.obey(engine.local_halt))
            tasks.create_task(engine.supervisor.run())
            tasks.create_task(GarbageRounds(engine.exit_engine.book, SystemClock()).run())
            tasks.create_task(serve_for_good(app, server, settings.api.host))


def announce(
    settings: Settings,
    url: str,
    token_path: Path | None,
    *,
    as_json: bool,
    is_new_database: bool = False,
) -> None:
    """Say what runs: the mode, unmistakably, the addresses, and where positions and token are."""
    tell("READY=1\nSTATUS=runs")
    where = None if token_path is None else str(token_path.resolve())
    path = sqlite_file(settings.database_url.get_secret_value())
    database = "on a PostgreSQL server" if path is None else str(path.resolve())
    if is_new_database:  # of another folder, perhaps, than the one that was meant
        _log.warning("database_made", path=database, positions=0)
    if as_json:
        said = {
            "mode": settings.mode,
            "api": url,
            "dashboard": f"{url}/",
            "token_path": where,
            "database": database,
            "database_is_new": is_new_database,
            "version": __version__,
        }
        say(json.dumps(said))
        return
    mode = settings.mode
    lines = [
        f"[{_STYLES[mode]}] {mode.upper()} [/]  {_warning(settings)}",
        f"dashboard  {url}/",
        f"API        {url}/api/v1",
        f"database   {database}",
        *((_NEW,) if is_new_database else ()),
        f"token      {where or 'as given by SQUAREOFF_API_TOKEN'}",
    ]
    say_to_a_person(Panel("\n".join(lines), title=f"squareoff {__version__}", expand=False))


def _has_no_database(settings: Settings) -> bool:
    path = sqlite_file(settings.database_url.get_secret_value())
    return path is not None and not (path.exists() and path.stat().st_size)


def broker_name(settings: Settings) -> str:
    """Return whom orders go to, for the top of the dashboard."""
    if settings.mode == "paper":
        return "built-in paper broker"
    host = urlsplit(settings.dhan.rest_url).hostname
    return f"rehearsal broker at {host}" if host in LOOPBACK_NAMES else f"Dhan ({host})"


def _warning(settings: Settings) -> str:
    """Return what orders of this engine mean."""
    if settings.mode == "paper":
        return "no order leaves this machine"
    if urlsplit(settings.dhan.rest_url).hostname in LOOPBACK_NAMES:
        return f"orders go to a broker on this machine: {settings.dhan.rest_url}"
    return "REAL ORDERS go to the broker, with real money"
