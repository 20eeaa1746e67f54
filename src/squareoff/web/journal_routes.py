"""The journal: pages of it, and the stream of it as it grows (server-sent events).

The stream's `id:` is the journal's sequence number, so a client that comes back with
`Last-Event-ID` misses nothing and gets nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from squareoff.core.facts import JournalEntry
from squareoff.domain.errors import StoreError
from squareoff.services.desk import Desk
from squareoff.web.answers import EntryOut, ItemList
from squareoff.web.context import TheContext, TheDesk
from squareoff.web.errors import ApiError
from squareoff.web.facts_as_json import entry_out
from squareoff.web.requests import EventsQuery, JournalQuery

LOOK_INTERVAL_SECONDS = 0.25
"""Pause between looks at the journal's head. Looking, not listening, also sees the facts that
other processes write into the same database."""

HEARTBEAT_SECONDS = 15.0
"""A silent stream says so this often, so that a dead connection is noticed by either side."""

EVENTS_PAGE = 200
RETRY_MILLISECONDS = 1_000

router = APIRouter(prefix="/api/v1")
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
    after = query.after if last_event_id is None else _sequence_number(last_event_id)
    if after is None:
        after = await context.desk.journal_head()
    events = _events(context.desk, after, context.is_closing)
    return StreamingResponse(events, media_type="text/event-stream")


def _sequence_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise ApiError(
            422,
            "invalid_request",
            "Last-Event-ID: must be a sequence number of the journal",
            {"field": "Last-Event-ID"},
        )
    return int(text)


async def _events(desk: Desk, after: int, is_closing: asyncio.Event) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    silent_seconds = 0.0
    while not is_closing.is_set():
        try:
            entries = await desk.journal(after_seq=after, limit=EVENTS_PAGE)
        except StoreError:
            return  # the client comes back with its Last-Event-ID and misses nothing
        for entry in entries:
            yield _event_text(entry)
            after = entry.seq
        if len(entries) == EVENTS_PAGE:
            continue
        silent_seconds = 0.0 if entries else silent_seconds + LOOK_INTERVAL_SECONDS
        if silent_seconds >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            silent_seconds = 0.0
        await _pause(is_closing)


async def _pause(is_closing: asyncio.Event) -> None:
    """Wait for the next look, or for the end of the server."""
    try:
        async with asyncio.timeout(LOOK_INTERVAL_SECONDS):
            await is_closing.wait()
    except TimeoutError:
        return


def _event_text(entry: JournalEntry) -> str:
    return f"id: {entry.seq}\ndata: {entry_out(entry).model_dump_json()}\n\n"
