"""The API as a whole: its routes are the documented ones, and OpenAPI describes them."""

import pytest

from api_rig import ApiRig
from squareoff.web.app import create_app
from squareoff.web.roles import Role

ROUTES = {
    "POST /api/v1/trackers", "GET /api/v1/trackers", "GET /api/v1/trackers/{tracker_id}",
    "PATCH /api/v1/trackers/{tracker_id}", "POST /api/v1/trackers/{tracker_id}/exit",
    "GET /api/v1/trackers/{tracker_id}/journal", "POST /api/v1/entries", "POST /api/v1/exit-all",
    "GET /api/v1/kill-switch", "POST /api/v1/kill-switch", "GET /api/v1/orders",
    "GET /api/v1/journal", "GET /api/v1/events", "GET /api/v1/alarms",
    "POST /api/v1/alarms/{alarm_id}/acknowledge", "POST /api/v1/reconcile", "GET /api/v1/status",
    "GET /metrics", "GET /healthz", "GET /readyz",
}  # fmt: skip


def test_openapi_holds_every_route_with_a_sentence(rig: ApiRig) -> None:
    """/openapi.json lists the documented routes, each with a description."""
    paths = rig.call("GET", "/openapi.json").json["paths"]
    found = {f"{method.upper()} {path}": about for path, methods in paths.items()
             for method, about in methods.items()}  # fmt: skip

    assert found.keys() >= ROUTES
    assert [name for name, about in found.items() if not about.get("description")] == []


def test_decimals_are_text_in_openapi(rig: ApiRig) -> None:
    """Programs that read the description learn that prices are text."""
    schemas = rig.call("GET", "/openapi.json").json["components"]["schemas"]

    assert schemas["TrackerOut"]["properties"]["entry_price"]["type"] == "string"
    assert "rules" in schemas["PositionIn"]["properties"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/v1/trackers/"])
def test_nothing_more_is_served(path: str, rig: ApiRig) -> None:
    """No documentation pages from elsewhere, no redirects."""
    assert rig.call("GET", path).status == 404


def test_a_short_token_is_no_protection(rig: ApiRig) -> None:
    """An app with a guessable token is not made."""
    with pytest.raises(ValueError, match="at least 16"):
        create_app(rig.engine.desk, tokens={Role.ADMIN: "short"})
