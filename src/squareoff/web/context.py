"""What the routes of one app share."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request

from squareoff.domain.ids import TrackerId
from squareoff.services.desk.desk import Desk
from squareoff.web.commands import Commands
from squareoff.web.preview_tickets import PreviewTickets
from squareoff.web.roles import Caller
from squareoff.web.stream_seats import StreamSeats


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The desk, the way of the changes to it, the broker's name for people, the seats of
    streams, the tickets of previews, and the event that ends open streams at shutdown."""

    desk: Desk
    commands: Commands
    broker: str
    seats: StreamSeats = field(default_factory=StreamSeats)
    tickets: PreviewTickets = field(default_factory=PreviewTickets)
    is_closing: asyncio.Event = field(default_factory=asyncio.Event)


def _context(request: Request) -> ApiContext:
    context = request.app.state.context
    assert isinstance(context, ApiContext), "create_app put it there"
    return context


def _desk(request: Request) -> Desk:
    return _context(request).desk


def _caller(request: Request) -> Caller:
    caller = request.scope["caller"]
    assert isinstance(caller, Caller), "the guard put it there"
    return caller


async def _named_tracker(
    tracker_id: Annotated[str, Path(max_length=64)], request: Request
) -> TrackerId:
    """Return the position that a path names; one that ended long ago is brought back for it."""
    named = TrackerId(tracker_id)
    await _desk(request).past.recall(named)
    return named


TheContext = Annotated[ApiContext, Depends(_context)]
TheDesk = Annotated[Desk, Depends(_desk)]
TheCaller = Annotated[Caller, Depends(_caller)]
NamedTracker = Annotated[TrackerId, Depends(_named_tracker)]
