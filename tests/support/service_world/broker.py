"""A gateway under the test's control: it keeps books, answers as told, and waits where told."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    BrokerPosition,
    Holding,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    ReportSource,
    Side,
    TradeReport,
    WalletSnapshot,
)

PRICE = Decimal("151.50")


class ScriptedGateway:
    """Takes orders and fills them at once, unless told otherwise.

    `answers` holds what the next writes do: an exception is raised, any other value is returned as
    the gateway's answer and no order comes to be. `gates` holds an event per method name; a call
    waits for it. `failures` holds the exception that a method raises while it is set.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.requests: list[OrderRequest] = []
        self.modifications: list[OrderModification] = []
        self.cancels: list[BrokerOrderId] = []
        self.answers: deque[object] = deque()
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.fills = True
        self.is_locked = False
        self.orders: dict[BrokerOrderId, OrderReport] = {}
        self.trades: list[TradeReport] = []
        self.history: dict[date, list[TradeReport]] = {}
        self.hand_count = 0
        self.order_count = 0
        self.nets: dict[tuple[InstrumentId, ProductType], int] = {}
        self.delivered: dict[tuple[InstrumentId, ProductType], int] = {}
        self.holdings_fall = False
        self.quote_price: Decimal | None = Decimal("152.00")
        self.quote_traded_ns: int | None = None
        self.publish: Callable[[OrderReport], None] = lambda report: None
        self.on_write: Callable[[str], None] = lambda operation: None

    def hold(self, key: PositionKey, net_quantity: int) -> None:
        """Set the net position on a key, as if traded before today."""
        self.nets[(key.instrument_id, key.product_type)] = net_quantity

    def net(self, key: PositionKey) -> int:
        """Return the net position on a key."""
        return self.nets.get((key.instrument_id, key.product_type), 0)

    async def _pass(self, name: str) -> None:
        self.calls.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        if name in self.failures:
            raise self.failures[name]

    async def exit_market(self, request: OrderRequest) -> object:
        """Place one exit order."""
        return await self._write("exit_market", request)

    async def place_market(self, request: OrderRequest) -> object:
        """Place one entry order."""
        return await self._write("place_market", request)

    async def _write(self, name: str, request: OrderRequest) -> object:
        self.requests.append(request)
        self.on_write(name)
        await self._pass(name)
        if self.answers:
            answer = self.answers.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        report = self.accept(request)
        if self.fills:
            self.fill(report.broker_order_id)
        return PlacementAnswer(report.broker_order_id, BrokerOrderStatus.TRANSIT)

    def accept(self, request: OrderRequest) -> OrderReport:
        """Let an order work at the exchange, whatever its caller is told."""
        self.order_count += 1
        order_id = BrokerOrderId(f"B{self.order_count}")
        report = OrderReport(
            broker_order_id=order_id,
            client_order_id=request.client_order_id,
            status=BrokerOrderStatus.PENDING,
            instrument_id=request.key.instrument_id,
            product_type=request.key.product_type,
            side=request.side,
            order_quantity=request.order_quantity,
            cumulative_quantity=0,
            average_price=None,
            limit_price=request.limit_price,
            reason="",
            update_time_ns=None,
            source=ReportSource.ORDER_BOOK,
        )
        self._put(report)
        return report

    def fill(self, order_id: BrokerOrderId, quantity: int | None = None) -> None:
        """Fill an order (the rest of it by default) and tell the order stream."""
        report = self.orders[order_id]
        rest = report.order_quantity - report.cumulative_quantity
        done = rest if quantity is None else quantity
        sign = 1 if report.side is Side.BUY else -1
        key = (report.instrument_id, report.product_type)
        self.nets[key] = self.nets.get(key, 0) + sign * done
        self.trades.append(
            TradeReport(
                broker_order_id=order_id,
                exec_id=f"E{len(self.trades) + 1}",
                instrument_id=report.instrument_id,
                product_type=report.product_type,
                side=report.side,
                quantity=done,
                price=PRICE,
                exchange_time_ns=None,
            )
        )
        status = BrokerOrderStatus.TRADED if done == rest else BrokerOrderStatus.PART_TRADED
        cumulative = report.cumulative_quantity + done
        self._put(
            replace(report, status=status, cumulative_quantity=cumulative, average_price=PRICE)
        )

    def end(self, order_id: BrokerOrderId, status: BrokerOrderStatus, reason: str = "") -> None:
        """End an order by itself: cancelled, rejected, expired."""
        self._put(replace(self.orders[order_id], status=status, reason=reason))

    def end_day(self, day: date) -> None:
        """Let the night fall after `day` (IST): its fills are in the history alone."""
        self.history[day], self.trades = self.trades, []
        self.orders.clear()

    def trade_by_hand(self, key: PositionKey, side: Side, quantity: int) -> None:
        """Trade in the broker's own app."""
        sign = 1 if side is Side.BUY else -1
        self.hold(key, self.net(key) + sign * quantity)
        self.hand_count += 1
        self.trades.append(
            TradeReport(
                broker_order_id=BrokerOrderId(f"HAND{self.hand_count}"),
                exec_id=f"E{len(self.trades) + 1}",
                instrument_id=key.instrument_id,
                product_type=key.product_type,
                side=side,
                quantity=quantity,
                price=PRICE,
                exchange_time_ns=None,
            )
        )

    def _put(self, report: OrderReport) -> None:
        self.orders[report.broker_order_id] = report
        self.publish(replace(report, source=ReportSource.STREAM))

    async def modify_order(self, modification: OrderModification) -> object:
        """Set a live order's new absolute target."""
        self.modifications.append(modification)
        await self._pass("modify_order")
        return True

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> object:
        """Cancel an order."""
        self.cancels.append(broker_order_id)
        await self._pass("cancel_order")
        if not self.orders[broker_order_id].status.is_terminal:
            self.end(broker_order_id, BrokerOrderStatus.CANCELLED)
        return True

    async def position(self, key: PositionKey) -> BrokerPosition | None:
        """Return one position."""
        rows = await self.positions()
        return next((row for row in rows if row.instrument_id == key.instrument_id), None)

    async def wallet_snapshot(self) -> WalletSnapshot:
        """Return empty funds."""
        return WalletSnapshot(Decimal(0), Decimal(0), Decimal(0))

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return the positions as they stood when the call began."""
        rows = tuple(
            BrokerPosition(instrument_id, product, net, 0, 0, PRICE, PRICE)
            for (instrument_id, product), net in self.nets.items()
        )
        await self._pass("positions")
        return rows

    def deliver(self) -> None:
        """Let the night pass: shares of CNC and MTF leave the positions for the holdings."""
        for name in [name for name in self.nets if name[1].is_delivered]:
            self.delivered[name] = self.delivered.get(name, 0) + self.nets.pop(name)

    async def holdings(self) -> tuple[Holding, ...]:
        """Return the shares of earlier days, less what was sold today where they are to fall."""

        def left(instrument_id: InstrumentId, product: ProductType) -> int:
            name = instrument_id, product
            sold = max(0, -self.nets.get(name, 0)) if self.holdings_fall else 0
            return self.delivered.get(name, 0) - sold

        rows = tuple(
            Holding(
                None, each.security_id, left(each, ProductType.CNC), left(each, ProductType.MTF)
            )
            for each in dict.fromkeys(name for name, _ in self.delivered)
        )
        await self._pass("holdings")
        return rows

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Return the order book as it stood when the call began."""
        rows = tuple(self.orders.values())
        await self._pass("order_book")
        return rows

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Return the trade book as it stood when the call began."""
        rows = tuple(self.trades)
        await self._pass("trade_book")
        return rows

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Return the fills of earlier days, as the test put them there."""
        await self._pass("trade_history")
        days = sorted(day for day in self.history if first <= day <= last)
        return tuple(trade for day in days for trade in self.history[day])

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Look an order up."""
        await self._pass("orders_by_client_order_id")
        return tuple(o for o in self.orders.values() if o.client_order_id == client_order_id)

    async def lock_account(self) -> None:
        """Put on the broker's own kill switch."""
        await self._pass("lock_account")
        self.is_locked = True

    async def is_account_locked(self) -> bool:
        """Say whether it is on."""
        await self._pass("is_account_locked")
        return self.is_locked

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Return the quote price for every instrument, nothing where it is None."""
        await self._pass("quotes")
        if self.quote_price is None:
            return {}
        price = self.quote_price
        return {name: Quote(name, price, self.quote_traded_ns) for name in instrument_ids}
