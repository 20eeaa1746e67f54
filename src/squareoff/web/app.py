"""Put the API and the dashboard together: routes, guard and errors around one desk."""

from collections.abc import Collection, Mapping

from fastapi import FastAPI

from squareoff import __version__
from squareoff.config.checks import API_TOKEN_LENGTH_MIN
from squareoff.config.fields import LOOPBACK_NAMES
from squareoff.services.desk.desk import Desk
from squareoff.web import (
    account_routes,
    health_routes,
    journal_routes,
    screen_routes,
    tracker_routes,
)
from squareoff.web.admission import Admission
from squareoff.web.answers import ErrorOut
from squareoff.web.commands import Commands
from squareoff.web.context import ApiContext
from squareoff.web.dashboard_page import dashboard_files, dashboard_router
from squareoff.web.errors import install_error_handlers
from squareoff.web.guard import Guard, GuardRules, allowed_hosts
from squareoff.web.openapi import describe_api
from squareoff.web.rate_limits import USUAL_LIMITS, ApiLimits
from squareoff.web.roles import Role, Tokens
from squareoff.web.turnstile import Turnstile


def create_app(
    desk: Desk,
    *,
    tokens: Mapping[Role, str],
    metrics_public: bool = False,
    hosts: Collection[str] = LOOPBACK_NAMES,
    limits: ApiLimits = USUAL_LIMITS,
    broker: str = "",
) -> FastAPI:
    """Return the API of one engine.

    Args:
        tokens: the bearer tokens, one of which every call but the open ones must carry.
        metrics_public: whether `/metrics` answers without it.
        hosts: names that the Host header may hold, without port.
        limits: how many calls are taken.
        broker: whom orders go to, in words for a person.

    Raises:
        ValueError: a token is too short to protect anything.
    """
    if any(len(token) < API_TOKEN_LENGTH_MIN for token in tokens.values()):
        raise ValueError(f"an API token has at least {API_TOKEN_LENGTH_MIN} characters")
    app = FastAPI(
        title="squareoff",
        version=__version__,
        summary="Closes traders' open positions at Dhan exactly once.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            "4XX": {"model": ErrorOut, "description": "Refused; nothing was changed"},
            "5XX": {"model": ErrorOut, "description": "Not done, or the answer says so"},
        },
    )
    app.state.context = ApiContext(desk, Commands(desk), broker)
    app.state.is_closing = app.state.context.is_closing
    app.state.run_beside = desk.trail.run
    for routes in (tracker_routes, account_routes, journal_routes, screen_routes, health_routes):
        app.include_router(routes.router)
    page = dashboard_files()
    app.include_router(dashboard_router(page))
    install_error_handlers(app)
    open_paths = {*health_routes.OPEN_PATHS, *page}
    if metrics_public:
        open_paths.add(health_routes.METRICS_PATH)
    describe_api(app, frozenset(open_paths))
    admission = Admission(Tokens(tokens), open_paths, limits)
    app.state.turnstile = Turnstile(admission, desk.trail.note_refusal)
    rules = GuardRules(
        admission, allowed_hosts(hosts), desk.trail.note_refusal, desk.trail.note_caller
    )
    app.add_middleware(Guard, rules=rules)
    return app
