"""The journal of one position, read page by page."""

from collections.abc import AsyncIterator

from squareoff.core.state.facts import JournalEntry
from squareoff.domain.ids import TrackerId
from squareoff.ports import Journal

PAGE_ENTRIES = 1_000


async def entries_of(
    journal: Journal, tracker_id: TrackerId, after_seq: int = 0
) -> AsyncIterator[JournalEntry]:
    """Yield a position's entries after one, oldest first; a reader may stop at any of them.

    Raises:
        StoreUnavailable: the database is away.
    """
    while True:
        page = await journal.entries(after_seq=after_seq, tracker_id=tracker_id, limit=PAGE_ENTRIES)
        for entry in page:
            yield entry
        if len(page) < PAGE_ENTRIES:
            return
        after_seq = page[-1].seq
