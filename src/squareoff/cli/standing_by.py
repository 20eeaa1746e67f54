"""The program behind `squareoff run --standby`, until the account is ours."""

import asyncio
import json
from contextlib import AsyncExitStack

from squareoff import __version__
from squareoff.adapters.system import SystemClock
from squareoff.assembly import Engine
from squareoff.bootstrap import EngineHooks, open_engine
from squareoff.cli.saying import say, say_to_a_person
from squareoff.cli.service_manager import tell
from squareoff.config import Settings
from squareoff.web.api_token import role_tokens
from squareoff.web.server import ApiServer
from squareoff.web.standby_app import StandbyPost, create_standby_app


async def open_as_standby(
    stack: AsyncExitStack, settings: Settings, hooks: EngineHooks, token: str, *, as_json: bool
) -> tuple[Engine, int]:
    """Stand by until the account's owner is dead or silent for too long, then open the engine.

    Meanwhile the API answers that this one lives and is not ready.

    Returns:
        The open engine, to be closed by `stack`, and the port that the API has to go on with.

    Raises:
        AccountLocked: the owner is of another version or has other settings.
    """
    post = StandbyPost(SystemClock().now().wall_ns)
    app = create_standby_app(post, tokens=role_tokens(settings, token), host=settings.api.host)
    server = ApiServer(app, settings.api.host, settings.api.port)
    port = server.port  # asked while the socket is open
    tell("READY=1\nSTATUS=stands by")
    _announce(settings, server.url, as_json=as_json)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.run())
        opening = open_engine(settings, hooks, on_owner=post.note_owner)
        engine = await stack.enter_async_context(opening)
        serving.cancel()
    return engine, port


def _announce(settings: Settings, url: str, *, as_json: bool) -> None:
    if as_json:
        said = {"mode": settings.mode, "api": url, "standby": True, "version": __version__}
        say(json.dumps(said))
        return
    text = f"STANDBY {__version__}: takes the account over should its engine die; {url}/readyz"
    say_to_a_person(text)
