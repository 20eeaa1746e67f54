"""Whose calls are taken: what guard and turnstile ask of tokens and counts."""

from collections.abc import Collection
from dataclasses import dataclass

from squareoff.web.rate_limits import (
    URGENT_CALLS,
    USUAL_LIMITS,
    ApiLimits,
    CallBudget,
    FailureDelays,
)
from squareoff.web.roles import Role, Tokens

TOO_MANY_CODE = "too_many_calls"
TOO_MANY_TEXT = "too many calls; try again in a second"
TOO_MANY_HEADERS = (("Retry-After", "1"),)

PROGRAM_LENGTH_MAX = 60
"""How much of a User-Agent is kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as far as its number goes. `address` is the caller's, without port; `role` is None
    where no token in force came with it."""

    method: str
    path: str
    address: str
    role: Role | None


class Admission:
    """The tokens in force, the paths that need none, and how often each caller called."""

    def __init__(
        self, tokens: Tokens, open_paths: Collection[str], limits: ApiLimits = USUAL_LIMITS
    ) -> None:
        self.tokens = tokens
        self.delays = FailureDelays(limits.failure_delay_seconds_max)
        self._open_paths = frozenset(open_paths)
        self._budget = CallBudget(limits)

    def is_open(self, path: str) -> bool:
        """Say whether a path is answered without a token."""
        return path in self._open_paths

    def take(self, call: Call, now: float) -> bool:
        """Count a call of an open path or of a role; say whether it is taken."""
        return self._budget.take(self._caller_of(call), is_urgent=_is_urgent(call), now=now)

    def would_take(self, call: Call, now: float) -> bool:
        """Say whether a call would not be refused for its number; counts nothing."""
        if call.role is None and not self.is_open(call.path):
            return not self.delays.is_full
        return self._budget.has_room(self._caller_of(call), is_urgent=_is_urgent(call), now=now)

    def _caller_of(self, call: Call) -> str:
        who = "open" if self.is_open(call.path) or call.role is None else call.role.value
        return f"{who} {call.address}"


def source_text(address: str, user_agent: str) -> str:
    """Return where a call comes from: the address, and by its own word the program."""
    program = "".join(c for c in user_agent if " " <= c <= "~")
    return f"{address} {program[:PROGRAM_LENGTH_MAX]}".strip()


def _is_urgent(call: Call) -> bool:
    return call.method == "POST" and URGENT_CALLS.fullmatch(call.path) is not None
