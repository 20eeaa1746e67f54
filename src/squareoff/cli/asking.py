"""Commands that only look: positions, orders, journal, metrics, alarms, status."""

import json
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group
from rich.live import Live
from rich.text import Text

from squareoff.cli.api_client import CommandRefused, EngineClient, path_of
from squareoff.cli.options import ConfigOption, JsonOption, settings_of
from squareoff.cli.output import (
    ALARM_COLUMNS,
    FINAL_STATUSES,
    JOURNAL_COLUMNS,
    ORDER_COLUMNS,
    POSITION_COLUMNS,
    Column,
    console,
    print_json,
    print_pairs,
    print_table,
    table_of,
)
from squareoff.cli.progress import pause
from squareoff.domain.states import PositionStatus

WATCH_SECONDS = 1.0
"""A person reads no faster; the engine answers from memory."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("positions", positions),
        ("orders", orders),
        ("journal", journal),
        ("metrics", metrics),
        ("alarms", alarms),
        ("status", status),
    ):
        app.command(name)(command)


def positions(
    status: Annotated[
        list[PositionStatus] | None,
        typer.Option(case_sensitive=False, help="Only these; may be repeated."),
    ] = None,
    past: Annotated[
        bool, typer.Option("--past", help="Also those that ended more than a week ago.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show live, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the positions under watch, and those that ended within a week."""
    client = EngineClient(settings_of(config))
    wanted = [each.value for each in status or ()]
    if watch:
        _watch(client, wanted, as_json=as_json)
        return
    listed = client.get("/trackers", status=wanted, past="true" if past else None)
    _show_list(listed, "positions", POSITION_COLUMNS, as_json)


def _watch(client: EngineClient, status: list[str], *, as_json: bool) -> None:
    """Show until interrupted, which is the ordinary end."""
    try:
        if as_json:
            _print_changes(client, status)
        else:
            _show_table(client, status)
    except KeyboardInterrupt:
        return


def _print_changes(client: EngineClient, status: list[str]) -> None:
    """Print all positions as one object a line, whenever one of them changed."""
    last: Any = None
    while True:
        found = client.get("/trackers", status=status)
        if found != last:
            print(json.dumps(found), flush=True)
        last = found
        pause(WATCH_SECONDS)


def _show_table(client: EngineClient, status: list[str]) -> None:
    """Show the positions live; an engine that is away is waited for, and that is said.

    A screen that is too low is cut off at its end, so what must be seen comes first: that the rows
    are old, then what is open.
    """
    rows: list[Any] = []
    with Live(console=console(), auto_refresh=False) as screen:
        while True:
            away = ""
            try:
                found = client.get("/trackers", status=status)["items"]
                rows = sorted(found, key=lambda row: row["status"] in FINAL_STATUSES)
            except CommandRefused as refused:
                away = f"NOT UP TO DATE: {refused}"
            table = table_of("positions", POSITION_COLUMNS, rows)
            screen.update(Group(Text(away, style="bold red"), table), refresh=True)
            pause(WATCH_SECONDS)


def orders(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every order of ours, oldest position first."""
    _show_list(EngineClient(settings_of(config)).get("/orders"), "orders", ORDER_COLUMNS, as_json)


def journal(
    tracker_id: Annotated[str, typer.Argument(help="The position's id.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the whole story of one position."""
    client = EngineClient(settings_of(config))
    items = client.get_all(path_of("trackers", tracker_id, "journal"))
    _show_list({"items": items, "next": None}, tracker_id, JOURNAL_COLUMNS, as_json)


def alarms(
    acknowledge: Annotated[
        int | None, typer.Option(min=1, help="Say that you have seen the alarm of this id.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the alarms, or acknowledge one."""
    client = EngineClient(settings_of(config))
    if acknowledge is not None:
        client.post(path_of("alarms", str(acknowledge), "acknowledge"))
        # At once: should the list not come, nobody is to think that this was refused.
        print(f"squareoff: alarm {acknowledge} is acknowledged", file=sys.stderr)
    _show_list(client.get("/alarms"), "alarms", ALARM_COLUMNS, as_json)


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how the engine is doing."""
    found = EngineClient(settings_of(config)).get("/status")
    if as_json:
        print_json(found)
        return
    account = found.pop("account")
    print_pairs(found | {f"account.{name}": value for name, value in account.items()})


def metrics(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the engine's metrics in Prometheus' text format."""
    text = EngineClient(settings_of(config)).get_text("/metrics")
    if not as_json:
        print(text, end="")
        return
    print_json(
        [
            {
                "name": sample.name,
                "labels": sample.labels,
                "value": sample.value if math.isfinite(sample.value) else None,
            }
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
    )


def _show_list(found: Any, title: str, columns: Sequence[Column], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_table(table_of(title, columns, found["items"]))
