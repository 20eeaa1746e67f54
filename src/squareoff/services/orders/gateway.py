"""Gateways: the same small protocol for live and paper trading, with a deadline on every call.

A gateway answers within `gateway_seconds` as a whole; an order write has `order_seconds`, after
which its outcome is unknown. A plug-in gateway may answer loosely (`True`, `"yes"`,
`{"success": "true"}`); `read_gateway_answer` is the one place where that is read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Protocol, TypeVar

from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerSessionExpired
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import Instrument, InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    BrokerPosition,
    Holding,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    TradeReport,
    WalletSnapshot,
)
from squareoff.ports import BrokerClient

_Answer = TypeVar("_Answer")


class OrderWrites(Protocol):
    """The order writes of a broker; only `OrderRouter` holds them.

    They raise `BrokerError` (its `sent` says whether the order may have left) or return an answer
    that `read_gateway_answer` understands.
    """

    async def exit_market(self, request: OrderRequest) -> object:
        """Place one exit order."""
        ...

    async def place_market(self, request: OrderRequest) -> object:
        """Place one entry order."""
        ...

    async def modify_order(self, modification: OrderModification) -> object:
        """Set a live order's new absolute target."""
        ...

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> object:
        """Ask for a cancel."""
        ...


class BrokerBooks(Protocol):
    """What can be read of a broker, real or simulated; a failed read raises `BrokerError`."""

    async def position(self, key: PositionKey) -> BrokerPosition | None:
        """Return the broker's position on a key; None means the broker shows none."""
        ...

    async def wallet_snapshot(self) -> WalletSnapshot:
        """Return the account's funds."""
        ...

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return all positions of the account."""
        ...

    async def holdings(self) -> tuple[Holding, ...]:
        """Return the shares of earlier days; empty where the broker says that there are none."""
        ...

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Return all of today's orders of the account."""
        ...

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Return all of today's fills of the account."""
        ...

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Return all fills of the account of earlier days (IST, both included)."""
        ...

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Look an order up by our id; empty alone proves nothing."""
        ...

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Return the broker's quotes."""
        ...


class BrokerLocking(Protocol):
    """The broker's own kill switch; both calls raise `BrokerError`."""

    async def lock_account(self) -> None:
        """Put on the broker's own kill switch; it may be repeated. Raises BrokerError."""
        ...

    async def is_account_locked(self) -> bool:
        """Read whether the broker's own kill switch is on. Raises BrokerError."""
        ...


class Gateway(OrderWrites, BrokerBooks, BrokerLocking, Protocol):
    """All that the engine needs of a broker, real or simulated."""


class GatewayLive:
    """The gateway over a broker client. A read refused for a token that has been replaced since is
    made once more; of an order write the router decides, for each one counts in the rate limit."""

    def __init__(self, client: BrokerClient, *, gateway_seconds: float) -> None:
        self._client = client
        self._gateway_seconds = gateway_seconds

    async def exit_market(self, request: OrderRequest) -> PlacementAnswer:
        """Place one exit order; raises BrokerError, whose `sent` says whether it may have left."""
        return await self._within_deadline(
            lambda: self._client.place_order(request), "placing an exit"
        )

    async def place_market(self, request: OrderRequest) -> PlacementAnswer:
        """Place one entry order; raises BrokerError like `exit_market`."""
        return await self._within_deadline(
            lambda: self._client.place_order(request), "placing an entry"
        )

    async def modify_order(self, modification: OrderModification) -> None:
        """Set a live order's new absolute target; it may be repeated."""
        await self._within_deadline(
            lambda: self._client.modify_order(modification), "modifying an order"
        )

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> None:
        """Ask for a cancel; it may be repeated."""
        await self._within_deadline(
            lambda: self._client.cancel_order(broker_order_id), "cancelling an order"
        )

    async def position(self, key: PositionKey) -> BrokerPosition | None:
        """Return the broker's position on a key; None means the broker shows none."""
        for row in await self.positions():
            if row.instrument_id == key.instrument_id and row.product_type is key.product_type:
                return row
        return None

    async def wallet_snapshot(self) -> WalletSnapshot:
        """Return the account's funds."""
        return await self._call(self._client.funds, "reading funds")

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return all positions of the account."""
        return await self._call(self._client.positions, "reading positions")

    async def holdings(self) -> tuple[Holding, ...]:
        """Return the shares of earlier days."""
        return await self._call(self._client.holdings, "reading holdings")

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Return all of today's orders of the account."""
        return await self._call(self._client.order_book, "reading the order book")

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Return all of today's fills of the account."""
        return await self._call(self._client.trade_book, "reading the trade book")

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Return all fills of the account of earlier days (IST, both included)."""
        return await self._call(
            lambda: self._client.trade_history(first, last), "reading the trades of earlier days"
        )

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Look an order up by our id; empty alone proves nothing."""
        return await self._call(
            lambda: self._client.orders_by_client_order_id(client_order_id), "looking up an order"
        )

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Return the broker's quotes."""
        return await self._call(lambda: self._client.quotes(instrument_ids), "reading quotes")

    async def lock_account(self) -> None:
        """Put on the broker's own kill switch; it may be repeated."""
        await self._call(self._client.lock_account, "locking the account")

    async def is_account_locked(self) -> bool:
        """Read whether the broker's own kill switch is on."""
        return await self._call(self._client.is_account_locked, "reading the account's lock")

    async def _call(self, call: Callable[[], Awaitable[_Answer]], doing: str) -> _Answer:
        async def call_again_with_new_token() -> _Answer:
            try:
                return await call()
            except BrokerSessionExpired as error:
                if not error.has_new_token:
                    raise
                return await call()

        return await self._within_deadline(call_again_with_new_token, doing)

    async def _within_deadline(self, call: Callable[[], Awaitable[_Answer]], doing: str) -> _Answer:
        """Make one call within the deadline."""
        try:
            async with asyncio.timeout(self._gateway_seconds):
                return await call()
        except TimeoutError as error:
            raise BrokerOutcomeUnknown(
                f"{doing} was not answered within {self._gateway_seconds:g} s"
            ) from error


