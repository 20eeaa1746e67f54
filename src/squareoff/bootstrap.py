"""Choose the parts of one engine from its settings: the only place where parts are chosen.

`open_engine` opens everything that has to be closed again, in order, and closes it in reverse,
whatever happens in between.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from squareoff.adapters.alerts import AppriseAlerts
from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.credentials import FileToken, FixedToken, TokenSource
from squareoff.adapters.broker.dhan.instrument_source import InstrumentSettings, load_instruments
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.calendar import AlwaysOpen, ExchangeCalendar
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.adapters.redis.tick_store import RedisTickStore
from squareoff.adapters.replay import ReplayFeed
from squareoff.adapters.sql.database import Database, open_database
from squareoff.adapters.sql.locks import AccountLock
from squareoff.adapters.sql.migrations import prepare
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import (
    RandomIds,
    SystemChance,
    SystemClock,
    checkpoints_from_environment,
)
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.config import Settings
from squareoff.core.policy import ExitPolicy
from squareoff.core.price_hygiene import HygieneLimits
from squareoff.domain.account_rules import NO_ACCOUNT_RULES
from squareoff.domain.errors import ConfigError
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import OrderType
from squareoff.domain.ticks import Tick
from squareoff.ports import (
    BrokerClient,
    Clock,
    InstrumentSource,
    MarketFeed,
    OrderUpdates,
    SessionCalendar,
)
from squareoff.services.gateway import GatewayLive, GatewayPaper
from squareoff.services.rate_budget import RateLimits
from squareoff.services.reconciler import ReconcilePace

PAPER_ACCOUNT = AccountId("PAPER")
"""The account id of paper trading without broker credentials."""

REHEARSAL_KILL_VARIABLE = "SQUAREOFF_REHEARSAL_KILL_AT"
"""`point:n`: rehearsals let the engine kill itself at a named point. Never set it otherwise."""


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Open one engine; run it with `engine.supervisor.run()`.

    Raises:
        ConfigError: a setting cannot be served; nothing was opened.
        AccountLocked: another engine owns this account on this database.
        SchemaMismatch: the database is of another version.
        StoreUnavailable: the database cannot be reached.
    """
    refuse_unserved(settings)
    async with AsyncExitStack() as stack:
        yield await _open(settings, stack)


def refuse_unserved(settings: Settings) -> None:
    """Refuse settings that this version reads but does not yet act on: silence would be a lie.

    Raises:
        ConfigError: one line per setting.
    """
    faults = []
    if settings.account_rules != NO_ACCOUNT_RULES:
        faults.append("account_rules: not served by this version; remove the table")
    if settings.over_exit_action != "alarm":
        faults.append("over_exit_action: only 'alarm' is served by this version")
    if settings.credentials.pin or settings.credentials.totp_secret:
        faults.append(
            "DHAN_PIN, DHAN_TOTP_SECRET: renewal is not served by this version; use "
            "DHAN_ACCESS_TOKEN_FILE and replace the file's content"
        )
    if faults:
        raise ConfigError(faults)


def account_of(settings: Settings) -> AccountId:
    """Return the account these settings trade."""
    if settings.credentials.client_id:
        return AccountId(settings.credentials.client_id)
    return PAPER_ACCOUNT


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
    )


async def _open(settings: Settings, stack: AsyncExitStack) -> Engine:
    clock, account_id = SystemClock(), account_of(settings)
    database = open_database(settings.database_url.get_secret_value())
    stack.push_async_callback(database.close)
    await prepare(database)
    lock = AccountLock(database, account_id)
    await lock.acquire()
    stack.push_async_callback(lock.release)
    instruments = await _instruments(settings, clock)
    shared_ticks = await _shared_ticks(settings, stack)
    store = SqlStore(database.runner, account_id)
    make = _live_ports if settings.mode == "live" else _paper_ports
    parts = await make(settings, stack, clock, database)
    ports = Ports(
        store=store,
        journal=store,
        gateway=parts.gateway,
        order_updates=parts.order_updates,
        market_feed=parts.market_feed,
        instruments=instruments,
        calendar=_calendar(settings),
        clock=clock,
        ids=RandomIds(),
        chance=SystemChance(),
        checkpoints=checkpoints_from_environment(os.environ.get(REHEARSAL_KILL_VARIABLE)),
        alerts=(),
        shared_ticks=shared_ticks,
        share_tick=_both(parts.on_tick, None if shared_ticks is None else shared_ticks.put_nowait),
        declare_position=parts.declare_position,
    )
    return assemble(engine_settings(settings), ports)
