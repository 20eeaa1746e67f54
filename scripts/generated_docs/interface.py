"""Tables of what the outside sees: settings, routes, options of commands."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, cast, get_args

import typer.main
from fastapi.routing import APIRoute
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from generated_docs.reading import load
from generated_docs.tables import leaf_commands, markdown_table
from squareoff.config.names import FILE_SUFFIX, SettingName, setting_names
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.rules import RuleSet
from squareoff.services.monitoring.metrics import Metrics
from squareoff.web import (
    account_routes,
    health_routes,
    journal_routes,
    screen_routes,
    tracker_routes,
)


def settings_table() -> str:
    """List every setting: environment variable, TOML path, default and meaning.

    Raises:
        ValueError: a setting has no sentence under it.
    """
    names = list(setting_names())
    bare = [".".join(name.path) for name in names if not name.field.description]
    if bare:
        raise ValueError(f"settings without a sentence: {', '.join(bare)}")
    rows = [
        (_variable(name), _toml_path(name), _default(name), str(name.field.description))
        for name in names
    ]
    return markdown_table(("environment", "TOML", "default", "what it is for"), rows)


def route_table() -> str:
    """List every route of the API with the first sentence of its description."""
    rows = [
        (f"`{method} {route.path}`", _body_of(route), route.description.split("\n")[0])
        for route in _routes()
        for method in sorted(route.methods or ())
    ]
    return markdown_table(("call", "body", "what it does"), rows)


def metric_table() -> str:
    """List every metric as queries name it: kind, labels, meaning."""
    rows = [
        (f"`{each.name}`", each.kind, ", ".join(f"`{label}`" for label in each.labels), each.text)
        for each in Metrics().texts
    ]
    return markdown_table(("metric", "kind", "labels", "meaning"), rows)


def option_table(dotted_name: str) -> str:
    """List the options of every command of a typer application."""
    command = typer.main.get_command(load(dotted_name))
    rows = [
        (f"`{' '.join(path)}`", _usage_of(found), found.help.split("\n\n")[0])
        for path, found in leaf_commands(command)
    ]
    return markdown_table(("command", "arguments and options", "what it does"), rows)


def _routes() -> Iterator[APIRoute]:
    modules = (tracker_routes, account_routes, journal_routes, screen_routes, health_routes)
    for module in modules:
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                yield route


def _body_of(route: APIRoute) -> str:
    body = route.body_field
    if body is None:
        return ""
    annotation = cast("Any", body.field_info.annotation)
    model = next((part for part in get_args(annotation) if part is not NoneType), annotation)
    parts = [
        f"`{name}`" if field.is_required() else f"[`{name}`]"
        for name, field in model.model_fields.items()
    ]
    return ", ".join(parts)


def _usage_of(command: Any) -> str:
    hidden = {"--help", "--config", "--json"}
    parts = []
    for parameter in command.params:
        if hidden.intersection(parameter.opts):
            continue
        word = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper()
        parts.append(f"`{word}`" if parameter.required else f"[`{word}`]")
    return " ".join(parts)


def _variable(name: SettingName) -> str:
    if name.environment is None:
        return ""
    also = f", `{name.environment.name}{FILE_SUFFIX}`" if name.environment.from_file else ""
    return f"`{name.environment.name}`{also}"


def _toml_path(name: SettingName) -> str:
    return f"`{'.'.join(name.path)}`" if name.is_in_toml else "-"


def _default(name: SettingName) -> str:
    value = name.field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value is PydanticUndefined or value in ("", ()):
        return ""
    if isinstance(value, RuleSet | AccountRules):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