class PaperHoldings(Protocol):
    """The paper broker's side door: positions that are declared, not traded, and quotes."""

    def on_quote(self, quote: Quote) -> None:
        """Take a price of the real broker's quotes."""
        ...

    def list_instrument(self, instrument: Instrument) -> None:
        """Let an instrument be traded that the master does not hold."""
        ...

    def net_quantity(self, instrument_id: InstrumentId, product_type: ProductType) -> int:
        """Return what is held at this instant, below zero for a short."""
        ...

    def declare_position(self, position: BrokerPosition) -> None:
        """Add a position as if it had been traded before."""
        ...

    async def save(self) -> None:
        """Make it durable."""
        ...


class GatewayPaper(GatewayLive):
    """The gateway over the in-process paper broker: same calls, same life cycle, no money."""

    def __init__(
        self,
        client: BrokerClient,
        *,
        gateway_seconds: float,
        holdings: PaperHoldings,
        market: GatewayLive | None = None,
    ) -> None:
        """Trade with the paper broker; `market` is the real one, which knows the market's quotes
        also where the feed is silent. None for recorded prices."""
        super().__init__(client, gateway_seconds=gateway_seconds)
        self._holdings = holdings
        self._market = market

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Return the real broker's quotes, else those of the paper broker's prices.

        What is quoted can be traded at: the paper broker hears of it.
        """
        if self._market is None:
            return await super().quotes(instrument_ids)
        quotes = await self._market.quotes(instrument_ids)
        for quote in quotes.values():
            self._holdings.on_quote(quote)
        return quotes

    async def declare_position(
        self, instrument: Instrument, position: BrokerPosition, under_watch: int
    ) -> int | None:
        """Let the paper broker hold, durably, what a new tracker says is held.

        What it holds beyond the units that are under watch already is that position, or a part of
        it; only the rest is added.

        Returns:
            Its net where that is on the other side, and nothing was added; else None.
        """
        self._holdings.list_instrument(instrument)
        net = self._holdings.net_quantity(position.instrument_id, position.product_type)
        if net * position.net_quantity < 0:
            return net
        wanted = abs(position.net_quantity)
        missing = min(wanted, wanted + under_watch - abs(net))
        if missing > 0:
            self._holdings.declare_position(_part_of(position, missing))
        await self._holdings.save()
        return None


def _part_of(position: BrokerPosition, quantity: int) -> BrokerPosition:
    """Return so many units of a position that was only bought or only sold."""
    is_long = position.net_quantity > 0
    return replace(
        position,
        net_quantity=quantity if is_long else -quantity,
        buy_quantity=quantity if is_long else 0,
        sell_quantity=0 if is_long else quantity,
    )


_YES = frozenset({"true", "yes", "y", "1", "ok", "success", "accepted", "done"})
_NO = frozenset({"false", "no", "n", "0", "failure", "failed", "error", "rejected", "refused"})
_VERDICT_KEYS = ("success", "ok", "accepted", "status")
_ORDER_ID_KEYS = ("broker_order_id", "order_id", "orderId", "id")


def read_gateway_answer(answer: object) -> PlacementAnswer | bool | None:
    """Read what a gateway returned for an order write.

    Returns:
        A `PlacementAnswer` where the broker's order id is known, True for accepted without an id,
        False for refused, None where the answer makes no sense (the outcome is unknown).
    """
    if isinstance(answer, PlacementAnswer | bool):
        return answer
    if isinstance(answer, Mapping):
        return _read_mapping(answer)
    return _read_word(answer)


def _read_word(word: object) -> bool | None:
    if isinstance(word, bool):
        return word
    if isinstance(word, int | str):
        text = str(word).strip().lower()
        if text in _YES:
            return True
        if text in _NO:
            return False
    return None


def _read_mapping(answer: Mapping[object, object]) -> PlacementAnswer | bool | None:
    from_keys = (_read_word(answer[key]) for key in _VERDICT_KEYS if key in answer)
    verdicts = {verdict for verdict in from_keys if verdict is not None}
    if len(verdicts) != 1:
        return None  # nothing said, or said both
    if not verdicts.pop():
        return False
    for key in _ORDER_ID_KEYS:
        order_id = answer.get(key)
        if isinstance(order_id, int | str) and str(order_id).strip():
            return PlacementAnswer(BrokerOrderId(str(order_id).strip()), BrokerOrderStatus.TRANSIT)
    return True
