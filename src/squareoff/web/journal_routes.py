"""The journal: pages of it, and the stream of it as it grows (server-sent events).

The stream's `id:` is the journal's sequence number, so a client that comes back with
`Last-Event-ID` misses nothing and gets nothing twice.
"""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from squareoff.web.answers import EntryOut, ItemList
from squareoff.web.commands import CommandRoute
from squareoff.web.context import TheContext, TheDesk
from squareoff.web.error_shape import ApiError
from squareoff.web.event_stream import journal_events, live_events
from squareoff.web.facts_as_json import entry_out
from squareoff.web.requests import EventsQuery, JournalQuery

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)
LastEventId = Annotated[str | None, Header(description="Resume after this sequence number.")]


@router.get("/journal")
async def read_journal(
    desk: TheDesk, query: Annotated[JournalQuery, Query()]
) -> ItemList[EntryOut]:
    """Read the journal, oldest first."""
    entries = await desk.journal(after_seq=query.after, limit=query.limit)
    is_full = len(entries) == query.limit
    items = [entry_out(entry) for entry in entries]
    return ItemList(items=items, next=entries[-1].seq if is_full else None)


@router.get("/events", response_class=StreamingResponse)
async def stream_events(
    context: TheContext,
    query: Annotated[EventsQuery, Query()],
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Stream the journal as it grows. Each event's data is one journal fact as JSON."""
    after = query.after if not last_event_id else _sequence_number(last_event_id)
    if after is None:
        after = await context.desk.journal_head()
    stream = live_events if query.live else journal_events
    return context.seats.seated(stream(context.desk, after, context.is_closing))


def _sequence_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise ApiError(
            422,
            "invalid_request",
            "Last-Event-ID: must be a sequence number of the journal",
            {"field": "Last-Event-ID"},
        )
    return int(text)
