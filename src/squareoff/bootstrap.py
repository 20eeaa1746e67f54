"""Choose the parts of one engine from its settings: the only place where parts are chosen.

`open_engine` opens everything that has to be closed again, in order, and closes it in reverse,
whatever happens in between. What a setting can be refused for comes before the database, so that
a refused start leaves no file behind.
Longer than 400 lines because every choice stands in this one place.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from squareoff import __version__
from squareoff.adapters.broker.dhan.instrument_source import (
    DailyInstruments,
    InstrumentSettings,
    load_instruments,
)
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.session_setup import BrokerLine
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import HttpRequest
from squareoff.adapters.calendar import AlwaysOpen, Exchange, ExchangeCalendar, SpecialSession
from squareoff.adapters.feed_recording.folder import RawBlock, RecordingFolder
from squareoff.adapters.feed_recording.recorder import FeedRecorder
from squareoff.adapters.feed_recording.recording_transport import RecordingTransport
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.paper.feed import PaperFeed, PaperWideFeed
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.adapters.process_key import is_gone, process_key
from squareoff.adapters.recordings import Recording, read_recording
from squareoff.adapters.replay import ReplayFeed
from squareoff.adapters.sql.database import Database, open_database
from squareoff.adapters.sql.locks import account_lock
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import (
    RandomIds,
    SystemChance,
    SystemClock,
    checkpoints_from_environment,
)
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.config import Settings
from squareoff.config.fingerprint import config_hash
from squareoff.config.given import given_credentials
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietFeed
from squareoff.core.rules.square_off_times import SquareOffTimes
from squareoff.core.session.lease import AccountOwner, OwnerClaim
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.errors import ConfigError
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import OrderType
from squareoff.ports import (
    Alerts,
    Clock,
    InstrumentSource,
    MarketFeed,
    OrderUpdates,
    SendFence,
    SessionCalendar,
    WideFeed,
)
from squareoff.services.account.account_ownership import AccountOwnership
from squareoff.services.desk.desk import DeclarePosition
from squareoff.services.monitoring.fact_log import log_facts
from squareoff.services.monitoring.loop_watch import LoopWatch
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.gateway import GatewayLive, GatewayPaper
from squareoff.services.orders.rate_budget import RateLimits
from squareoff.services.positions.reconciler import ReconcilePace

if TYPE_CHECKING:  # loaded where a setting asks for them: their libraries take long to import
    from squareoff.adapters.alerts import AppriseAlerts
    from squareoff.adapters.redis.tick_cache import RedisTickCache

PAPER_ACCOUNT = AccountId("PAPER")
"""The account id of paper trading without broker credentials."""

UNKNOWN_TICK = Decimal("0.01")
"""Step of recorded prices whose instrument the master does not hold: recordings can carry the
feed's float32 noise, which a finer step would keep. Currency (0.0025) needs a master."""

CACHE_FOLDER = Path(".squareoff")
"""Where fetched instrument masters are kept, in the working folder."""


@dataclass(frozen=True, slots=True)
class EngineHooks:
    """What the caller of `open_engine` watches or replaces that no setting can name.

    `squareoff run` hides tokens in its logs by `on_secret`; the rest is for benchmarks.
    """

    rate_limits: RateLimits | None = None
    """Used instead of the settings' limits; None to keep these."""
    on_request: Callable[[HttpRequest], None] | None = None
    """Told each request to the broker right before its first byte."""
    on_secret: Callable[[str], None] = lambda token: None
    """Told each access token that comes into use, so that logs can hide it."""


NO_HOOKS = EngineHooks()
OnOwner = Callable[[AccountOwner | None], None]


