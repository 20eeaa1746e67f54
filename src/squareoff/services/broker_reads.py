"""Shared reads of the broker's books: callers who ask at the same time share one call.

A failed read is None, never an empty book (three-valued reads).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar, cast

import structlog

from squareoff.domain.errors import BrokerError
from squareoff.domain.orders import BrokerPosition, OrderReport, TradeReport
from squareoff.domain.time import Now, ist_date
from squareoff.services.gateway import BrokerBooks
from squareoff.services.position_book import PositionBook

_log = structlog.get_logger("squareoff.broker_reads")
_Book = TypeVar("_Book")
LAG_SECONDS = 5.0
"""A reading may lack fills this old: twice what the broker's positions were seen to lag, and the
time of a slow answer."""

_ABANDONED = object()
"""What the one who read leaves to those who share, when cancelled: one of them reads anew."""


@dataclass(frozen=True, slots=True)
class PositionsReading:
    """The broker's positions, and our fill count when the reading began."""

    rows: tuple[BrokerPosition, ...]
    fill_count: int


class _Shared:
    """One kind of read: at most one call at a time, shared by all who wait."""

    def __init__(self) -> None:
        self.pending: asyncio.Future[object] | None = None


class BrokerReads:
    """Order book, trade book and positions of one account."""

    def __init__(
        self,
        gateway: BrokerBooks,
        book: PositionBook,
        note_read: Callable[[bool], None] = lambda is_answered: None,
    ) -> None:
        self._gateway = gateway
        self._book = book
        self._note_read = note_read
        self._positions = _Shared()
        self._order_book = _Shared()
        self._trade_book = _Shared()

    async def positions(self) -> PositionsReading | None:
        """Read the positions; None where they could not be read."""

        async def read() -> PositionsReading:
            fill_count = self._book.fill_count
            return PositionsReading(await self._gateway.positions(), fill_count)

        return await self._share(self._positions, read, "positions")

    async def positions_ahead(self) -> PositionsReading | None:
        """Read the positions for somebody who may need them in a moment; never raises."""
        try:
            return await self.positions()
        except Exception as error:  # noqa: BLE001 - whoever needs the reading meets it again
            _log.warning("read_ahead_failed", error=str(error))
            return None

    async def order_book(self) -> tuple[OrderReport, ...] | None:
        """Read today's orders; None where they could not be read."""
        return await self._share(self._order_book, self._gateway.order_book, "order_book")

    async def trade_book(self) -> tuple[TradeReport, ...] | None:
        """Read today's fills; None where they could not be read."""
        return await self._share(self._trade_book, self._gateway.trade_book, "trade_book")

    async def earlier_trades(
        self, first: date, now: Now, todays: tuple[TradeReport, ...]
    ) -> tuple[TradeReport, ...] | None:
        """Read the fills from `first` to the day before today (IST); None where they could not be
        read. What the trade book of today shows is of today, whatever day our clock calls it."""
        last = ist_date(now.wall_ns) - timedelta(days=1)
        if first > last:
            return ()
        names = {trade.broker_order_id for trade in todays}
        try:
            trades = await self._gateway.trade_history(first, last)
            return tuple(trade for trade in trades if trade.broker_order_id not in names)
        except BrokerError as error:
            _log.warning("broker_read_failed", book="trade_history", error=str(error))
            return None

    async def _share(
        self, shared: _Shared, read: Callable[[], Awaitable[_Book]], name: str
    ) -> _Book | None:
        while shared.pending is not None:
            answer = await asyncio.shield(shared.pending)
            if answer is not _ABANDONED:
                return cast("_Book | None", answer)
        pending: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        shared.pending = pending
        to_share: object = _ABANDONED
        try:
            book = await read()
            to_share = book
            self._note_read(True)
        except BrokerError as error:
            self._note_read(False)
            _log.warning("broker_read_failed", book=name, error=str(error))
            to_share = None
            return None
        finally:
            shared.pending = None
            pending.set_result(to_share)
        return book
