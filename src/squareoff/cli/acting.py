"""Commands that change something, all through the running engine's API."""

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

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
from squareoff.cli.output import print_json, print_pairs, print_position
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.results import ExitCode


def _price(text: str) -> str:
    """Return a price as it was written; raises BadParameter for what is none."""
    try:
        is_price = Decimal(text).is_finite()
    except InvalidOperation:
        is_price = False
    if not is_price:
        raise typer.BadParameter(f"{text!r} is no price in rupees")
    return text


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
        ("reconcile", reconcile),
    ):
        app.command(name)(command)


def track(
    segment: Annotated[
        ExchangeSegment,
        typer.Option(case_sensitive=False, help="Where it is listed."),
    ],
    security_id: Annotated[str, typer.Option(help="The exchange's number of the instrument.")],
    product: Annotated[ProductType, typer.Option(case_sensitive=False, help="Its product.")],
    side: Annotated[PositionSide, typer.Option(case_sensitive=False, help="Held or owed.")],
    quantity: Annotated[int, typer.Option(min=1, help="Whole units, not lots.")],
    entry_price: Annotated[
        str, typer.Option(parser=_price, metavar="RUPEES", help="Average price paid or received.")
    ],
    rules: RulesOption = None,
    entry_order_id: Annotated[
        str | None,
        typer.Option(
            help="The broker's id of an entry order to wait for; no other tracker may have it."
        ),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Name for display.")] = None,
    lot_size: Annotated[
        int | None,
        typer.Option(min=1, help="Needed where the instrument master lacks the instrument."),
    ] = None,
    tick_size: Annotated[
        str | None, typer.Option(parser=_price, metavar="RUPEES", help="Likewise.")
    ] = None,
    freeze_quantity: Annotated[
        int | None, typer.Option(min=1, help="Most units in one order.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: repeating the command acts once.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a position under watch."""
    body: dict[str, Any] = {
        "exchange_segment": segment.value,
        "security_id": security_id,
        "product_type": product.value,
        "side": side.value,
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
    print_position(found, as_json=as_json)


def rules(
    tracker_id: TrackerArgument,
    rules: Annotated[str, typer.Argument(help="Rules as JSON, or @FILE with JSON.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the rules of a position."""
    client = EngineClient(settings_of(config))
    found = client.patch(path_of("trackers", tracker_id), {"rules": _rules_of(rules)})
    print_position(found, as_json=as_json)


def exit_position(
    tracker_id: TrackerArgument,
    reason: ReasonOption,
    wait: Annotated[
        Literal["claimed", "accepted", "filled"],
        typer.Option(help="Wait until it is latched, accepted by the broker, or filled."),
    ] = "accepted",
    wait_seconds: Annotated[
        float,
        typer.Option(min=0, max=60, help="How long at the most; the exit goes on by itself."),
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
    if wait == "filled" and found["code"] == ExitCode.EXIT_IN_PROGRESS.value:
        raise CommandRefused(
            "the exit is under way and goes on by itself, but is not filled yet: look again with "
            f"`squareoff positions` ({found['code']})"
        )


def reconcile(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compare with the broker's books now, and show the differences."""
    found = EngineClient(settings_of(config)).post("/reconcile")
    if as_json:
        print_json(found)
        return
    for difference in found["differences"] or ["the books agree"]:
        print(difference)


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
