"""The OpenAPI document: what FastAPI finds out, and what the guard adds to every call."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from squareoff.web.idempotency import KEY_LENGTH_MAX
from squareoff.web.roles import CHANGING_METHODS, role_of_call

_BEARER = "bearer"
_KEY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Repeating the call with the same key and body gets the first answer and changes nothing; "
        "another body is refused."
    ),
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_LENGTH_MAX,
        "pattern": "^[!-~]+$",
        "examples": ["5f0c1f1e-8f0e-4c39-9a43-0f8f6a1c2d3e"],
    },
}


def describe_api(app: FastAPI, open_paths: frozenset[str]) -> None:
    """Let `/openapi.json` tell of token, role and key as well."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, open_paths)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI, open_paths: frozenset[str]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemes = {_BEARER: {"type": "http", "scheme": "bearer"}}
    document.setdefault("components", {})["securitySchemes"] = schemes
    for path, calls in document["paths"].items():
        for name, call in calls.items():
            method = name.upper()
            if path in open_paths:
                continue
            call["security"] = [{_BEARER: []}]
            call["x-role"] = role_of_call(method, path).value
            if method in CHANGING_METHODS:
                call.setdefault("parameters", []).append(_KEY_HEADER)
    return document
