"""`squareoff init`: write the settings file a first run begins with."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from squareoff.cli.api_client import CommandRefused
from squareoff.cli.options import JsonOption
from squareoff.cli.output import print_json
from squareoff.config import CONFIG_FILE_DEFAULT
from squareoff.config.commented import environment_text, toml_text

ENVIRONMENT_FILE = Path(".env.example")
_RECORDING = Path(__file__).parent / "demo/recordings/nifty-fut-2025-12-29-1247-depth5.csv"
_MODE = 0o600
_STEP_WIDTH = 34
_STANDARD_OUTPUT = Path("-")
FileArgument = Annotated[
    Path, typer.Argument(help="The settings file to write; '-' prints its text alone.")
]
RecordedOption = Annotated[
    bool,
    typer.Option(
        "--recorded",
        help="Set it to the recorded prices that come with the program: runs without an account.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    file: FileArgument = CONFIG_FILE_DEFAULT,
    recorded: RecordedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a settings file with every setting explained, never over one that is there."""
    active: dict[str, Any] = {}
    if recorded:
        active = {
            "session": "always",
            "paper.ticks": [f"NSE_FNO:49543={_RECORDING}"],
            "paper.loop": True,
        }
    if file == _STANDARD_OUTPUT:
        print(toml_text(active), end="")
        return
    _write_new(file, toml_text(active))
    written = [file]
    beside = file.with_name(ENVIRONMENT_FILE.name)
    if not beside.exists():
        _write_new(beside, environment_text())
        written.append(beside)
    following = _next_with_recording(file) if recorded else _next(file, beside)
    if as_json:
        print_json({"written": [str(path) for path in written], "next": following})
        return
    for path in written:
        print(f"written: {path}")
    print("next:")
    for line in following:
        print(f"  {line}")


def _next_with_recording(file: Path) -> list[str]:
    return [
        _step(f"squareoff run{_named(file)}", "paper mode, recorded prices, no order leaves here"),
        _step("squareoff track --help", "take a position under watch, in another terminal"),
    ]


def _next(file: Path, example: Path) -> list[str]:
    return [
        f"cp {shlex.quote(str(example))} .env; chmod 600 .env",
        _step("edit .env", "DHAN_CLIENT_ID, and DHAN_ACCESS_TOKEN_FILE, for live prices"),
        "set -a; . ./.env; set +a",
        _step(f"squareoff doctor{_named(file)}", "is all of it fit to run?"),
        _step(f"squareoff run{_named(file)}", "paper mode: no order leaves this machine"),
    ]


def _named(file: Path) -> str:
    """Return the option that names a file which is not found by itself."""
    return "" if file == CONFIG_FILE_DEFAULT else f" --config {shlex.quote(str(file))}"


def _step(command: str, what: str) -> str:
    return f"{command:<{_STEP_WIDTH}} {what}"


def _write_new(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE)
    except FileExistsError:
        raise CommandRefused(f"{path} is there already and stays as it is") from None
    except OSError as error:
        raise CommandRefused(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:  # half a file would be taken for the settings, and never replaced
        path.unlink()
        raise CommandRefused(f"{path} cannot be written: {error.strerror}") from error
