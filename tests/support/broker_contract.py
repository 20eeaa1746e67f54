"""What every broker client owes the engine, whichever broker is behind it: rigs and waiting.

A rig holds one account with one instrument (lot 75, tick 0.10, freeze quantity 1,800), and the
hands to move its market. Real time: the rigs have real sockets or real delays.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.adapters.system import SystemClock
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
from squareoff.exchange.rules import MatchingRules
from squareoff.ports import BrokerClient, OrderStreamEvent, OrderUpdates, StreamConnected
from squareoff.simulator.embedded import EmbeddedSimulator
from squareoff.simulator.server import SimulatorOptions

ACCOUNT = AccountId("1100000001")
FUTURE = Instrument(
    InstrumentId(ExchangeSegment.NSE_FNO, "49543"),
    "NIFTY-Dec2025-FUT",
    75,
    Decimal("0.10"),
    1800,
    instrument_type="FUTIDX",
)
PRINT_QUANTITY = 150
"""What one print offers, so that larger orders fill in part."""

POLL_SECONDS = 0.02
WAIT_SECONDS_MAX = 15.0


class BrokerRig(Protocol):
    """One broker, and the hands to move its market."""

    client: BrokerClient
    updates: OrderUpdates

    async def push(self, price: str) -> None:
        """Print a price that offers `PRINT_QUANTITY` units."""
        ...

    async def hold(self, net_quantity: int, price: str) -> None:
        """Give the account a position that it has from before."""
        ...


Rigs = Callable[[], AbstractAsyncContextManager[BrokerRig]]


def order(
    side: Side,
    quantity: int,
    price: str | None,
    *,
    order_type: OrderType = OrderType.LIMIT,
    name: str = "sqx-contract-1",
) -> OrderRequest:
    """Return an order on the rig's instrument."""
    key = PositionKey(ACCOUNT, FUTURE.instrument_id, ProductType.INTRADAY)
    limit_price = None if price is None else Decimal(price)
    return OrderRequest(ClientOrderId(name), key, side, order_type, quantity, limit_price)


def change(broker_order_id: BrokerOrderId, quantity: int, price: str) -> OrderModification:
    """Return a modification of the default order to a limit at `price`."""
    name = ClientOrderId("sqx-contract-1")
    return OrderModification(broker_order_id, name, OrderType.LIMIT, quantity, Decimal(price))


async def report_when(
    client: BrokerClient, name: BrokerOrderId, is_wanted: Callable[[OrderReport], bool]
) -> OrderReport:
    """Read the order book until the order is as wanted; raises TimeoutError after a while."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            for report in await client.order_book():
                if report.broker_order_id == name and is_wanted(report):
                    return report
            await asyncio.sleep(POLL_SECONDS)


@dataclass
class Listener:
    """Collects the events of an order stream while its block runs."""

    updates: OrderUpdates
    events: list[OrderStreamEvent] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def reports_of(self, name: BrokerOrderId) -> list[OrderReport]:
        """Return what was told of one order so far."""
        reports = [event for event in self.events if isinstance(event, OrderReport)]
        return [report for report in reports if report.broker_order_id == name]

    def take(self, event: OrderStreamEvent) -> None:
        """Keep an event."""
        self.events.append(event)
        self._changed.set()

    async def wait_until(self, is_reached: Callable[[], bool]) -> None:
        """Wait for events until something holds; raises TimeoutError after a while."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not is_reached():
                self._changed.clear()
                await self._changed.wait()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        """Listen, connected, for the length of the block."""
        async with asyncio.TaskGroup() as tasks:
            stream = tasks.create_task(self.updates.run_once(self.take))
            await self.wait_until(lambda: StreamConnected() in self.events)
            yield self
            stream.cancel()


class _Ledger:
    """Keeps a paper ledger in memory."""

    def __init__(self) -> None:
        self._ledger: bytes | None = None

    async def save(self, ledger: bytes) -> None:
        self._ledger = ledger

    async def load(self) -> bytes | None:
        return self._ledger


class _Master:
    """Knows the rig's instrument only."""

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        return FUTURE if instrument_id == FUTURE.instrument_id else None


class _PaperRig:
    def __init__(self, broker: PaperBroker) -> None:
        self.client: BrokerClient = broker
        self.updates: OrderUpdates = broker
        self._broker = broker
        self._clock = SystemClock()

    async def push(self, price: str) -> None:
        now = self._clock.now()
        name, units = FUTURE.instrument_id, units_from_decimal(Decimal(price))
        tick = Tick(name, units, now.wall_ns, now.wall_ns, now.monotonic_ns)
        self._broker.on_tick(tick)

    async def hold(self, net_quantity: int, price: str) -> None:
        average, zero = Decimal(price), Decimal(0)
        bought, sold = max(net_quantity, 0), max(-net_quantity, 0)
        self._broker.declare_position(
            BrokerPosition(
                FUTURE.instrument_id,
                ProductType.INTRADAY,
                net_quantity,
                bought,
                sold,
                average if bought else zero,
                average if sold else zero,
            )
        )


class _SimulatorRig:
    def __init__(self, client: BrokerClient, updates: OrderUpdates, sim: EmbeddedSimulator) -> None:
        self.client = client
        self.updates = updates
        self._sim = sim

    async def push(self, price: str) -> None:
        await self._admin("ticks", {"last_price": price})

    async def hold(self, net_quantity: int, price: str) -> None:
        body = {"net_quantity": net_quantity, "price": price, "carried": True}
        await self._admin("positions", body)

    async def _admin(self, path: str, fields: dict[str, object]) -> None:
        body = {"exchange_segment": "NSE_FNO", "security_id": "49543", **fields}
        await asyncio.to_thread(self._sim.admin, "POST", path, body)


@asynccontextmanager
async def paper_rig() -> AsyncIterator[BrokerRig]:
    """Give the paper broker."""
    matching = MatchingRules(quantity_per_print=PRINT_QUANTITY)
    broker = PaperBroker(
        ACCOUNT,
        store=_Ledger(),
        clock=SystemClock(),
        instruments=_Master(),
        settings=PaperSettings(matching=matching),
    )
    await broker.load()
    yield _PaperRig(broker)
    await broker.close()


@asynccontextmanager
async def simulator_rig() -> AsyncIterator[BrokerRig]:
    """Give the Dhan client over real sockets, with the simulator behind it."""
    clock, tokens = SystemClock(), FixedToken("contract-token")
    conduct = {"rate_limits": {}, "quantity_per_print": PRINT_QUANTITY}
    # Rate limits are another test's matter; here the order book is polled.
    options = SimulatorOptions(clock=clock, port=0, conduct=conduct)
    with EmbeddedSimulator(options) as sim:
        async with AiohttpTransport(sim.rest_url) as transport:
            client = DhanRestClient(RestSettings(ACCOUNT), transport, tokens)
            settings = SocketSettings(sim.order_update_url, ACCOUNT)
            updates = DhanOrderUpdates(settings, transport, tokens, clock)
            yield _SimulatorRig(client, updates, sim)


RIGS: dict[str, Rigs] = {"paper": paper_rig, "dhan over the simulator": simulator_rig}
