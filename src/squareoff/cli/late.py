"""Import what only one command needs when that command runs.

Most commands ask a running engine and must answer at once; the engine's own libraries (database,
web server, broker) take over a second to import. This is for speed alone, never to hide a circle.
"""

from importlib import import_module
from types import ModuleType


def load_late(name: str) -> ModuleType:
    """Return a module of this package, imported now: `load_late("engine_program")`."""
    return import_module(f"squareoff.cli.{name}")
