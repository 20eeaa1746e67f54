"""One engine in virtual time: start it, hold positions, push ticks and reports, look at it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, cast

from exit_story.values import ACCOUNT, INSTRUMENT, new_position
from service_world.broker import ScriptedGateway
from service_world.store import FaultyStore, memory_store
from service_world.virtual import VirtualClock, settle
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietFeed
from squareoff.core.state.facts import Severity
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, PositionKey
from squareoff.domain.orders import OrderReport
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.sessions import ALL_DAY, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.ports import (
    BrokerSession,
    BrokerTime,
    Clock,
    FeedConnected,
    FeedEvent,
    OrderStreamEvent,
    StreamConnected,
    TrackerStore,
)


class CountingIds:
    """Ids by number."""

    def __init__(self) -> None:
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """Return the next id."""
        self._count += 1
        return f"{prefix}-{self._count:04d}"


class FullJitter:
    """Draws the highest number every time, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []

    def uniform(self, low: float, high: float) -> float:
        """Return `high`."""
        self.asked.append((low, high))
        return high


class Calendar:
    """Open until told otherwise."""

    def __init__(self) -> None:
        self.opens_in_seconds = 0.0
        self.closes_in_seconds: float | None = None
        self.hours = ALL_DAY

    def is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say whether orders can go out."""
        return self.opens_in_seconds == 0.0

    def seconds_to_open(self, segment: ExchangeSegment, wall_ns: int) -> float:
        """Return the time to the next session."""
        return self.opens_in_seconds

    def seconds_to_last_close(self, segment: ExchangeSegment, wall_ns: int) -> float | None:
        """Return the time to the end of the day."""
        return self.closes_in_seconds

    def trading_day(self, segment: ExchangeSegment, day: date) -> TradingDay:
        """Return the hours of every day."""
        return self.hours


class Master:
    """An instrument master of the given instruments."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = {each.instrument_id: each for each in instruments}

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the instrument, if it is known."""
        return self._instruments.get(instrument_id)


class RecordedAlarms:
    """Alarms as people would hear of them."""

    def __init__(self) -> None:
        self.heard: list[tuple[Severity, str, str]] = []
        self.told: list[tuple[str, str]] = []

    def notify(self, severity: Severity, code: str, message: str) -> None:
        """Remember an alarm."""
        self.heard.append((severity, code, message))

    def tell(self, title: str, message: str) -> None:
        """Remember a message that is no alarm."""
        self.told.append((title, message))

    @property
    def codes(self) -> list[str]:
        """The codes in order."""
        return [code for _, code, _ in self.heard]


class Stream:
    """An order stream or market feed that connects at once and lives until it is cut."""

    def __init__(self, hello: object) -> None:
        self._hello = hello
        self._publish: Callable[[Any], None] = lambda event: None
        self._cut: asyncio.Future[None] | None = None
        self.refusals: list[FeedDisconnected] = []
        self.connects_at: list[float] = []
        self.lives_seconds: float | None = None
        self.watched: set[InstrumentId] = set()

    async def run_once(self, publish: Callable[[Any], None]) -> None:
        """Connect, publish, end."""
        loop = asyncio.get_running_loop()
        self.connects_at.append(loop.time())
        if self.refusals:
            raise self.refusals.pop(0)
        self._cut = loop.create_future()
        self._publish = publish
        publish(self._hello)
        if self.lives_seconds is not None:
            await asyncio.sleep(self.lives_seconds)
            raise FeedDisconnected("cut")
        await self._cut
        raise FeedDisconnected("cut")

    def push(self, event: OrderStreamEvent | FeedEvent) -> None:
        """Publish an event."""
        self._publish(event)

    def cut(self) -> None:
        """End the connection."""
        assert self._cut is not None, "connected"
        self._cut.set_result(None)

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Note what is watched."""
        self.watched |= {each.instrument_id for each in instruments}

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Note what is no longer watched."""
        self.watched -= set(instrument_ids)


class Checkpoints:
    """Remembers the points that were reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def reach(self, name: str) -> None:
        """Note a point."""
        self.reached.append(name)


