"""What a standby answers: that it lives, that it is not ready, and who owns the account.

A person who opens its address sees a page that says so.
"""

import asyncio
from collections.abc import Mapping

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from squareoff import __version__
from squareoff.config.fields import LOOPBACK_NAMES
from squareoff.core.session.lease import AccountOwner
from squareoff.web.admission import Admission
from squareoff.web.answers import HealthOut, ReadinessOut
from squareoff.web.error_shape import ApiError
from squareoff.web.errors import install_error_handlers
from squareoff.web.guard import Guard, GuardRules, allowed_hosts
from squareoff.web.health_routes import OPEN_PATHS
from squareoff.web.roles import Role, Tokens
from squareoff.web.standby_page import standby_page
from squareoff.web.turnstile import Turnstile

_log = structlog.get_logger("squareoff.standby")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class StandbyPost:
    """What a standby knows of the account's owner; it stands by since `since_ns` (UTC)."""

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self._text = "standing by: the account's owner was not looked at yet"
        self._epoch: int | None = None

    @property
    def text(self) -> str:
        """Say what is waited for."""
        return self._text

    def note_owner(self, owner: AccountOwner | None) -> None:
        """Take in what the newest look showed."""
        who = "an engine that is just starting" if owner is None else owner.describe()
        self._text = f"standing by for {who}"
        epoch = 0 if owner is None else owner.epoch
        if epoch != self._epoch:
            _log.info("standing_by", owner=who)
        self._epoch = epoch


def create_standby_app(post: StandbyPost, *, tokens: Mapping[Role, str], host: str) -> FastAPI:
    """Return the API of a standby: alive, not ready, and 503 `standby` to everything else."""
    app = FastAPI(title="squareoff standby", version=__version__, docs_url=None, redoc_url=None)

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> HealthOut:
        """Say that the process answers."""
        return HealthOut()

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz")
    async def readyz() -> Response:
        """Say that it stands by, and for whom."""
        answer = ReadinessOut(ready=False, because=[post.text])
        return JSONResponse(answer.model_dump(), status_code=503)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        """Show a person that this one stands by; holds no more than `/readyz`."""
        return HTMLResponse(standby_page(post.text, post.since_ns))

    @app.api_route("/{path:path}", methods=_METHODS)
    async def refuse(request: Request) -> Response:
        """Send the caller to the engine that owns the account."""
        raise ApiError(503, "standby", f"{post.text}; ask that engine")

    app.state.is_closing = asyncio.Event()
    install_error_handlers(app)
    admission = Admission(Tokens(tokens), {"/", *OPEN_PATHS})
    rules = GuardRules(admission, allowed_hosts((*LOOPBACK_NAMES, host)))
    app.state.turnstile = Turnstile(admission, rules.on_refusal)
    app.add_middleware(Guard, rules=rules)
    return app
