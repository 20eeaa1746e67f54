"""What each position adds to the day, as journal and trackers tell."""

import asyncio
from decimal import Decimal
from typing import Any, cast

import pytest

from exit_story.story import Story
from exit_story.values import OPENED_AT_NS, net, new_position
from squareoff.core.account.account_pnl import AccountPnl, rupees_of, share_of
from squareoff.core.entries.opening import open_position
from squareoff.core.state.evolve import evolve, fold
from squareoff.core.state.facts import ClosedExternally, JournalEntry, TrackerFact
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.copies import replace
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus as B
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS
from squareoff.ports import Journal
from squareoff.services.account.account_book import AccountBook

MIDNIGHT_NS = 2_000_000_000_000_000_000
"""Beyond every time of a story."""


class Pages:
    """A journal of one position."""

    def __init__(self, entries: list[JournalEntry]) -> None:
        self._entries = entries
        self.reads = 0

    async def entries(self, *, after_seq: int, limit: int, **_: Any) -> tuple[JournalEntry, ...]:
        """Return a page."""
        self.reads += 1
        return tuple([e for e in self._entries if e.seq > after_seq][:limit])


def part_closed() -> Story:
    """Return a position of which 40 units were closed, and the rest is on its way."""
    story = Story().claim()
    story.permit()
    story.accept()
    story.see(B.CANCELLED, 40)
    story.wait(60.0)
    story.feed(net(60))
    return story


def told(story: Story) -> list[TrackerFact]:
    """Return the whole journal of a story."""
    _, opening = open_position(new_position(), OPENED_AT_NS)
    return [*opening, *story.facts]


def carried(story: Story) -> PositionTracker:
    """Return the position as one that may be held over the night."""
    return replace(story.tracker, product_type=ProductType.MARGIN)


def realized_today(story: Story, times: list[int]) -> int:
    """Return what the position adds to the day that began at midnight."""
    entries = [
        JournalEntry(seq, time_ns, fact, "")
        for seq, (fact, time_ns) in enumerate(zip(told(story), times, strict=True), 1)
    ]
    pnl = AccountPnl()
    book = AccountBook(pnl, cast("Journal", Pages(entries)))
    book.put(carried(story))
    asyncio.run(book.begin(MIDNIGHT_NS))
    return pnl.realized


def test_what_was_realized_before_today_is_no_part_of_today() -> None:
    """A part closed yesterday adds nothing; one closed today adds all of it."""
    story = part_closed()
    count = len(told(story))

    assert realized_today(story, [MIDNIGHT_NS - 1] * count) == 0
    after_claim = [MIDNIGHT_NS - 1] * 3 + [MIDNIGHT_NS] * (count - 3)
    assert realized_today(story, after_claim) == share_of(story.tracker).realized != 0


def test_a_clock_that_was_set_back_leaves_no_hole_in_the_story() -> None:
    """What follows the first entry of today is of today, however it is dated."""
    story = part_closed()
    count = len(told(story))
    for ahead in range(count):
        times = [MIDNIGHT_NS - 1] * count
        times[ahead] = MIDNIGHT_NS + 1
        before = fold([(MIDNIGHT_NS - 1, fact) for fact in told(story)[:ahead]])
        realized_before = 0 if before is None else share_of(before).realized

        whole = share_of(story.tracker).realized
        assert realized_today(story, times) == whole - realized_before


def test_the_journal_of_what_ended_before_today_is_not_read() -> None:
    """A start reads the stories of what is held or ended today, not those of all history."""
    ended = replace(carried(part_closed()), status=PositionStatus.EXITED)
    for exited_at_ns, reads in ((MIDNIGHT_NS - 1, 0), (MIDNIGHT_NS, 1)):
        pages = Pages([])
        book = AccountBook(AccountPnl(), cast("Journal", pages))
        book.put(replace(ended, exited_at_ns=exited_at_ns))
        asyncio.run(book.begin(MIDNIGHT_NS))

        assert pages.reads == len(list(book.trackers())) == reads


def test_an_intraday_position_of_an_earlier_day_adds_nothing() -> None:
    """It was closed on its own day, whatever is not booked yet."""
    position, _ = open_position(new_position(), MIDNIGHT_NS - 1)
    pnl = AccountPnl()
    book = AccountBook(pnl, cast("Journal", Pages([])))
    book.put(position)
    asyncio.run(book.begin(MIDNIGHT_NS))
    assert list(pnl.instruments()) == []

    book.put(replace(position, tracker_id=TrackerId("today"), created_at_ns=MIDNIGHT_NS))
    assert list(pnl.instruments()) == [position.instrument.instrument_id]
    book.roll(MIDNIGHT_NS + DAY_NS)
    assert list(pnl.instruments()) == []
    assert pnl.total == 0


@pytest.mark.parametrize(
    ("last_trade_ns", "realized"), [(MIDNIGHT_NS - 1, 0), (MIDNIGHT_NS, 40), (None, 40)]
)
@pytest.mark.parametrize("is_booked_live", [True, False])
def test_what_others_closed_counts_on_the_day_of_its_trades(
    last_trade_ns: int | None, realized: int, *, is_booked_live: bool
) -> None:
    """Booked while the engine runs or before its start; what has no time, on the day it is booked
    on."""
    position, facts = open_position(new_position(product_type=ProductType.MARGIN), 5)
    close = ClosedExternally(
        position.tracker_id, 40, position.entry_price + Decimal(1), last_trade_ns
    )
    after = evolve(position, close, MIDNIGHT_NS)
    entries = [JournalEntry(1, 5, fact, "") for fact in facts]
    if not is_booked_live:
        entries.append(JournalEntry(2, MIDNIGHT_NS, close, ""))
    pnl = AccountPnl()
    book = AccountBook(pnl, cast("Journal", Pages(entries)))
    book.put(position if is_booked_live else after)
    asyncio.run(book.begin(MIDNIGHT_NS))
    if is_booked_live:
        book.note(after, (close,))
        book.put(after)

    assert rupees_of(pnl.realized) == realized


def test_a_close_that_is_booked_while_the_day_begins_is_found() -> None:
    """The journal is read again for whoever changed while it was read."""
    position, facts = open_position(new_position(product_type=ProductType.MARGIN), 5)
    early = ClosedExternally(position.tracker_id, 1, position.entry_price + Decimal(1))
    late = ClosedExternally(position.tracker_id, 40, Decimal(1), MIDNIGHT_NS - 1)
    entries = [JournalEntry(seq, 5, fact, "") for seq, fact in enumerate((*facts, early), 1)]
    before = evolve(position, early, 5)
    pnl = AccountPnl()

    class Booking(Pages):
        async def entries(self, **asked: Any) -> tuple[JournalEntry, ...]:
            """Return the page as it is, and book the close right after it was read."""
            page = await super().entries(**asked)
            if self.reads == 1:
                self._entries.append(JournalEntry(len(entries) + 1, MIDNIGHT_NS, late, ""))
                after = evolve(before, late, MIDNIGHT_NS)
                book.note(after, (late,))
                book.put(after)
            return page

    book = AccountBook(pnl, cast("Journal", Booking(entries)))
    book.put(before)
    asyncio.run(book.begin(MIDNIGHT_NS))

    assert rupees_of(pnl.realized) == 0
