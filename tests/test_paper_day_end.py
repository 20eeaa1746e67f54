"""The end of a day on paper, through the whole engine in virtual time: as at the real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import time
from decimal import Decimal

from exit_story.values import INSTRUMENT
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import CountingIds, FullJitter, Master
from squareoff.adapters.calendar import ExchangeCalendar
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.feed import PaperFeed
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.adapters.sql.database import open_inline_database
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import NoCheckpoints
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedConnected, FeedEvent
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.services.orders.gateway import GatewayPaper

ACCOUNT = AccountId("PAPER")
HELD = PositionRequest(
    exchange_segment=INSTRUMENT.instrument_id.exchange_segment,
    security_id=INSTRUMENT.instrument_id.security_id,
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    entry_price=Decimal(150),
)


class SteadyFeed:
    """One price, again and again."""

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Every instrument is watched."""

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Every instrument stays watched."""

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Publish until cancelled."""
        publish(FeedConnected())
        while True:
            now = VirtualClock().now()
            units = units_from_decimal(Decimal(152))
            name = INSTRUMENT.instrument_id
            publish(Tick(name, units, now.wall_ns, now.wall_ns, now.monotonic_ns))
            await asyncio.sleep(4.0)


@asynccontextmanager
async def running_on_paper() -> AsyncIterator[Engine]:
    """Yield an engine over a paper broker at the exchange's hours."""
    clock, database, calendar = VirtualClock(), open_inline_database(), ExchangeCalendar()
    await prepare(database)
    store = SqlStore(database.runner, ACCOUNT)
    broker = PaperBroker(
        ACCOUNT,
        store=PaperStateStore(database.runner, ACCOUNT),
        clock=clock,
        instruments=Master(INSTRUMENT),
        settings=PaperSettings(closes_intraday=True),
        calendar=calendar,
    )
    await broker.load()
    gateway = GatewayPaper(broker, gateway_seconds=8.0, holdings=broker)
    ports = Ports(
        store=store,
        journal=store,
        gateway=gateway,
        order_updates=broker,
        market_feed=PaperFeed(SteadyFeed(), broker),
        instruments=Master(INSTRUMENT),
        calendar=calendar,
        clock=clock,
        ids=CountingIds(),
        chance=FullJitter(),
        checkpoints=NoCheckpoints(),
        declare_position=gateway.declare_position,
    )
    engine = assemble(EngineSettings(ACCOUNT, "paper"), ports)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(engine.supervisor.run())
        yield engine
        serving.cancel()
    await database.close()


def test_an_intraday_position_without_a_time_is_closed_by_the_broker() -> None:
    """It is booked as any stranger's close, at the broker's price; nothing of ours was sent."""

    async def body() -> None:
        async with running_on_paper() as engine:
            await asyncio.sleep(1.0)
            held = await engine.desk.track(HELD)
            await asyncio.sleep(45.0)
            assert engine.desk.tracker(TrackerId(held.id)).status.value == "ACTIVE"

            await asyncio.sleep(150.0)
            ended = engine.desk.tracker(TrackerId(held.id))
            assert (ended.status.value, ended.exit_reason) == ("EXITED", "closed_externally")
            assert (ended.exit_price, ended.realized_pnl) == (Decimal(152), Decimal(200))
            assert list(engine.desk.orders()) == []

    run_virtual(body(), begins=time(15, 19))
