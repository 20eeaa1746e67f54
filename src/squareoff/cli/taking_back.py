"""Commands by which a person takes something back: an exit, a position, a frozen over-exit."""

import getpass
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
from squareoff.cli.output import print_position

TrackerArgument = Annotated[str, typer.Argument(help="The position's id.")]
WITHDRAW_SECONDS = 8.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("withdraw", withdraw),
        ("untrack", untrack),
        ("resolve-over-exit", resolve_over_exit),
    ):
        app.command(name)(command)


def withdraw(
    tracker_id: TrackerArgument,
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an exit back; its orders are cancelled first. Sets the rule that fired aside."""
    client = EngineClient(settings_of(config))
    confirm(f"Keep position {tracker_id} open?", is_confirmed=yes or as_json)
    body = {**_decision(reason), "wait_seconds": WITHDRAW_SECONDS}
    found = client.post(
        path_of("trackers", tracker_id, "withdraw"), body, wait_seconds=WITHDRAW_SECONDS
    )
    print_position(found, as_json=as_json)
    if found["status"] != "ACTIVE":
        raise CommandRefused(f"the position is {found['status']}: its exit is not taken back")


def untrack(
    tracker_id: TrackerArgument,
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a position go without any order; what is held stays held, unwatched."""
    confirm(f"Stop watching {tracker_id}?", is_confirmed=yes or as_json)
    _decide(tracker_id, "untrack", reason, config, as_json=as_json)


def resolve_over_exit(
    tracker_id: TrackerArgument,
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that an over-exit has been dealt with, so that the position can end."""
    confirm(f"Is the over-exit of {tracker_id} dealt with?", is_confirmed=yes or as_json)
    _decide(tracker_id, "resolve-over-exit", reason, config, as_json=as_json)


def _decide(tracker_id: str, word: str, reason: str, config: Path | None, *, as_json: bool) -> None:
    client = EngineClient(settings_of(config))
    found = client.post(path_of("trackers", tracker_id, word), _decision(reason))
    print_position(found, as_json=as_json)


def _decision(reason: str) -> dict[str, Any]:
    """Return who decides and why; a machine without user names is told by the program's own."""
    try:
        actor = getpass.getuser()
    except (KeyError, OSError):
        actor = "command line"
    return {"reason": reason, "actor": actor[:64]}
