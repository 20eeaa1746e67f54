"""The program behind `squareoff run`: the engine with its API in one process."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.panel import Panel

from squareoff import __version__
from squareoff.bootstrap import open_engine
from squareoff.cli.logs import configure_logs
from squareoff.cli.loops import run_until_told
from squareoff.config import Settings
from squareoff.config.fields import LOOPBACK_NAMES
from squareoff.web.api_token import api_token
from squareoff.web.app import create_app
from squareoff.web.server import ApiServer

_STYLES = {"paper": "bold black on green", "live": "bold white on red"}


def run_engine(settings: Settings, *, as_json: bool) -> None:
    """Run until interrupted.

    Raises:
        SquareoffError: it could not start, or a part of it failed.
    """
    token, token_path = api_token(settings)
    configure_logs((*settings.secret_values(), token))
    run_until_told(_serve(settings, token, token_path, as_json=as_json))


async def _serve(settings: Settings, token: str, token_path: Path | None, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        app = create_app(
            engine.desk,
            token=token,
            metrics_public=settings.api.metrics_public,
            hosts=(*LOOPBACK_NAMES, settings.api.host),
        )
        server = ApiServer(app, settings.api.host, settings.api.port)
        announce(settings, server.url, token_path, as_json=as_json)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.supervisor.run())
            tasks.create_task(server.run())


def announce(settings: Settings, url: str, token_path: Path | None, *, as_json: bool) -> None:
    """Say what runs: the mode, unmistakably, the API's address and where its token is kept."""
    where = None if token_path is None else str(token_path.resolve())
    if as_json:
        said = {"mode": settings.mode, "api": url, "token_path": where, "version": __version__}
        print(json.dumps(said), flush=True)
        return
    mode = settings.mode
    lines = [
        f"[{_STYLES[mode]}] {mode.upper()} [/]  {_warning(settings)}",
        f"API    {url}",
        f"token  {where or 'as given by SQUAREOFF_API_TOKEN'}",
    ]
    Console(highlight=False, soft_wrap=True).print(
        Panel("\n".join(lines), title=f"squareoff {__version__}", expand=False)
    )


def _warning(settings: Settings) -> str:
    """Return what orders of this engine mean."""
    if settings.mode == "paper":
        return "no order leaves this machine"
    if urlsplit(settings.dhan.rest_url).hostname in LOOPBACK_NAMES:
        return f"orders go to a broker on this machine: {settings.dhan.rest_url}"
    return "REAL ORDERS go to the broker, with real money"
