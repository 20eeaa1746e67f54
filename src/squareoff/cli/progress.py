"""Say what takes its time: on standard error, at a terminal only, after a second."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

DELAY_SECONDS = 1.0
"""What is done sooner needs no words."""


_NEVER = threading.Event()


def pause(seconds: float) -> None:
    """Wait between two looks at the engine."""
    _NEVER.wait(seconds)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show `text` with a moving sign while the block runs, where somebody can see it."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    status = console.status(text)
    timer = threading.Timer(DELAY_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it may be starting the sign right now
        status.stop()
