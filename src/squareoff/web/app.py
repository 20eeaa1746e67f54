"""Put the API and the dashboard together: routes, guard and errors around one desk."""

from collections.abc import Collection

from fastapi import FastAPI

from squareoff import __version__
from squareoff.config.fields import LOOPBACK_NAMES
from squareoff.services.desk import Desk
from squareoff.web import (
    account_routes,
    health_routes,
    journal_routes,
    screen_routes,
    tracker_routes,
)
from squareoff.web.answers import ErrorOut
from squareoff.web.context import ApiContext
from squareoff.web.dashboard_page import dashboard_files, dashboard_router
from squareoff.web.errors import install_error_handlers
from squareoff.web.guard import Guard, GuardRules, allowed_hosts
from squareoff.web.idempotency import IdempotencyDesk

TOKEN_LENGTH_MIN = 16
"""A shorter token could be guessed; ours have 43 characters."""


def create_app(
    desk: Desk,
    *,
    token: str,
    metrics_public: bool = False,
    hosts: Collection[str] = LOOPBACK_NAMES,
) -> FastAPI:
    """Return the API of one engine.

    Args:
        token: the bearer token that every call but the open ones must carry.
        metrics_public: whether `/metrics` answers without it.
        hosts: names that the Host header may hold, without port.

    Raises:
        ValueError: the token is too short to protect anything.
    """
    if len(token) < TOKEN_LENGTH_MIN:
        raise ValueError(f"an API token has at least {TOKEN_LENGTH_MIN} characters")
    app = FastAPI(
        title="squareoff",
        version=__version__,
        summary="Closes traders' open positions at Dhan exactly once.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": ErrorOut, "description": "Refused; nothing was changed"}},
    )
    app.state.context = ApiContext(desk, IdempotencyDesk(desk))
    app.state.is_closing = app.state.context.is_closing
    for routes in (tracker_routes, account_routes, journal_routes, screen_routes, health_routes):
        app.include_router(routes.router)
    page = dashboard_files()
    app.include_router(dashboard_router(page))
    install_error_handlers(app)
    open_paths = {*health_routes.OPEN_PATHS, *page}
    if metrics_public:
        open_paths.add(health_routes.METRICS_PATH)
    rules = GuardRules(token, allowed_hosts(hosts), frozenset(open_paths))
    app.add_middleware(Guard, rules=rules)
    return app
