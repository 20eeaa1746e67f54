"""Options that every command shares, and the settings they lead to."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from squareoff.config import Settings, load_settings, load_settings_without_secrets

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="SQUAREOFF_CONFIG",
        help="Settings file (TOML); default squareoff.toml in the working folder, if present.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in your words; kept for ever.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def settings_of(config: Path | None) -> Settings:
    """Return the settings without what an engine alone needs, the broker's credentials above all.

    Raises:
        ConfigError: one line per fault.
    """
    return load_settings_without_secrets(config, os.environ)


def engine_settings_of(config: Path | None) -> Settings:
    """Return the settings of an engine; raises ConfigError with one line per fault."""
    return load_settings(config, os.environ)


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask a person at a terminal; a script, which cannot be asked, goes on.

    Raises:
        typer.Abort: the person said no.
    """
    if not is_confirmed and sys.stdin.isatty():
        typer.confirm(question, abort=True, err=True)  # the output may go to a file
