"""What a person takes back: an exit, a position under watch, a frozen over-exit.

Each is a person's decision: it carries who and why, and the journal keeps both. Nothing is taken
back behind an order that may still fill (`core.exits.withdrawal`).
"""

import asyncio
from collections.abc import Callable

from squareoff.core.exits.withdrawal import over_exit_refusal, untrack_refusal, withdrawal_refusal
from squareoff.core.state.inputs import Input, OverExitResolveAsked, UntrackAsked, WithdrawAsked
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import DomainError, FieldFault
from squareoff.domain.ids import TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import InvalidRequest, UnknownTracker
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.positions.position_book import PositionActor

Refusal = Callable[[PositionTracker], str | None]


class Takebacks:
    """Takes back what was asked for."""

    def __init__(self, engine: ExitEngine) -> None:
        self._engine = engine

    async def withdraw(
        self, tracker_id: TrackerId, reason: str, actor: str, wait_seconds: float
    ) -> PositionTracker:
        """Take an exit back: cancel what lives, and only then let the position be ACTIVE again.

        Returns:
            The tracker as of the end of the wait; while `is_withdrawing`, it goes on by itself.

        Raises:
            UnknownTracker, InvalidRequest: nothing was changed.
            DomainError("nothing_to_withdraw"), DomainError("halted"): nothing was changed.
        """
        asked = WithdrawAsked(_given(reason), actor)
        position = await self._tell(tracker_id, asked, withdrawal_refusal, "nothing_to_withdraw")
        try:
            async with asyncio.timeout(wait_seconds):
                await position.wait_until(lambda: not position.tracker.is_withdrawing)
        except TimeoutError:
            pass  # it goes on; the caller sees where it stands
        return position.tracker

    async def untrack(self, tracker_id: TrackerId, reason: str, actor: str) -> PositionTracker:
        """Let a position go without an order.

        Raises:
            UnknownTracker, InvalidRequest: nothing was changed.
            DomainError("cannot_untrack"), DomainError("halted"): nothing was changed.
        """
        asked = UntrackAsked(_given(reason), actor)
        position = await self._tell(tracker_id, asked, untrack_refusal, "cannot_untrack")
        tracker = position.tracker
        if tracker.status is not PositionStatus.UNTRACKED:  # something else was decided first
            text = untrack_refusal(tracker) or f"{tracker_id} was being closed: ask again"
            raise DomainError("cannot_untrack", text)
        return tracker

    async def resolve_over_exit(
        self, tracker_id: TrackerId, reason: str, actor: str
    ) -> PositionTracker:
        """End the freeze of an over-exit that a person has dealt with.

        Raises:
            UnknownTracker, InvalidRequest: nothing was changed.
            DomainError("no_over_exit"), DomainError("halted"): nothing was changed.
        """
        asked = OverExitResolveAsked(_given(reason), actor)
        position = await self._tell(tracker_id, asked, over_exit_refusal, "no_over_exit")
        return position.tracker

    async def _tell(
        self, tracker_id: TrackerId, asked: Input, refusal: Refusal, code: str
    ) -> PositionActor:
        position = self._engine.book.get(tracker_id)
        if position is None:
            raise UnknownTracker(tracker_id)
        text = refusal(position.tracker)
        if text is not None:
            raise DomainError(code, text)
        if await self._engine.tell(position, asked) is None:
            raise DomainError("halted", f"tracker {tracker_id} is halted after a defect")
        return position


def _given(reason: str) -> str:
    if not reason.strip():
        raise InvalidRequest([FieldFault("reason", "must not be blank")])
    return reason.strip()
