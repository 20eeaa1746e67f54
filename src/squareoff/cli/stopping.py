"""Commands that stop: close everything, throw the kill switch, lift it."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from squareoff.adapters.system import SystemClock
from squareoff.cli.api_client import CommandRefused, EngineAway, EngineClient
from squareoff.cli.options import (
    ConfigOption,
    JsonOption,
    ReasonOption,
    YesOption,
    confirm,
    settings_of,
)
from squareoff.cli.output import (
    REMAINING_COLUMNS,
    RESULT_COLUMNS,
    UNKNOWN_COLUMNS,
    print_json,
    print_pairs,
    print_table,
    table_of,
)
from squareoff.cli.progress import pause
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns

FIRST_WAIT_SECONDS = 8.0
"""What the command waits without `--wait`: a healthy exit is over by then."""

LOOK_SECONDS = 2.0
"""How often a waiting command says how far it is."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("exit-all", exit_all), ("kill", kill), ("resume", resume)):
        app.command(name)(command)


def exit_all(
    reason: ReasonOption,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing remains.")] = False,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="With --wait: how long at the most.")
    ] = 300.0,
    then_lock: Annotated[
        bool,
        typer.Option("--then-lock", help="Then put on the broker's own kill switch for the day."),
    ] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close every position, stop entries, tell what remains; 0 only if nothing does."""
    client = EngineClient(settings_of(config))
    confirm("Close every position of the account?", is_confirmed=yes or as_json)
    first = 0.0 if wait else FIRST_WAIT_SECONDS
    body = {"reason": reason, "lock_account": then_lock, "wait_seconds": first}
    found = client.post("/exit-all", body, wait_seconds=first)
    if wait:
        try:
            found = _wait_for_end(client, found, wait_seconds, then_lock=then_lock)
        except KeyboardInterrupt:
            print("squareoff: waits no longer; the engine goes on closing", file=sys.stderr)
            raise
    if as_json:
        print_json(found)
    else:
        _show(found)
    _refuse_unless_done(found, then_lock=then_lock)


def _wait_for_end(client: EngineClient, found: Any, seconds: float, *, then_lock: bool) -> Any:
    """Look until it is over; how far it is goes to standard error.

    An engine that is away for a while goes on with it when it is back, so the looking goes on too.

    Raises:
        EngineAway: it was away at the last look.
    """
    away: EngineAway | None = None
    clock = SystemClock()
    deadline_ns = clock.now().monotonic_ns + seconds_to_ns(seconds)
    while away is not None or found["outcome"] == "running":
        left_ns = deadline_ns - clock.now().monotonic_ns
        if left_ns <= 0:  # a look at an engine that hangs takes longer than one at a healthy one
            break
        look_seconds = min(LOOK_SECONDS, left_ns / NANOSECONDS_PER_SECOND)
        if away is not None:
            print(f"{away}; looking again ...", file=sys.stderr)
            pause(look_seconds)
        else:
            closed = sum(row["code"] in ("exited", "closed_externally") for row in found["items"])
            lock = ", then the broker's lock" if then_lock else ""
            print(f"{closed} closed, {len(found['remaining'])} remain{lock} ...", file=sys.stderr)
        try:
            found, away = client.get("/exit-all", wait_seconds=look_seconds), None
        except EngineAway as error:
            away = error
    if away is not None:
        raise away
    return found


def _show(found: Any) -> None:
    print_table(table_of("exits", RESULT_COLUMNS, found["items"]))
    if found["remaining"]:
        print_table(table_of("remaining", REMAINING_COLUMNS, found["remaining"]))
    unknown = found["unknown_positions"]
    if unknown:
        print_table(table_of("at the broker, under no watch", UNKNOWN_COLUMNS, unknown))
        for row in unknown:
            print(f"{row['trading_symbol'] or row['security_id']}: {row['how']}")
    if found["note"]:
        print(found["note"])
    print("The kill switch holds entries back until `squareoff resume`.")


def _refuse_unless_done(found: Any, *, then_lock: bool) -> None:
    remaining, unknown = len(found["remaining"]), found["unknown_positions"]
    if unknown is None:
        raise CommandRefused("the broker's positions cannot be read: look there what remains")
    if remaining or unknown:
        raise CommandRefused(
            f"{remaining} positions under watch remain and {len(unknown)} that no tracker knows"
        )
    if then_lock and found["lock_outcome"] != "locked":
        said = found["note"] or "not asked for yet"
        raise CommandRefused(f"the account is flat, the broker's lock is not on: {said}")


def kill(
    level: Annotated[
        Literal["new", "all"] | None,
        typer.Option(
            help="`new` lets only exits through, `all` lets nothing through. Left out it is `new`, "
            "and `all` where that stands already."
        ),
    ] = None,
    reason: ReasonOption = "set from the command line",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Throw the kill switch, durably; asks no questions."""
    body = {"active": True, "reason": reason} | ({} if level is None else {"level": level})
    _set_kill_switch(body, config, as_json=as_json)


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
