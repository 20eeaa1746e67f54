"""A paper broker with a store in memory, a clock moved by hand, and one instrument."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from async_body import settle
from squareoff.adapters.calendar import AlwaysOpen
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import (
    ExchangeSegment,
    Instrument,
    InstrumentId,
    PositionKey,
    ProductType,
)
from squareoff.domain.orders import (
    BrokerPosition,
    OrderModification,
    OrderReport,
    OrderRequest,
    OrderType,
    Side,
)
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.exchange.rules import MatchingRules
from squareoff.ports import OrderStreamEvent, SessionCalendar

WALL_NS = 1_789_446_600_000_000_000  # 2026-09-15 10:00:00 IST
ACCOUNT = AccountId("1100000001")
FUTURE = Instrument(
    InstrumentId(ExchangeSegment.NSE_FNO, "49543"),
    "NIFTY-FUT",
    75,
    Decimal("0.10"),
    1800,
    Decimal("20000"),
    Decimal("30000"),
    "FUTIDX",
)


class HandClock:
    """Time moves only when a test says so."""

    def __init__(self) -> None:
        self.elapsed_ns = 0

    def now(self) -> Now:
        return Now(WALL_NS + self.elapsed_ns, 1_000 + self.elapsed_ns)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the paper broker must not sleep")

    def advance(self, seconds: float) -> None:
        self.elapsed_ns += seconds_to_ns(seconds)


class MemoryStore:
    """Keeps the ledger; can be told to fail, or to hold a save until it is let go."""

    def __init__(self) -> None:
        self.ledger: bytes | None = None
        self.save_count = 0
        self.is_failing = False
        self.gate: asyncio.Event | None = None

    async def save(self, ledger: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.is_failing:
            raise StoreUnavailable("the disk is full")
        self.ledger = ledger
        self.save_count += 1

    async def load(self) -> bytes | None:
        return self.ledger


class Master:
    """An instrument source from a dict."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = {each.instrument_id: each for each in instruments}

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        return self._instruments.get(instrument_id)


@dataclass
class World:
    """One account's world. `boot` is a start of the process on what the store kept."""

    settings: PaperSettings = field(default_factory=lambda: PaperSettings(Decimal(500_000), 0.05))
    calendar: SessionCalendar = field(default_factory=AlwaysOpen)
    master: Master = field(default_factory=lambda: Master(FUTURE))
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: HandClock = field(default_factory=HandClock)
    instrument: Instrument = FUTURE

    async def boot(self) -> PaperBroker:
        broker = PaperBroker(
            ACCOUNT,
            store=self.store,
            clock=self.clock,
            instruments=self.master,
            settings=self.settings,
            calendar=self.calendar,
        )
        await broker.load()
        return broker

    def offering(self, quantity: int) -> "World":
        """Return the world whose ticks offer this many units."""
        matching = MatchingRules(quantity_per_print=quantity)
        return replace(self, settings=replace(self.settings, matching=matching))

    def tick(self, price: str, bid: str | None = None, ask: str | None = None) -> Tick:
        now = self.clock.now()
        return Tick(
            self.instrument.instrument_id,
            units_from_decimal(Decimal(price)),
            now.wall_ns,
            now.wall_ns,
            now.monotonic_ns,
            None if bid is None else units_from_decimal(Decimal(bid)),
            None if ask is None else units_from_decimal(Decimal(ask)),
        )

    def arrive(self) -> None:
        """Let what is on its way become due."""
        self.clock.advance(0.05)

    def request(
        self,
        side: Side = Side.SELL,
        quantity: int = 75,
        price: str | None = "25000.00",
        *,
        order_type: OrderType = OrderType.LIMIT,
        stop: str | None = None,
        name: str = "sqx-1",
    ) -> OrderRequest:
        return OrderRequest(
            ClientOrderId(name),
            PositionKey(ACCOUNT, self.instrument.instrument_id, ProductType.INTRADAY),
            side,
            order_type,
            quantity,
            None if price is None else Decimal(price),
            None if stop is None else Decimal(stop),
        )

    def change(
        self, broker_order_id: BrokerOrderId, price: str, quantity: int = 75
    ) -> OrderModification:
        return OrderModification(
            broker_order_id, ClientOrderId("sqx-1"), OrderType.LIMIT, quantity, Decimal(price)
        )

    def position(self, net: int, price: str = "25000.00") -> BrokerPosition:
        average = Decimal(price)
        return BrokerPosition(
            self.instrument.instrument_id,
            ProductType.INTRADAY,
            net,
            max(net, 0),
            max(-net, 0),
            average if net > 0 else Decimal(0),
            average if net < 0 else Decimal(0),
        )


@dataclass
class Stream:
    """Listens to the order stream of a broker while a body runs."""

    events: list[OrderStreamEvent] = field(default_factory=list)

    @property
    def reports(self) -> list[OrderReport]:
        return [event for event in self.events if isinstance(event, OrderReport)]

    async def during(self, broker: PaperBroker, body: Coroutine[Any, Any, None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(broker.run_once(self.events.append))
            await settle()
            await body
            await settle()
            listener.cancel()


@pytest.fixture
def world() -> World:
    """Give a world whose future trades at any hour, a request being 50 ms on its way."""
    return World()


@pytest.fixture
def listen() -> Callable[[], Stream]:
    """Give a maker of stream listeners."""
    return Stream


@pytest.fixture
def let_run() -> Callable[[], Coroutine[Any, Any, None]]:
    """Give the function that lets everything that is ready run."""
    return settle
