"""Commands that change something, all through the running engine's API."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from squareoff.cli.api_client import CommandRefused, EngineClient, path_of
from squareoff.cli.options import (
    ConfigOption,
    JsonOption,
    ReasonOption,
    YesOption,
    confirm,
    settings_of,
)
from squareoff.cli.output import (
    POSITION_COLUMNS,
    RESULT_COLUMNS,
    print_json,
    print_pairs,
    print_table,
    table_of,
)

TrackerArgument = Annotated[str, typer.Argument(help="The position's id.")]
RulesOption = Annotated[
    str | None, typer.Option(help="Rules as JSON, or @FILE with JSON; see docs/api.md.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("track", track),
        ("rules", rules),
        ("exit", exit_position),
        ("exit-all", exit_all),
        ("kill", kill),
        ("resume", resume),
        ("reconcile", reconcile),
    ):
        app.command(name)(command)


def track(
    segment: Annotated[str, typer.Option(help="Exchange segment: NSE_FNO, NSE_EQ, MCX_COMM...")],
    security_id: Annotated[str, typer.Option(help="The exchange's number of the instrument.")],
    product: Annotated[str, typer.Option(help="INTRADAY, CNC, MARGIN or MTF.")],
    side: Annotated[str, typer.Option(help="LONG or SHORT.")],
    quantity: Annotated[int, typer.Option(help="Whole units, not lots.")],
    entry_price: Annotated[str, typer.Option(help="Average price paid or received, in rupees.")],
    rules: RulesOption = None,
    entry_order_id: Annotated[
        str | None, typer.Option(help="The broker's id of an entry order to wait for.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Name for display.")] = None,
    lot_size: Annotated[
        int | None, typer.Option(help="Needed where the instrument master lacks the instrument.")
    ] = None,
    tick_size: Annotated[str | None, typer.Option(help="Likewise, in rupees.")] = None,
    freeze_quantity: Annotated[int | None, typer.Option(help="Most units in one order.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: repeating the command acts once.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a position under watch."""
    body: dict[str, Any] = {
        "exchange_segment": segment,
        "security_id": security_id,
        "product_type": product,
        "side": side,
        "quantity": quantity,
        "entry_price": entry_price,
        "rules": _rules_of(rules),
        "entry_order_id": entry_order_id,
        "trading_symbol": symbol,
        "lot_size": lot_size,
        "tick_size": tick_size,
        "freeze_quantity": freeze_quantity,
    }
    given = {name: value for name, value in body.items() if value is not None}
    found = EngineClient(settings_of(config)).post("/trackers", given, key=key)
    _show_position(found, as_json=as_json)


def rules(
    tracker_id: TrackerArgument,
    rules: Annotated[str, typer.Argument(help="Rules as JSON, or @FILE with JSON.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the rules of a position."""
    client = EngineClient(settings_of(config))
    found = client.patch(path_of("trackers", tracker_id), {"rules": _rules_of(rules)})
    _show_position(found, as_json=as_json)


def exit_position(
    tracker_id: TrackerArgument,
    reason: ReasonOption,
    wait: Annotated[
        str, typer.Option(help="Wait until the broker accepted the exit, or until it is filled.")
    ] = "accepted",
    wait_seconds: Annotated[
        float, typer.Option(help="How long at the most; the exit goes on by itself.")
    ] = 8.0,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close one position; repeating the command closes it no second time."""
    client = EngineClient(settings_of(config))
    confirm(f"Close position {tracker_id}?", is_confirmed=yes or as_json)
    body = {"reason": reason, "wait": wait, "wait_seconds": wait_seconds}
    try:
        found = client.post(
            path_of("trackers", tracker_id, "exit"), body, wait_seconds=wait_seconds
        )
    except CommandRefused as refused:
        if as_json and refused.result is not None:
            print_json(refused.result)
        raise
    (print_json if as_json else print_pairs)(found)
    if not found["success"]:
        raise CommandRefused(f"{found['error']} ({found['code']})")


def exit_all(
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close every held position."""
    client = EngineClient(settings_of(config))
    confirm("Close every position of the account?", is_confirmed=yes or as_json)
    found = client.post("/exit-all", {"reason": reason})
    if as_json:
        print_json(found)
    else:
        print_table(table_of("exits", RESULT_COLUMNS, found["items"]))
    # Right after the claim an exit is latched and not yet accepted: that is no refusal.
    refused = [row for row in found["items"] if row["intent_id"] is None]
    if refused:
        raise CommandRefused(f"{len(refused)} of {len(found['items'])} exits were refused")


def kill(
    level: Annotated[
        str, typer.Option(help="`new` lets only exits through, `all` lets nothing through.")
    ] = "new",
    reason: ReasonOption = "set from the command line",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Throw the kill switch, durably; asks no questions."""
    _set_kill_switch({"active": True, "level": level, "reason": reason}, config, as_json=as_json)


def resume(
    reason: ReasonOption = "lifted from the command line",
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift the kill switch."""
    confirm("Let new orders through again?", is_confirmed=yes or as_json)
    _set_kill_switch({"active": False, "reason": reason}, config, as_json=as_json)


def _set_kill_switch(body: dict[str, Any], config: Path | None, *, as_json: bool) -> None:
    found = EngineClient(settings_of(config)).post("/kill-switch", body)
    (print_json if as_json else print_pairs)(found)


def reconcile(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compare with the broker's books now, and show the differences."""
    found = EngineClient(settings_of(config)).post("/reconcile")
    if as_json:
        print_json(found)
        return
    for difference in found["differences"] or ["the books agree"]:
        print(difference)


def _show_position(found: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_table(table_of("position", POSITION_COLUMNS, [found]))


def _rules_of(text: str | None) -> Any:
    if text is None:
        return None
    try:
        written = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        return json.loads(written)
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]} could not be read: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(f"the rules are no JSON: {error}") from error
