"""The text of the event stream: journal facts with their number, and `live` events without one.

A stream is as fast as its reader: what is live is told as it stands when the reader is ready, and
the journal waits in the database.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec.json

from squareoff.core.state.facts import JournalEntry
from squareoff.domain.errors import StoreError
from squareoff.domain.prices import decimal_from_units, decimal_text
from squareoff.domain.ticks import Tick
from squareoff.domain.time import iso_from_ns
from squareoff.services.desk.desk import Desk
from squareoff.web.answers import StatusOut
from squareoff.web.facts_as_json import as_json, entry_out

LOOK_INTERVAL_SECONDS = 0.25
"""Pause between looks at the journal's head. Looking, not listening, also sees the facts that
other processes write into the same database."""

LIVE_INTERVAL_SECONDS = 0.1
"""Prices are told this often at the most: a person reads no faster."""

STATUS_INTERVAL_SECONDS = 1.0
"""So often a live stream tells how the engine is doing, and so shows that it lives."""

HEARTBEAT_SECONDS = 15.0
"""A silent stream says so this often, so that a dead connection is noticed by either side."""

EVENTS_PAGE = 200
RETRY_MILLISECONDS = 1_000


async def journal_events(desk: Desk, after: int, is_closing: asyncio.Event) -> AsyncIterator[str]:
    """Yield the journal from `after` on, until the server ends."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    silent_seconds = 0.0
    while not is_closing.is_set():
        try:
            entries = await desk.journal(after_seq=after, limit=EVENTS_PAGE)
        except StoreError:
            return  # the client comes back with its Last-Event-ID and misses nothing
        for entry in entries:
            yield fact_text(entry)
            after = entry.seq
        if len(entries) == EVENTS_PAGE:
            continue
        silent_seconds = 0.0 if entries else silent_seconds + LOOK_INTERVAL_SECONDS
        if silent_seconds >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            silent_seconds = 0.0
        await _pause(is_closing, LOOK_INTERVAL_SECONDS)


async def live_events(desk: Desk, after: int, is_closing: asyncio.Event) -> AsyncIterator[str]:
    """Yield the journal from `after` on, and what is live, until the server ends.

    While the database is away the stream goes on and says that the journal is behind.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    live = _LiveTexts(desk, after)
    turns = round(LOOK_INTERVAL_SECONDS / LIVE_INTERVAL_SECONDS)
    turn = 0
    while not is_closing.is_set():
        if turn % turns == 0 or live.is_behind:
            for fact in await live.journal_texts():
                yield fact
        news = live.next_text()
        if news is not None:
            yield news
        turn += 1
        await _pause(is_closing, LIVE_INTERVAL_SECONDS)


class _LiveTexts:
    """One onlooker's place in the journal, and what it has seen of the market."""

    def __init__(self, desk: Desk, after: int) -> None:
        self._desk = desk
        self._look = desk.screen.live_look()
        self._after = after
        self._head: int | None = None
        self._turns_to_status = 0
        self.is_behind = True

    async def journal_texts(self) -> list[str]:
        """Return the next page of the journal; a database that is away leaves us behind."""
        try:
            if self._head is None:
                self._head = await self._desk.journal_head()
            entries = await self._desk.journal(after_seq=self._after, limit=EVENTS_PAGE)
        except StoreError:
            self.is_behind = True
            return []
        self.is_behind = len(entries) == EVENTS_PAGE
        if entries:
            self._after = entries[-1].seq
            self._head = max(self._head, self._after)
        return [fact_text(entry) for entry in entries]

    def next_text(self) -> str | None:
        """Return the next `live` event, None where there is nothing to tell."""
        changes = self._look.changes()
        said: dict[str, Any] = {}
        if changes.ticks:
            said["prices"] = [_price(tick) for tick in changes.ticks]
        if changes.levels:
            said["levels"] = as_json(changes.levels)
        if self._turns_to_status == 0:
            self._turns_to_status = round(STATUS_INTERVAL_SECONDS / LIVE_INTERVAL_SECONDS)
            status = StatusOut.model_validate(self._desk.status())
            said["status"] = status.model_dump(mode="json")
        self._turns_to_status -= 1
        if not said:
            return None
        said["time"] = iso_from_ns(self._desk.screen.now_ns)
        said["head"], said["is_behind"] = self._head, self.is_behind
        return f"event: live\ndata: {msgspec.json.encode(said).decode()}\n\n"


def _price(tick: Tick) -> dict[str, str]:
    """Return a tick as a live event shows it."""
    return {
        "exchange_segment": tick.instrument_id.exchange_segment.value,
        "security_id": tick.instrument_id.security_id,
        "last_traded_price": decimal_text(decimal_from_units(tick.last_traded_price)),
        "received_at": iso_from_ns(tick.received_time_ns),
    }


def fact_text(entry: JournalEntry) -> str:
    """Return one journal fact as an event."""
    return f"id: {entry.seq}\ndata: {entry_out(entry).model_dump_json()}\n\n"


async def _pause(is_closing: asyncio.Event, seconds: float) -> None:
    """Wait for the next look, or for the end of the server."""
    try:
        async with asyncio.timeout(seconds):
            await is_closing.wait()
    except TimeoutError:
        return
