"""Put one engine together from its ports. No choice is made here: `bootstrap` chooses the parts,
a simulation brings its own.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from squareoff.core.opening import NewPosition
from squareoff.core.policy import ExitPolicy
from squareoff.core.price_hygiene import HygieneLimits
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.orders import BrokerPosition, PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.domain.ticks import Tick
from squareoff.ports import (
    Alerts,
    Chance,
    Checkpoints,
    Clock,
    IdSource,
    InstrumentSource,
    Journal,
    MarketFeed,
    OrderUpdates,
    Ownership,
    SessionCalendar,
    TrackerStore,
)
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.broker_reads import BrokerReads
from squareoff.services.desk import DeclarePosition, Desk
from squareoff.services.exit_engine import ExitEngine
from squareoff.services.flip_watch import FlipWatch
from squareoff.services.gateway import Gateway
from squareoff.services.kill_switch import KillSwitch
from squareoff.services.ltp_resolver import LtpResolver, SharedTicks
from squareoff.services.metrics import Metrics
from squareoff.services.order_router import OrderRouter
from squareoff.services.order_update_handler import OrderUpdateHandler
from squareoff.services.order_update_hub import OrderUpdateHub
from squareoff.services.placer import Placer
from squareoff.services.position_book import PositionBook
from squareoff.services.rate_budget import RateLimits
from squareoff.services.reconciler import ReconcilePace, Reconciler
from squareoff.services.risk_manager import RiskManager
from squareoff.services.supervisor import Supervisor
from squareoff.services.tick_cache import TickCache
from squareoff.services.trailing_engine import TrailingEngine


@dataclass(frozen=True, slots=True)
class Ports:
    """The world of one engine."""

    store: TrackerStore
    journal: Journal
    gateway: Gateway
    order_updates: OrderUpdates
    market_feed: MarketFeed
    instruments: InstrumentSource
    calendar: SessionCalendar
    clock: Clock
    ids: IdSource
    chance: Chance
    checkpoints: Checkpoints
    alerts: tuple[Alerts, ...] = ()
    shared_ticks: SharedTicks | None = None
    on_tick: tuple[Callable[[Tick], None], ...] = ()
    declare_position: DeclarePosition | None = None
    ownership: Ownership | None = None
    background: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is set to. `adopt_rules` is None where foreign positions are left alone."""

    account_id: AccountId
    mode: str
    policy: ExitPolicy = field(default_factory=ExitPolicy)
    limits: RateLimits = field(default_factory=RateLimits)
    hygiene: HygieneLimits = field(default_factory=HygieneLimits)
    pace: ReconcilePace = field(default_factory=ReconcilePace)
    adopt_rules: RuleSet | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: `supervisor.run()` runs it, `desk` is what it answers to."""

    supervisor: Supervisor
    desk: Desk
    metrics: Metrics
    exit_engine: ExitEngine
    reconciler: Reconciler


@dataclass(frozen=True, slots=True)
class _Shared:
    """What nearly every service of one engine holds."""

    metrics: Metrics
    alarms: AlarmDesk
    kill_switch: KillSwitch
    ticks: TickCache
    engine: ExitEngine


@dataclass(frozen=True, slots=True)
class _OrderSide:
    """The services between the exit engine and the broker."""

    reads: BrokerReads
    handler: OrderUpdateHandler
    router: OrderRouter
    reconciler: Reconciler
    placer: Placer


def assemble(settings: EngineSettings, ports: Ports) -> Engine:
    """Wire the services of one account."""
    shared = _shared(settings, ports)
    orders = _order_side(settings, ports, shared)
    supervisor = _supervisor(settings, ports, shared, orders)
    desk = Desk(
        account_id=settings.account_id,
        engine=shared.engine,
        store=ports.store,
        journal=ports.journal,
        instruments=ports.instruments,
        ticks=shared.ticks,
        clock=ports.clock,
        ids=ports.ids,
        alarms=shared.alarms,
        kill_switch=shared.kill_switch,
        metrics=shared.metrics,
        reconcile=orders.reconciler.reconcile,
        status=supervisor.status,
        declare_position=ports.declare_position,
    )
    return Engine(supervisor, desk, shared.metrics, shared.engine, orders.reconciler)


def _shared(settings: EngineSettings, ports: Ports) -> _Shared:
    metrics = Metrics()
    alarms = AlarmDesk(ports.store, ports.alerts, ports.clock, metrics)
    engine = ExitEngine(
        PositionBook(),
        ports.store,
        clock=ports.clock,
        ids=ports.ids,
        policy=settings.policy,
        alarms=alarms,
        metrics=metrics,
        checkpoints=ports.checkpoints,
    )
    return _Shared(
        metrics,
        alarms,
        KillSwitch(ports.store, ports.clock),
        TickCache(settings.hygiene.stale_after_seconds),
        engine,
    )


def _order_side(settings: EngineSettings, ports: Ports, shared: _Shared) -> _OrderSide:
    engine, clock, metrics = shared.engine, ports.clock, shared.metrics
    reads = BrokerReads(ports.gateway, engine.book)
    handler = OrderUpdateHandler(engine, shared.alarms, metrics)
    router = OrderRouter(
        ports.gateway,
        limits=settings.limits,
        clock=clock,
        chance=ports.chance,
        metrics=metrics,
        is_stopped=shared.kill_switch.stops,
    )
    reconciler = Reconciler(
        engine,
        reads,
        handler,
        store=ports.store,
        clock=clock,
        alarms=shared.alarms,
        metrics=metrics,
        pace=settings.pace,
        adopt=_adopter(settings, ports, engine),
    )
    prices = LtpResolver(
        shared.ticks,
        ports.shared_ticks,
        ports.gateway,
        clock,
        stale_after_seconds=settings.hygiene.stale_after_seconds,
    )
    placer = Placer(
        engine,
        router=router,
        gateway=ports.gateway,
        reads=reads,
        prices=prices,
        handler=handler,
        calendar=ports.calendar,
        kill_switch=shared.kill_switch,
        clock=clock,
        checkpoints=ports.checkpoints,
        reconciled_age_seconds=reconciler.age_seconds,
    )
    return _OrderSide(reads, handler, router, reconciler, placer)


def _supervisor(
    settings: EngineSettings, ports: Ports, shared: _Shared, orders: _OrderSide
) -> Supervisor:
    risk = RiskManager(
        shared.engine,
        ticks=shared.ticks,
        trailing=TrailingEngine(),
        limits=settings.hygiene,
        clock=ports.clock,
        alarms=shared.alarms,
        metrics=shared.metrics,
    )
    hub = OrderUpdateHub(
        ports.order_updates,
        orders.handler,
        clock=ports.clock,
        chance=ports.chance,
        metrics=shared.metrics,
        request_backfill=orders.reconciler.request,
    )
    flip_watch = FlipWatch(shared.engine, orders.reads, shared.alarms, ports.clock)
    return Supervisor(
        account_id=settings.account_id,
        mode=settings.mode,
        store=ports.store,
        engine=shared.engine,
        router=orders.router,
        placer=orders.placer,
        risk=risk,
        hub=hub,
        reconciler=orders.reconciler,
        feed=ports.market_feed,
        kill_switch=shared.kill_switch,
        clock=ports.clock,
        chance=ports.chance,
        metrics=shared.metrics,
        checkpoints=ports.checkpoints,
        ownership=ports.ownership,
        on_tick=ports.on_tick,
        background=(*ports.background, flip_watch.run),
    )


def _adopter(
    settings: EngineSettings, ports: Ports, engine: ExitEngine
) -> Callable[[BrokerPosition], Awaitable[None]] | None:
    """Return what takes a foreign position under watch, None where they are left alone."""
    rules = settings.adopt_rules
    if rules is None:
        return None

    async def adopt(row: BrokerPosition) -> None:
        instrument = ports.instruments.get(row.instrument_id)
        if instrument is None:
            return  # without lot and tick no exit could be priced; the mismatch is alarmed
        long = row.net_quantity > 0
        await engine.open(
            NewPosition(
                tracker_id=TrackerId(ports.ids.new_id("trk")),
                account_id=settings.account_id,
                instrument=instrument,
                product_type=row.product_type,
                side=PositionSide.LONG if long else PositionSide.SHORT,
                quantity=abs(row.net_quantity),
                entry_price=row.buy_average if long else row.sell_average,
                rules=rules,
            )
        )

    return adopt
