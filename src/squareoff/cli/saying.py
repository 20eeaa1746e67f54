"""Say on standard output what is good to know, and go on where nobody can hear it.

An engine that guards positions does not end because a disk of logs is full or a reader went away.
"""

import io
import os
import sys

import structlog
from rich.console import Console, RenderableType

_log = structlog.get_logger("squareoff.saying")


def say(text: str) -> None:
    """Print a line; where the output takes nothing, the log says so, and nothing fails."""
    try:
        print(text, flush=True)
    except OSError as error:
        let_go_of_output()
        _log.warning("not_said", error=error.strerror)


def say_to_a_person(shown: RenderableType) -> None:
    """Print a panel or marked text in the same way; rich itself ends where a reader went away."""
    drawn = io.StringIO()
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=True, file=drawn, force_terminal=is_terminal)
    console.print(shown, end="")
    say(drawn.getvalue().rstrip("\n"))


def let_go_of_output() -> None:
    """Drop what the output did not take, and all that follows."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdout.flush()
