"""What was closed right before a start, as the journal tells: a reading may still lack it.

Memory notes every close of ours, and sizing takes what is newer than the broker's lag off what a
reading shows. A process that starts has no such memory, and may start within that lag.
Invariant: what was closed lately is noted in full; what surely was not, is not noted at all. Of an
order that filled both lately and before, all counts as late: that delays its rest by the lag.
"""

from collections.abc import AsyncIterator

from squareoff.core.state.facts import ClosedExternally, FillsConfirmed, JournalEntry, OrderReported
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import Journal
from squareoff.services.positions.position_book import PositionBook

PAGE_ENTRIES = 200
"""Some exits' worth: a start in a quiet hour reads no more than this."""


async def note_late_closes(book: PositionBook, journal: Journal, now: Now) -> None:
    """Note in a loaded book what was closed within the broker's lag before now.

    Raises:
        StoreUnavailable: the database is away.
    """
    since_ns = now.wall_ns - seconds_to_ns(READING_LAG_SECONDS)
    filled_ns: dict[BrokerOrderId, int] = {}
    async for entry in _newest_first(journal, since_ns):
        # An entry that seems to come from the future tells of a clock that was set back.
        at_ns = now.monotonic_ns - max(0, now.wall_ns - entry.time_ns)
        match entry.fact:
            case OrderReported() | FillsConfirmed() as fact if fact.cumulative_quantity:
                filled_ns.setdefault(fact.broker_order_id, at_ns)
            case ClosedExternally(tracker_id, quantity):
                actor = book.get(tracker_id)
                if actor is not None:
                    book.note_closed(actor.tracker.key, quantity, at_ns)
            case _:
                pass
    # Oldest first: of too many the book keeps the last.
    for broker_order_id, at_ns in reversed(filled_ns.items()):
        _note_fills(book, broker_order_id, at_ns)


def _note_fills(book: PositionBook, broker_order_id: BrokerOrderId, at_ns: int) -> None:
    owner = book.owner_of(None, broker_order_id)
    if owner is None:
        return
    tracker = owner[0].tracker
    for order in tracker.exit_orders:
        for record in order.broker_orders:
            if record.broker_order_id == broker_order_id:
                book.note_closed(tracker.key, record.cumulative_quantity, at_ns)


async def _newest_first(journal: Journal, since_ns: int) -> AsyncIterator[JournalEntry]:
    """Yield the entries since an instant, read backward to the first page without any: a clock
    that was set back for less than a page hides nothing."""
    below = await journal.head()
    while below > 0:
        after_seq = max(0, below - PAGE_ENTRIES)
        page = await journal.entries(after_seq=after_seq, limit=below - after_seq)
        late = [entry for entry in page if entry.time_ns >= since_ns]
        for entry in reversed(late):
            yield entry
        if not late:
            return
        below = after_seq