@dataclass
class World:
    """The parts of one engine, and what a test does with them."""

    store: FaultyStore
    gateway: ScriptedGateway
    stream: Stream
    feed: Stream
    alarms: RecordedAlarms
    calendar: Calendar
    chance: FullJitter
    checkpoints: Checkpoints
    engine: Engine

    async def hold(self, **changes: Any) -> PositionTracker:
        """Hold a position at the broker and take it under watch."""
        position = new_position(**changes)
        key = PositionKey(
            position.account_id, position.instrument.instrument_id, position.product_type
        )
        self.gateway.hold(key, self.gateway.net(key) + position.side.sign * position.quantity)
        return await self.engine.exit_engine.open(position)

    def tracker(self, tracker_id: TrackerId) -> PositionTracker:
        """Return a tracker as it stands in memory."""
        actor = self.engine.exit_engine.book.get(tracker_id)
        assert actor is not None, tracker_id
        return actor.tracker

    def tick(
        self, price: str, *, traded_ago: float = 0.0, instrument: Instrument = INSTRUMENT
    ) -> None:
        """Push a tick, received now."""
        now = VirtualClock().now()
        self.feed.push(
            Tick(
                instrument_id=instrument.instrument_id,
                last_traded_price=units_from_decimal(Decimal(price)),
                exchange_time_ns=now.wall_ns - round(traded_ago * 1e9),
                received_time_ns=now.wall_ns,
                received_monotonic_ns=now.monotonic_ns,
            )
        )

    async def until(self, claim: Callable[[], bool], within_seconds: float = 120.0) -> None:
        """Let virtual time pass until `claim` holds."""
        end = asyncio.get_running_loop().time() + within_seconds
        while not claim():
            assert asyncio.get_running_loop().time() < end, "it did not come to pass in time"
            await asyncio.sleep(0.01)

    async def until_status(self, tracker_id: TrackerId, status: PositionStatus) -> PositionTracker:
        """Let virtual time pass until the tracker has this status."""
        await self.until(lambda: self.tracker(tracker_id).status is status)
        return self.tracker(tracker_id)


async def make_world(
    *,
    store: FaultyStore | None = None,
    gateway: ScriptedGateway | None = None,
    session: BrokerSession | None = None,
    broker_time: BrokerTime | None = None,
    clock: Clock | None = None,
    quiet_feed: QuietFeed = LOUD_FEED,
    tells_the_day: bool = False,
    on_good_price: tuple[Callable[[Tick], None], ...] = (),
    instruments: tuple[Instrument, ...] = (INSTRUMENT,),
    **settings: Any,
) -> World:
    """Wire an engine; nothing runs yet."""
    store = store or await memory_store(ACCOUNT)
    gateway = gateway or ScriptedGateway()
    stream, feed = Stream(StreamConnected()), Stream(FeedConnected())
    alarms, calendar, chance = RecordedAlarms(), Calendar(), FullJitter()
    checkpoints = Checkpoints()
    ports = Ports(
        store=cast("TrackerStore", store),
        journal=cast("Any", store),
        gateway=gateway,
        order_updates=stream,
        market_feed=feed,
        instruments=Master(*instruments),
        calendar=calendar,
        clock=clock or VirtualClock(),
        ids=CountingIds(),
        chance=chance,
        checkpoints=checkpoints,
        alerts=(alarms,),
        on_good_price=on_good_price,
        session=session,
        broker_time=broker_time,
        quiet_feed=quiet_feed,
        tells_the_day=tells_the_day,
    )
    engine = assemble(EngineSettings(ACCOUNT, "live", **settings), ports)

    def publish(report: OrderReport) -> None:
        stream.push(report)

    gateway.publish = publish
    return World(store, gateway, stream, feed, alarms, calendar, chance, checkpoints, engine)


@asynccontextmanager
async def running(world: World, *, until_ready: bool = True) -> AsyncIterator[World]:
    """Run the engine around the body; it ends when the body does."""
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(world.engine.supervisor.run())
        await settle()
        if until_ready:
            await world.until(lambda: world.engine.status.view().is_ready)
        try:
            yield world
        finally:
            run.cancel()


@asynccontextmanager
async def running_world(**wanted: Any) -> AsyncIterator[World]:
    """Wire and run an engine around the body."""
    world = await make_world(**wanted)
    async with running(world):
        yield world
