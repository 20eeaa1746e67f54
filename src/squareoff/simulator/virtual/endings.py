"""How a process may end by itself: which exceptions are its right, and which are defects."""

from squareoff.domain.errors import StoreError
from squareoff.simulator.virtual.incarnation import InjectedDefect

_CLOSING = "is shutting down"
"""What asyncio says to a callback that still wants a task of a group that is ending."""


def is_rightful_end(error: BaseException | None) -> bool:
    """Say whether a store that was away, a lost account or a planted defect ended the engine."""
    found = [one for one in _leaves(error) if not is_of_closing(one)]
    return bool(found) and all(isinstance(one, StoreError | InjectedDefect) for one in found)


def is_of_closing(error: BaseException | None) -> bool:
    """Say whether a callback came too late for a group of tasks that is ending."""
    return isinstance(error, RuntimeError) and _CLOSING in str(error)


def crash_class(where: str, *, is_recovering: bool) -> str:
    """Return which fault class a death belongs to; `where` is what `Incarnation.kill` was told."""
    classes = {"callback": "kill_at_callback", "point": "kill_at_point", "event": "kill"}
    found = classes.get(where.split(" ")[0], "engine_ended")
    return "kill_in_recovery" if is_recovering and found != "engine_ended" else found


def is_left_by_the_dead(said: str) -> bool:
    """Say whether the event loop tells of what was pending when its process was killed."""
    return "never retrieved" in said or "destroyed but it is pending" in said


def describe_end(error: BaseException | None) -> str:
    """Return every exception that ended an engine, on one line."""
    return "; ".join(repr(one) for one in _leaves(error))


def _leaves(error: BaseException | None) -> list[BaseException | None]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
