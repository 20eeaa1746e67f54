"""Replay a recorded feed: the whole engine on paper, in the recording's own time.

The engine is that of `assembly`, with the broker's feed client and decoder over recorded frames,
the paper broker, and a database in memory. Nothing is measured by the machine's clock and nothing
is drawn by chance, so the same recording and positions give the same exits, always.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.feed import PaperFeed
from squareoff.adapters.sql.database import open_inline_database
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import NoCheckpoints
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.domain.errors import ConfigError, SquareoffError
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import SessionCalendar
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.services.orders.gateway import GatewayPaper
from squareoff.services.positions.position_journal import entries_of
from squareoff.simulator.feed_replay.played_socket import (
    PlayedFeed,
    PlayedTransport,
    RecordedScript,
)
from squareoff.simulator.feed_replay.replay_report import (
    ReplayedPosition,
    ReplayReport,
    replayed_position,
)
from squareoff.simulator.feed_replay.replay_time import PacedLoop, ReplayClock
from squareoff.simulator.feed_replay.timed_records import TimedRecord

LEAD_SECONDS = 5.0
"""The engine starts and takes its positions under watch so long before the first record."""

TAIL_SECONDS = 10.0
"""Exits that the last prices fired are seen through for so long after them."""

_SETTLING_SECONDS = 0.001
"""A moment for the engine to start in, before it is asked."""

_LOOK_SECONDS = 1.0
_FEED_URL = "wss://recorded.invalid"
_GATEWAY_SECONDS = 8.0
_KILL_SWITCH_WATCH_SECONDS = 3_600.0
"""Nobody else writes to the database of a replay."""

Instruments = Mapping[InstrumentId, Instrument]


@dataclass(frozen=True, slots=True)
class PlannedPosition:
    """A position to take under watch; `opened_at_ns` (UTC) is None for before the first record."""

    tracker_id: TrackerId
    request: PositionRequest
    opened_at_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What a replay is played with; `speed` is market seconds per second, None for as fast as it
    goes, and `pause` waits so many real seconds."""

    engine: EngineSettings
    calendar: SessionCalendar
    pause: Callable[[float], None]
    speed: float | None = None


def replay(
    records: Iterable[TimedRecord],
    instruments: Instruments,
    positions: Sequence[PlannedPosition],
    settings: ReplaySettings,
) -> ReplayReport:
    """Play records to their end, or until every position is closed; say what became of them.

    Raises:
        ConfigError: there is nothing to play, or a file of it cannot be read.
        DomainError: a position cannot be taken under watch.
    """
    coming = iter(records)
    first = next(coming, None)
    if first is None:
        raise ConfigError("replay: the recording holds nothing to play")
    clock = ReplayClock(first.record.received.wall_ns - seconds_to_ns(LEAD_SECONDS))
    script = RecordedScript(chain([first], coming), clock, lead_seconds=LEAD_SECONDS)
    stage = _Stage(script, clock, instruments, settings)
    with asyncio.Runner(loop_factory=lambda: PacedLoop(settings.speed, settings.pause)) as runner:
        try:
            return runner.run(stage.play(positions))
        except BaseExceptionGroup as group:
            raise _cause_of(group) from group


