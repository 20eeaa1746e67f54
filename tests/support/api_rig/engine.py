"""The engine of the rig: the real services over a real database in memory and the paper broker."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal

from ready_databases import ready_in_memory
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.feed import PaperFeed
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import NoCheckpoints, RandomIds, SystemChance, SystemClock
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.sessions import ALL_DAY, TradingDay
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedConnected, FeedEvent
from squareoff.services.orders.gateway import GatewayPaper
from squareoff.services.positions.reconciler import ReconcilePace

ACCOUNT = AccountId("1100000001")
INSTRUMENT = Instrument(
    instrument_id=InstrumentId(ExchangeSegment.NSE_FNO, "49081"),
    trading_symbol="NIFTY-Sep2026-25000-CE",
    lot_size=25,
    tick_size=Decimal("0.05"),
    freeze_quantity=1800,
    instrument_type="OPTIDX",
)
NEVER_STALE_SECONDS = 3_600.0


class Instruments:
    """An instrument master of one."""

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the instrument, None for every other."""
        return INSTRUMENT if instrument_id == INSTRUMENT.instrument_id else None


class AlwaysOpen:
    """A calendar without nights."""

    def is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say yes."""
        return True

    def seconds_to_open(self, segment: ExchangeSegment, wall_ns: int) -> float:
        """Say now."""
        return 0.0

    def seconds_to_last_close(self, segment: ExchangeSegment, wall_ns: int) -> float | None:
        """Return None: it never closes."""
        return None

    def trading_day(self, segment: ExchangeSegment, day: date) -> TradingDay:
        """Return a day without nights."""
        return ALL_DAY


class ScriptedFeed:
    """A market feed that says what the test says."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._publish: Callable[[FeedEvent], None] | None = None
        self.is_connected = asyncio.Event()

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Every instrument is watched."""

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Every instrument stays watched."""

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Connect, and stay so until cancelled."""
        self._publish = publish
        publish(FeedConnected())
        self.is_connected.set()
        await asyncio.Event().wait()

    def push(self, price: Decimal) -> None:
        """Print one price of the instrument, now."""
        now = self._clock.now()
        self.publish(
            Tick(
                instrument_id=INSTRUMENT.instrument_id,
                last_traded_price=units_from_decimal(price),
                exchange_time_ns=now.wall_ns,
                received_time_ns=now.wall_ns,
                received_monotonic_ns=now.monotonic_ns,
            )
        )

    def publish(self, tick: Tick) -> None:
        """Tell one tick, of whatever instrument; in the engine's own loop."""
        assert self._publish is not None, "the feed is connected"
        self._publish(tick)


async def open_test_engine() -> tuple[Engine, ScriptedFeed]:
    """Return an engine over an empty database and a paper broker without positions."""
    clock = SystemClock()
    database = await ready_in_memory()
    store = SqlStore(database.runner, ACCOUNT)
    broker = PaperBroker(
        ACCOUNT,
        store=PaperStateStore(database.runner, ACCOUNT),
        clock=clock,
        instruments=Instruments(),
        settings=PaperSettings(exchange_delay_seconds=0.0),
    )
    await broker.load()
    feed = ScriptedFeed(clock)
    gateway = GatewayPaper(broker, gateway_seconds=8.0, holdings=broker)
    ports = Ports(
        store=store,
        journal=store,
        gateway=gateway,
        order_updates=broker,
        market_feed=PaperFeed(feed, broker),
        instruments=Instruments(),
        calendar=AlwaysOpen(),
        clock=clock,
        ids=RandomIds(),
        chance=SystemChance(),
        checkpoints=NoCheckpoints(),
        declare_position=gateway.declare_position,
    )
    settings = EngineSettings(
        account_id=ACCOUNT,
        mode="paper",
        hygiene=HygieneLimits(stale_after_seconds=NEVER_STALE_SECONDS),
        pace=ReconcilePace(interval_seconds=0.2, in_flight_seconds=0.05),
    )
    return assemble(settings, ports), feed
