"""Tickets for what is hard to take back: they prove that the caller was shown what it will do.

Invariants:
1. A ticket is good once, for the role and the matter that it was given for, and not for long.
2. Only closing everything may go unseen: resuming and letting go are looked at first.
3. What is done under a ticket is no more than what was shown: less may have become of it, more is
   refused and has to be looked at again.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from squareoff.domain.states import PositionStatus
from squareoff.ports import KillSwitchState
from squareoff.services.desk.views import TrackerView
from squareoff.web.error_shape import ApiError
from squareoff.web.roles import Caller

VALID_SECONDS = 30.0
TICKETS_MAX = 100
"""The oldest is forgotten for a new one."""

UNSEEN = "unseen"
"""Sent by the page instead of a ticket of EXIT_ALL where the preview could not be had: closing
everything must not depend on being shown it. The trail of commands says that a page did so."""

EXIT_ALL, RESUME = "exit-all", "resume"

Shown = Mapping[str, tuple[str, int]]
"""By position: its side, and how many units are open."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    matter: str
    role: str
    shown: Shown
    until: float


class PreviewTickets:
    """Gives tickets out with previews, and takes them back with commands."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Ticket] = {}

    def give(self, matter: str, caller: Caller, shown: Shown) -> str:
        """Return a ticket for `matter` (EXIT_ALL, RESUME or the id of a position)."""
        ticket = secrets.token_urlsafe(16)
        until = asyncio.get_running_loop().time() + VALID_SECONDS
        self._tickets[ticket] = _Ticket(matter, caller.role.value, dict(shown), until)
        if len(self._tickets) > TICKETS_MAX:
            del self._tickets[next(iter(self._tickets))]
        return ticket

    def take(self, ticket: str | None, matter: str, caller: Caller, now: Shown) -> None:
        """Take a ticket back before the command is carried out; programs need none.

        Args:
            now: what the command would be about at this moment.

        Raises:
            ApiError: 428 `preview_needed` to a page without one, 409 `preview_stale` where it is
                unknown, used, too old, another's, or more would be done than was shown.
        """
        if ticket is None:
            if caller.is_page:
                text = "a page has to show what this will do before it asks for it"
                raise ApiError(428, "preview_needed", text, {"field": "ticket"})
            return
        if ticket == UNSEEN and matter == EXIT_ALL and caller.is_page:
            return
        known = self._tickets.pop(ticket, None)
        is_good = (
            known is not None
            and known.matter == matter
            and known.role == caller.role.value
            and asyncio.get_running_loop().time() <= known.until
            and _is_within(now, known.shown)
        )
        if not is_good:
            text = "what was shown is too old, or more would be done now; look again"
            raise ApiError(409, "preview_stale", text, {"field": "ticket"})


def _is_within(now: Shown, shown: Shown) -> bool:
    return all(
        name in shown and shown[name][0] == side and quantity <= shown[name][1]
        for name, (side, quantity) in now.items()
    )


def open_positions(views: Iterable[TrackerView]) -> dict[str, tuple[str, int]]:
    """Return what an exit of all of these would be about."""
    return {
        view.id: (view.side.value, max(0, view.quantity - view.exited_quantity))
        for view in views
        if view.status in (PositionStatus.ACTIVE, PositionStatus.EXITING, PositionStatus.PENDING)
    }


def let_out_by_resume(
    switch: KillSwitchState, views: Iterable[TrackerView]
) -> dict[str, tuple[str, int]]:
    """Return what lifting the kill switch lets out: the switch itself, and exits that wait."""
    waiting = [view for view in views if view.status is PositionStatus.EXITING]
    return {f"switch {switch.level}": ("", 0), **open_positions(waiting)}
