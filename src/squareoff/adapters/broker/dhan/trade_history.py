"""The trade history, `GET /trades/{from}/{to}/{page}`: page after page of earlier days."""

from collections.abc import Awaitable, Callable
from datetime import date

from squareoff.domain.errors import BrokerProtocolError
from squareoff.domain.orders import TradeReport

PAGES_MAX = 500
"""A page was seen to hold 20 rows; the broker allows 7,000 orders a day."""


async def read_history(
    first: date, last: date, read_page: Callable[[str], Awaitable[tuple[TradeReport, ...]]]
) -> tuple[TradeReport, ...]:
    """Return the fills of some days (IST, both included).

    Args:
        read_page: reads the rows at a path; its errors pass.

    Raises:
        BrokerProtocolError: there is no last page.
    """
    found: list[TradeReport] = []
    before: tuple[TradeReport, ...] = ()
    for page in range(PAGES_MAX):
        rows = await read_page(f"/trades/{first:%Y-%m-%d}/{last:%Y-%m-%d}/{page}")
        if not rows or rows == before:  # a broker that cannot count pages repeats the first
            return tuple(found)
        found += rows
        before = rows
    raise BrokerProtocolError(
        f"the trade history from {first} to {last} has more than {PAGES_MAX} pages"
    )
