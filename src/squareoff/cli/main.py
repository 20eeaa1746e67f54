"""The program `squareoff`: its commands, and what their ends mean.

Exit status: 0 done, 1 refused (the reason is one line on standard error), 2 misused (a wrong
option, or wrong settings: one line per fault). With `--json` standard output tells it as well.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from squareoff import __version__
from squareoff.cli import (
    acting,
    asking,
    bench,
    database,
    demo,
    examining,
    initial,
    replaying,
    running,
    simulating,
    stopping,
    taking_back,
)
from squareoff.cli.json_refusals import tell_misuse, tell_refusal, wants_json
from squareoff.cli.output import json_shown
from squareoff.cli.saying import let_go_of_output
from squareoff.domain.errors import ConfigError, SquareoffError

_TAKES_NOTHING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Of an output that is a file: errors of other files name theirs."""

DONE, REFUSED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class _ReaderGone(Exception):
    """The reader of our output went away (`| head`): no error of the system to typer."""


@contextmanager
def _output_watched() -> Iterator[None]:
    try:
        yield
        _flush()
    except TyperException as error:
        if wants_json(sys.argv):
            tell_misuse(error.format_message())
        raise
    except BrokenPipeError as error:
        raise _ReaderGone from error


class _Commands(TyperGroup):
    """Tells the end of the reader apart from refusals, which typer by itself ends alike."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the words; help and version are printed here."""
        with _output_watched():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _output_watched():
            return super().invoke(ctx)


app = typer.Typer(
    name="squareoff",
    cls=_Commands,
    help="Closes open positions at Dhan exactly once, confirmed by the broker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"squareoff {__version__}")
        raise typer.Exit


@app.callback()
def _squareoff(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Take what stands before the command."""


for commands in (
    initial,
    running,
    simulating,
    replaying,
    asking,
    acting,
    stopping,
    taking_back,
    examining,
    database,
    demo,
    bench,
):
    commands.register(app)


def main() -> None:
    """Run the command of this process's arguments, and end the process with its status."""
    json_shown.is_any = False
    try:
        app(prog_name="squareoff")
    except ConfigError as error:
        _complain(error, *error.faults)
        sys.exit(MISUSED)
    except SquareoffError as error:
        _complain(error, str(error))
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except _ReaderGone:
        sys.exit(DONE)
    except OSError as error:
        if error.errno not in _TAKES_NOTHING or error.filename is not None:
            raise
        print(f"squareoff: the answer could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(REFUSED)
    finally:
        _end_output()


def _end_output() -> None:
    """Write what is left; what the output does not take can be said to nobody at the very end."""
    try:
        _flush()
    except OSError:
        let_go_of_output()


def _flush() -> None:
    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.flush()


def _complain(error: SquareoffError, *lines: str) -> None:
    for line in lines:
        print(f"squareoff: {line}", file=sys.stderr)
    if wants_json(sys.argv):
        with suppress(OSError):
            tell_refusal(error)