class _Stage:
    """One replay: the engine over the recording, and what is done with it."""

    def __init__(
        self,
        script: RecordedScript,
        clock: ReplayClock,
        instruments: Instruments,
        settings: ReplaySettings,
    ) -> None:
        self._script = script
        self._clock = clock
        self._instruments = _Terms(instruments)
        self._settings = settings

    async def play(self, positions: Sequence[PlannedPosition]) -> ReplayReport:
        """Run the engine on a database of its own, play, and report."""
        database = open_inline_database()
        try:
            await prepare(database)
            account_id = self._settings.engine.account_id
            store = SqlStore(database.runner, account_id)
            engine = await self._engine(store, PaperStateStore(database.runner, account_id))
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(engine.supervisor.run())
                opening = tasks.create_task(self._open(engine, positions))
                while not (opening.done() and self._is_over(engine)):
                    await self._clock.sleep(_LOOK_SECONDS)
                played_ns = self._clock.now().monotonic_ns - seconds_to_ns(LEAD_SECONDS)
                await self._clock.sleep(TAIL_SECONDS)
                serving.cancel()
            found = [await _replayed(engine, store, each.tracker_id) for each in positions]
        finally:
            await database.close()
        market_seconds = round(played_ns / NANOSECONDS_PER_SECOND)
        return ReplayReport(
            tuple(found), self._script.frame_count, market_seconds, _refused(engine)
        )

    def _is_over(self, engine: Engine) -> bool:
        book = engine.exit_engine.book
        return self._script.has_ended or all(each.tracker.status.is_final for each in book)

    async def _open(self, engine: Engine, positions: Sequence[PlannedPosition]) -> None:
        for position in sorted(positions, key=lambda each: each.opened_at_ns or 0):
            wait_ns = (position.opened_at_ns or 0) - self._clock.now().wall_ns
            await self._clock.sleep(max(_SETTLING_SECONDS, wait_ns / NANOSECONDS_PER_SECOND))
            await engine.desk.track(position.request, position.tracker_id)

    async def _engine(self, store: SqlStore, ledger: PaperStateStore) -> Engine:
        settings, clock = self._settings, self._clock
        account_id = settings.engine.account_id
        broker = PaperBroker(
            account_id,
            store=ledger,
            clock=clock,
            instruments=self._instruments,
            calendar=settings.calendar,
        )
        await broker.load()
        gateway = GatewayPaper(broker, gateway_seconds=_GATEWAY_SECONDS, holdings=broker)
        socket = SocketSettings(_FEED_URL, account_id)
        transport = PlayedTransport(self._script)
        feed = DhanMarketFeed(socket, transport, FixedToken("recorded"), clock)
        ports = Ports(
            store=store,
            journal=store,
            gateway=gateway,
            order_updates=broker,
            market_feed=PaperFeed(PlayedFeed(feed), broker),
            instruments=self._instruments,
            calendar=settings.calendar,
            clock=clock,
            ids=_NumberedIds(),
            chance=_NoChance(),
            checkpoints=NoCheckpoints(),
            declare_position=gateway.declare_position,
            quotes_tell_of_the_feed=False,
        )
        watch_seconds = _KILL_SWITCH_WATCH_SECONDS
        return assemble(replace(settings.engine, kill_switch_watch_seconds=watch_seconds), ports)


async def _replayed(engine: Engine, store: SqlStore, tracker_id: TrackerId) -> ReplayedPosition:
    entries = [entry async for entry in entries_of(store, tracker_id)]
    return replayed_position(engine.desk.tracker(tracker_id), entries)


def _refused(engine: Engine) -> dict[str, int]:
    engine.metrics.render()
    samples = (each for family in engine.metrics.registry.collect() for each in family.samples)
    return {
        sample.labels["cause"]: round(sample.value)
        for sample in samples
        if sample.name == "squareoff_ticks_refused_total"
    }


def _cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the refusal that ended a replay; a defect keeps its group."""
    refused = group.subgroup(SquareoffError)
    cause: BaseException = group if refused is None else refused
    while refused is not None and isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause


class _Terms:
    """Fulfils `ports.InstrumentSource` with what the recording and the positions say."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return an instrument's terms."""
        return self._instruments.get(instrument_id)


class _NumberedIds:
    """Fulfils `ports.IdSource` by counting."""

    def __init__(self) -> None:
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """Return the next id."""
        self._count += 1
        return f"{prefix}-{self._count:06d}"


class _NoChance:
    """Fulfils `ports.Chance` without any."""

    def uniform(self, low: float, high: float) -> float:
        """Return the middle."""
        return (low + high) / 2