@asynccontextmanager
async def open_engine(
    settings: Settings,
    hooks: EngineHooks = NO_HOOKS,
    *,
    on_owner: OnOwner | None = None,
) -> AsyncIterator[Engine]:
    """Open one engine; run it with `engine.supervisor.run()`.

    Args:
        on_owner: makes this one a standby: it waits here until the account's owner is dead or
            silent for too long, and tells of that owner at every look.

    Raises:
        ConfigError: a setting cannot be served; nothing was opened.
        AccountLocked: another engine owns this account on this database; as a standby: it is of
            another version or has other settings.
        SchemaMismatch: the database is of another version.
        StoreUnavailable: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:
        yield await _open(settings, hooks, stack, on_owner)


def account_of(settings: Settings) -> AccountId:
    """Return the account these settings trade.

    Paper positions belong to an account of their own, so that the same database opened in live
    mode never takes one of them for real.
    """
    client_id = settings.credentials.client_id
    if settings.mode == "live" and client_id:
        return AccountId(client_id)
    return AccountId(f"{PAPER_ACCOUNT}-{client_id}") if client_id else PAPER_ACCOUNT


def engine_settings(settings: Settings) -> EngineSettings:
    """Translate settings into what the services take."""
    limits = settings.limits
    return EngineSettings(
        account_id=account_of(settings),
        mode=settings.mode,
        policy=ExitPolicy(
            order_type=OrderType(settings.exit.order_type.upper()),
            chase_interval_seconds=settings.exit.chase_interval_seconds,
            max_slippage_percent=settings.exit.max_slippage_percent,
            market_on_last_step=settings.exit.on_last_step == "market",
            quarantine_seconds=settings.quarantine_seconds,
            readings=settings.settle.readings,
            attempts_max=settings.exit.attempts_max,
            reconciled_age_seconds_max=2 * settings.reconcile.interval_seconds,
            flatten_over_exit=settings.over_exit_action == "flatten",
        ),
        limits=RateLimits(
            limits.orders_per_second,
            limits.orders_per_minute,
            limits.orders_per_hour,
            limits.orders_per_day,
        ),
        hygiene=HygieneLimits(settings.prices.stale_after_seconds, settings.prices.spike_percent),
        pace=ReconcilePace(
            settings.reconcile.interval_seconds, settings.reconcile.in_flight_seconds
        ),
        adopt_rules=settings.default_rules if settings.adopt == "all" else None,
        square_off=SquareOffTimes(settings.square_off.by_segment()),
        account_rules=settings.account_rules,
    )


@dataclass(frozen=True, slots=True)
class _Broker:
    """The broker's side of the ports, real or paper."""

    gateway: GatewayLive
    order_updates: OrderUpdates
    market_feed: MarketFeed
    quiet_feed: QuietFeed = LOUD_FEED
    wide_feed: WideFeed | None = None
    declare_position: DeclarePosition | None = None
    line: BrokerLine | None = None
    measured: tuple[Callable[[Metrics], None], ...] = ()


@dataclass(frozen=True, slots=True)
class _PaperPrices:
    """What paper trading is priced by; `line` is None for recorded prices."""

    feed: MarketFeed
    line: BrokerLine | None
    wide_feed: WideFeed | None = None


async def _open(
    settings: Settings, hooks: EngineHooks, stack: AsyncExitStack, on_owner: OnOwner | None
) -> Engine:
    clock, account_id = SystemClock(), account_of(settings)
    # Before the database: a setting that is refused leaves no file behind, and a standby reads
    # while there is time.
    instruments = await _instruments(settings, clock)
    prices = None if settings.mode == "live" else _paper_prices(settings, stack, clock, instruments)
    database = open_database(settings.database_url.get_secret_value())
    stack.push_async_callback(database.close)
    await prepare(database)
    ownership = _ownership(settings, database, clock)
    stack.push_async_callback(ownership.release)
    if on_owner is None:
        await ownership.take()
    else:
        await ownership.stand_by(on_owner)
    store = SqlStore(database.runner, account_id, ownership.epoch, ownership)
    # Recorded prices are nobody else's, and nobody else's are theirs.
    is_recorded = prices is not None and prices.line is None
    shared_ticks = None if is_recorded else _shared_ticks(settings, stack)
    if prices is None:
        broker = _live_broker(settings, hooks, stack, clock, ownership)
    else:
        ledger = PaperStateStore(database.runner, account_id, ownership.epoch)
        broker = await _paper_broker(settings, stack, clock, ledger, instruments, prices)
    loop_watch = LoopWatch(clock)
    refreshed = [instruments] if isinstance(instruments, DailyInstruments) else []
    ports = Ports(
        store=store,
        journal=store,
        gateway=broker.gateway,
        order_updates=broker.order_updates,
        market_feed=broker.market_feed,
        instruments=instruments,
        calendar=calendar_of(settings),
        clock=clock,
        ids=RandomIds(),
        chance=SystemChance(),
        checkpoints=checkpoints_from_environment(os.environ),
        alerts=_alerts(settings, stack),
        shared_ticks=shared_ticks,
        on_good_price=() if shared_ticks is None else (shared_ticks.put,),
        # Other processes are to hear of every good price: none is quiet where they share ticks.
        quiet_feed=broker.quiet_feed if shared_ticks is None else LOUD_FEED,
        wide_feed=broker.wide_feed,
        declare_position=broker.declare_position,
        session=None if broker.line is None else broker.line.keeper,
        broker_time=None if broker.line is None else broker.line.timed,
        ownership=ownership,
        quotes_tell_of_the_feed=broker.line is not None,
        background=tuple(each.run for each in (loop_watch, shared_ticks, *refreshed) if each),
        on_facts=(log_facts,),
        tells_the_day=True,
        measured=(loop_watch.measure, *broker.measured),
    )
    chosen = engine_settings(settings)
    if hooks.rate_limits is not None:
        chosen = replace(chosen, limits=hooks.rate_limits)
    return assemble(chosen, ports)


