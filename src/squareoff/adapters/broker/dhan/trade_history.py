"""The trade history, `GET /trades/{from}/{to}/{page}`: page after page of earlier days.

Only an empty array ends it: a page may hold nothing but strangers' rows that were skipped.
A page that is the one before, byte for byte, can be two things. History rows carry no trade id, so
many equal fills of one order fill pages that are alike; and a broker that does not count pages, or
shows its last one for every number beyond it, would do the same for ever. A history that is too
short books an exit's fills as somebody else's, one that is too long closes more than was held. So
such a page counts, and where it comes too often to be fills there is no history, and a person
is called.
"""

from collections.abc import Awaitable, Callable
from datetime import date

from squareoff.adapters.broker.dhan.wire import ReadRows
from squareoff.domain.errors import BrokerProtocolError
from squareoff.domain.orders import TradeReport

PAGES_MAX = 500
"""A page was seen to hold 20 rows; the broker allows 7,000 orders a day."""

SAME_PAGES_MAX = 10
"""Pages in a row that may be alike: 200 fills of one order within one second, at one price and of
one quantity. An order of a freeze quantity has some 25 lots."""


async def read_history(
    first: date, last: date, read_page: Callable[[str], Awaitable[ReadRows[TradeReport]]]
) -> tuple[TradeReport, ...]:
    """Return the fills of some days (IST, both included).

    Args:
        read_page: reads the rows at a path; its errors pass. A page whose bytes are those of the
            page before is the same object.

    Raises:
        BrokerProtocolError: there is no last page, or nobody can say whether there is.
    """
    found: list[TradeReport] = []
    named = f"the trade history from {first} to {last}"
    before: ReadRows[TradeReport] | None = None
    same_count = 0
    for number in range(PAGES_MAX):
        page = await read_page(f"/trades/{first:%Y-%m-%d}/{last:%Y-%m-%d}/{number}")
        if not page.rows and not page.skipped:
            return tuple(found)
        same_count = same_count + 1 if page is before else 1
        if same_count > SAME_PAGES_MAX:
            raise BrokerProtocolError(f"{named} gives the same page {same_count} times")
        found += page.rows
        before = page
    raise BrokerProtocolError(f"{named} has more than {PAGES_MAX} pages")
