"""Shared reads of the broker's books: callers who ask at the same time share one call.

A failed read is None, never an empty book (three-valued reads).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import TypeVar, cast

import structlog

from squareoff.domain.errors import BrokerError
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.instruments import InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import BrokerPosition, Holding, OrderReport, TradeReport
from squareoff.domain.time import Now, ist_date
from squareoff.services.orders.gateway import BrokerBooks
from squareoff.services.positions.delivered_shares import DeliveredShares
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.read_pace import ReadKind, ReadPace

_log = structlog.get_logger("squareoff.broker_reads")
_Book = TypeVar("_Book")
FAST_READINGS_MAX = 10
"""So many readings follow each other fast; what they do not settle by then waits for the timer."""

_ABANDONED = object()
"""What the one who read leaves to those who share, when cancelled: one of them reads anew."""

_NOTHING = 0, 0
Sums = dict[tuple[InstrumentId, ProductType], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PositionsReading:
    """The broker's positions, our fill count when the reading began, and the monotonic instant (ns)
    at which the broker was asked: its answer may be as old.

    The rows of CNC and MTF that we watch have the shares of earlier days counted in. Of `unsure`
    keys more may be held than the rows show: nobody may conclude that anything of them is gone.
    """

    rows: tuple[BrokerPosition, ...]
    fill_count: int
    asked_ns: int
    unsure: frozenset[PositionKey] = frozenset()
    _sums: Sums = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Now, and not when an exit first asks: a reading that is kept warm is made while there is
        # time.
        object.__setattr__(self, "_sums", _sums_of(self.rows))

    def net_of(self, key: PositionKey) -> int:
        """Return the signed net of a key, for whoever asks for many; a missing row is 0."""
        return self._sums.get((key.instrument_id, key.product_type), _NOTHING)[0]

    def delivered_of(self, key: PositionKey) -> int:
        """Return what of the net was delivered on an earlier day."""
        return self._sums.get((key.instrument_id, key.product_type), _NOTHING)[1]


def _sums_of(rows: Iterable[BrokerPosition]) -> Sums:
    """Return net and delivered by key: rows are walked once, not once for every key."""
    sums: Sums = {}
    for row in rows:
        name = row.instrument_id, row.product_type
        net, delivered = sums.get(name, _NOTHING)
        sums[name] = net + row.net_quantity, delivered + row.delivered_quantity
    return sums


@dataclass(frozen=True, slots=True)
class _Books:
    """Positions and, where they are needed, holdings as the broker shows them; None unreadable."""

    rows: tuple[BrokerPosition, ...]
    fill_count: int
    asked_ns: int
    holdings: tuple[Holding, ...] | None = None


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
        pace: ReadPace,
        note_read: Callable[[bool], None] = lambda is_answered: None,
        delivered: DeliveredShares | None = None,
    ) -> None:
        self._gateway = gateway
        self._book = book
        self._pace = pace
        self._note_read = note_read
        self._delivered = delivered
        self._on_order_book: list[Callable[[tuple[OrderReport, ...]], None]] = []
        self._positions = _Shared()
        self._positions_and_holdings = _Shared()
        self._order_book = _Shared()
        self._trade_book = _Shared()
        self._trade_histories: dict[tuple[date, date], _Shared] = {}

    def on_order_book(self, listener: Callable[[tuple[OrderReport, ...]], None]) -> None:
        """Call `listener` with every reading of the order book, before whoever asked for it."""
        self._on_order_book.append(listener)

    async def positions(self, *wanted: PositionKey) -> PositionsReading | None:
        """Read the positions; None where they could not be read.

        Args:
            wanted: keys that are asked for though no tracker needs them, not yet or no more.
        """
        keys = self._keys_with_holdings(wanted)
        if self._delivered is None or not keys:
            books = await self._share(self._positions, self._read_positions, "positions")
            if books is None:
                return None
            return PositionsReading(books.rows, books.fill_count, books.asked_ns)
        books = await self._share(
            self._positions_and_holdings, self._read_positions_and_holdings, "positions"
        )
        if books is None:
            return None
        rows, unsure = await self._delivered.counted_in(books.rows, books.holdings, keys)
        return PositionsReading(rows, books.fill_count, books.asked_ns, unsure)

    def _keys_with_holdings(self, wanted: Iterable[PositionKey]) -> frozenset[PositionKey]:
        keys = frozenset[PositionKey]() if self._delivered is None else self._delivered.keys()
        return keys.union(key for key in wanted if key.is_delivered)

    async def _read_positions(self) -> _Books:
        asked_ns = await self._pace.turn(ReadKind.POSITIONS)
        fill_count = self._book.fill_count
        return _Books(await self._gateway.positions(), fill_count, asked_ns)

    async def _read_positions_and_holdings(self) -> _Books:
        async with asyncio.TaskGroup() as tasks:
            holdings = tasks.create_task(self._holdings())
            # Its error leaves the group as itself, not as a group of one.
            books = tasks.create_task(_outcome_of(self._read_positions()))
        found = books.result()
        if isinstance(found, BrokerError):
            raise found
        return replace(found, holdings=holdings.result())

    async def _holdings(self) -> tuple[Holding, ...] | None:
        try:
            await self._pace.turn(ReadKind.HOLDINGS)
            return await self._gateway.holdings()
        except BrokerError as error:
            _log.warning("broker_read_failed", book="holdings", error=str(error))
            return None

    async def positions_ahead(self) -> PositionsReading | None:
        """Read the positions for somebody who may need them in a moment; never raises."""
        try:
            return await self.positions()
        except Exception as error:  # noqa: BLE001 - whoever needs the reading meets it again
            _log.warning("read_ahead_failed", error=str(error))
            return None

    async def order_book(self) -> tuple[OrderReport, ...] | None:
        """Read today's orders; None where they could not be read."""
        return await self._share(self._order_book, self._read_order_book, "order_book")

    async def _read_order_book(self) -> tuple[OrderReport, ...]:
        await self._pace.turn(ReadKind.ORDERS)
        reports = await self._gateway.order_book()
        for listener in self._on_order_book:
            listener(reports)
        return reports

    async def trade_book(self) -> tuple[TradeReport, ...] | None:
        """Read today's fills; None where they could not be read."""
        read = self._at_turn(ReadKind.TRADES, self._gateway.trade_book)
        return await self._share(self._trade_book, read, "trade_book")

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...] | None:
        """Look an order up by our id, empty alone proves nothing; None where it failed."""
        await self._pace.turn(ReadKind.LOOK_UP)
        try:
            return await self._gateway.orders_by_client_order_id(client_order_id)
        except BrokerError as error:
            _log.warning("look_up_failed", client_order_id=client_order_id, error=str(error))
            return None

    async def earlier_trades(
        self, first: date, now: Now, todays: tuple[TradeReport, ...]
    ) -> tuple[TradeReport, ...] | None:
        """Read the fills from `first` to the day before today (IST); None where they could not be
        read. What the trade book of today shows is of today, whatever day our clock calls it."""
        last = ist_date(now.wall_ns) - timedelta(days=1)
        if first > last:
            return ()
        days = first, last
        shared = self._trade_histories.setdefault(days, _Shared())
        read = self._at_turn(ReadKind.LOOK_UP, partial(self._gateway.trade_history, first, last))
        trades = await self._share(shared, read, "trade_history")
        if shared.pending is None and self._trade_histories.get(days) is shared:
            del self._trade_histories[days]
        if trades is None:
            return None
        names = {trade.broker_order_id for trade in todays}
        return tuple(trade for trade in trades if trade.broker_order_id not in names)

    def _at_turn(
        self, kind: ReadKind, read: Callable[[], Awaitable[_Book]]
    ) -> Callable[[], Awaitable[_Book]]:
        async def read_at_turn() -> _Book:
            await self._pace.turn(kind)
            return await read()

        return read_at_turn

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


async def _outcome_of(reading: Coroutine[None, None, _Books]) -> _Books | BrokerError:
    try:
        return await reading
    except BrokerError as error:
        return error