def _ownership(settings: Settings, database: Database, clock: Clock) -> AccountOwnership:
    """Return this process's claim on the account, not yet taken."""
    account_id = account_of(settings)
    claim = OwnerClaim(
        host=socket.gethostname(),
        process_id=os.getpid(),
        process_key=process_key(),
        version=__version__,
        config_hash=config_hash(settings),
        lease_seconds=settings.ownership.lease_seconds,
    )
    lock = account_lock(database, account_id)
    store = SqlOwnerStore(database.runner, account_id)
    return AccountOwnership(store, lock, claim, clock, is_gone=is_gone)


class _NoInstruments:
    """No instrument master is set: callers give lot and tick themselves."""

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return None: nothing is known."""
        return None


async def _instruments(settings: Settings, clock: Clock) -> InstrumentSource:
    source = settings.instrument_master
    if source is None:
        return _NoInstruments()
    mine = InstrumentSettings(source, CACHE_FOLDER)
    return DailyInstruments(await load_instruments(mine, clock), mine, clock)


def _alerts(settings: Settings, stack: AsyncExitStack) -> tuple[Alerts, ...]:
    addresses = settings.alert_addresses()
    if not addresses:
        return ()
    alerts: AppriseAlerts = import_module("squareoff.adapters.alerts").AppriseAlerts(addresses)
    stack.push_async_callback(alerts.close)
    return (alerts,)


def _shared_ticks(settings: Settings, stack: AsyncExitStack) -> "RedisTickCache | None":
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    redis = import_module("squareoff.adapters.redis.tick_cache")
    cache: RedisTickCache = redis.RedisTickCache(url, settings.dhan.market_feed_url)
    stack.push_async_callback(cache.close)
    return cache


def calendar_of(settings: Settings) -> SessionCalendar:
    """Return the exchange calendar of these settings."""
    if settings.session == "always":
        return AlwaysOpen()
    special = [
        SpecialSession(session.date, Exchange(session.exchange), session.open, session.close)
        for session in settings.calendar.special_sessions
    ]
    return ExchangeCalendar(settings.calendar.holidays, special)


def _line(
    settings: Settings, hooks: EngineHooks, stack: AsyncExitStack, clock: Clock
) -> BrokerLine:
    urls = settings.dhan
    line = BrokerLine(
        urls.rest_url,
        urls.auth_url,
        given_credentials(settings),
        clock,
        on_request=hooks.on_request,
        on_secret=hooks.on_secret,
    )
    stack.push_async_callback(line.close)
    return line


def _live_broker(
    settings: Settings,
    hooks: EngineHooks,
    stack: AsyncExitStack,
    clock: Clock,
    fence: SendFence,
) -> _Broker:
    account_id, line = account_of(settings), _line(settings, hooks, stack, clock)
    rest = RestSettings(account_id, order_timeout_seconds=settings.timeouts.order_seconds)
    updates = SocketSettings(settings.dhan.order_update_url, account_id)
    feed = _dhan_feed(settings, stack, line, clock)
    client = DhanRestClient(rest, line.timed, line.keeper, fence)
    return _Broker(
        gateway=GatewayLive(client, gateway_seconds=settings.timeouts.gateway_seconds),
        order_updates=DhanOrderUpdates(updates, line.transport, line.keeper, clock),
        market_feed=feed,
        quiet_feed=feed,
        wide_feed=feed,
        line=line,
        measured=(lambda metrics: metrics.follow_skipped_rows(lambda: client.skipped_row_count),),
    )


def _dhan_feed(
    settings: Settings, stack: AsyncExitStack, line: BrokerLine, clock: Clock
) -> DhanMarketFeed:
    client_id = AccountId(settings.credentials.client_id or "")
    socket = SocketSettings(settings.dhan.market_feed_url, client_id)
    recorder = _feed_recorder(settings, stack, clock)
    calendar = calendar_of(settings)

    def is_trading(segment: ExchangeSegment) -> bool:
        return calendar.is_open(segment, clock.now().wall_ns)

    if recorder is None:
        return DhanMarketFeed(socket, line.transport, line.keeper, clock, is_trading=is_trading)
    return DhanMarketFeed(
        socket,
        RecordingTransport(line.transport, recorder, clock),
        line.keeper,
        clock,
        on_watch=recorder.note_instrument,
        is_trading=is_trading,
    )


def _feed_recorder(settings: Settings, stack: AsyncExitStack, clock: Clock) -> FeedRecorder | None:
    """Return what records the feed, writing already; None where nothing is recorded."""
    recording = settings.recording
    folder = recording.folder
    if folder is None:
        return None

    def make_folder(opening: Callable[[], RawBlock | None]) -> RecordingFolder:
        return RecordingFolder(
            folder,
            file_bytes_max=recording.file_megabytes << 20,
            free_bytes_min=recording.free_megabytes_min << 20,
            opening=opening,
        )

    recorder = FeedRecorder(make_folder, clock)
    recorder.start()
    stack.push_async_callback(asyncio.to_thread, recorder.close)
    return recorder


async def _paper_broker(
    settings: Settings,
    stack: AsyncExitStack,
    clock: Clock,
    store: PaperStateStore,
    instruments: InstrumentSource,
    prices: _PaperPrices,
) -> _Broker:
    broker = PaperBroker(
        account_of(settings),
        store=store,
        clock=clock,
        instruments=instruments,
        settings=PaperSettings(closes_intraday=True),
        calendar=calendar_of(settings),
    )
    await broker.load()
    stack.push_async_callback(broker.close)
    gateway = GatewayPaper(
        broker,
        gateway_seconds=settings.timeouts.gateway_seconds,
        holdings=broker,
        market=None if prices.line is None else _market_of(settings, prices.line),
    )
    return _Broker(
        gateway=gateway,
        order_updates=broker,
        market_feed=PaperFeed(prices.feed, broker),
        wide_feed=None if prices.wide_feed is None else PaperWideFeed(prices.wide_feed, broker),
        declare_position=gateway.declare_position,
        line=prices.line,
    )


def _market_of(settings: Settings, line: BrokerLine) -> GatewayLive:
    """Return the real broker, for its quotes."""
    rest = RestSettings(AccountId(settings.credentials.client_id or ""))
    return GatewayLive(
        DhanRestClient(rest, line.timed, line.keeper),
        gateway_seconds=settings.timeouts.gateway_seconds,
    )


def _paper_line(settings: Settings, stack: AsyncExitStack, clock: Clock) -> BrokerLine:
    """Return the line that live prices come over, where there are credentials."""
    if settings.credentials.client_id is None:
        raise ConfigError(
            "paper.ticks: paper mode needs prices; name recorded ones "
            '(paper.ticks = ["NSE_FNO:49543=FILE.csv"]), or give DHAN_CLIENT_ID and '
            "DHAN_ACCESS_TOKEN for the live feed"
        )
    return _line(settings, NO_HOOKS, stack, clock)


def _paper_prices(
    settings: Settings, stack: AsyncExitStack, clock: Clock, instruments: InstrumentSource
) -> _PaperPrices:
    """Return recorded prices where they are set, else the live feed."""
    if not settings.paper.ticks:
        line = _paper_line(settings, stack, clock)
        feed = _dhan_feed(settings, stack, line, clock)
        return _PaperPrices(feed, line, feed)
    recordings = [_recording(source, instruments) for source in settings.paper.ticks]
    paper = settings.paper
    return _PaperPrices(
        ReplayFeed(recordings, clock, speed=paper.speed, is_looping=paper.loop), None
    )


def _recording(source: str, instruments: InstrumentSource) -> Recording:
    name, separator, path = source.partition("=")
    if not separator:
        raise ConfigError(f"paper.ticks: must be SEGMENT:SECURITY_ID=FILE, was {source!r}")
    instrument_id = InstrumentId.from_text(name)
    known = instruments.get(instrument_id)
    tick_size = UNKNOWN_TICK if known is None else known.tick_size
    return read_recording(Path(path), instrument_id, tick_size, setting="paper.ticks")
