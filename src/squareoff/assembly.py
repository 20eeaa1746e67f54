"""Put one engine together from its ports. No choice is made here: `bootstrap` chooses the parts,
a simulation brings its own.
Longer than 400 lines because every part of an engine is wired in this one place.
"""

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from squareoff.core.inputs import ExitHindered
from squareoff.core.policy import ExitPolicy
from squareoff.core.price_hygiene import HygieneLimits
from squareoff.core.price_watch import PriceWatch
from squareoff.core.quiet_prices import LOUD_FEED, QuietFeed
from squareoff.core.square_off_times import NO_SQUARE_OFF_TIMES, SquareOffTimes
from squareoff.core.tracker import PositionTracker
from squareoff.domain.account_rules import NO_ACCOUNT_RULES, AccountRules
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.rules import RuleSet
from squareoff.domain.ticks import Tick
from squareoff.ports import (
    Alerts,
    BrokerSession,
    BrokerTime,
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
    WideFeed,
)
from squareoff.services.account_guard import AccountGuard, AccountParts
from squareoff.services.account_lock import AccountLock
from squareoff.services.adoption import Adoption
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.blind_alarms import BlindAlarms
from squareoff.services.blind_watch import BlindWatch
from squareoff.services.broker_reads import BrokerReads
from squareoff.services.claim_sizing import ClaimSizing
from squareoff.services.clock_watch import ClockWatch
from squareoff.services.daily_summary import DailySummary
from squareoff.services.day_range_keeper import DayRangeKeeper
from squareoff.services.desk import DeclarePosition, Desk
from squareoff.services.exit_all import ExitAll
from squareoff.services.exit_engine import ExitEngine
from squareoff.services.exit_metrics import ExitMetrics
from squareoff.services.exit_preview import ExitPreviews
from squareoff.services.fact_log import OnFacts
from squareoff.services.flip_watch import FlipWatch
from squareoff.services.gateway import Gateway
from squareoff.services.kill_switch import WATCH_SECONDS, KillSwitch
from squareoff.services.ltp_resolver import LtpResolver, SharedTicks
from squareoff.services.market_hours import MarketHours
from squareoff.services.metrics import Metrics
from squareoff.services.order_gate import OrderGate
from squareoff.services.order_router import OrderRouter
from squareoff.services.order_update_handler import OrderUpdateHandler
from squareoff.services.order_update_hub import OrderUpdateHub
from squareoff.services.permit_watch import PermitWatch
from squareoff.services.placer import Placer, PlacingParts
from squareoff.services.position_book import PositionBook
from squareoff.services.price_details import PriceDetails
from squareoff.services.price_history import PriceHistory
from squareoff.services.quote_turns import QuoteTurns
from squareoff.services.rate_budget import RateLimits
from squareoff.services.reconciler import ReconcilePace, Reconciler
from squareoff.services.risk_manager import RiskManager
from squareoff.services.screen import Screen, ScreenMarket
from squareoff.services.send_terms import SendTerms
from squareoff.services.session_watch import SessionParts, SessionWatch
from squareoff.services.sizing_readings import SizingReadings
from squareoff.services.supervisor import Supervisor
from squareoff.services.tick_cache import TickCache
from squareoff.services.unknown_orders import UnknownOrders
from squareoff.services.warm_positions import WarmPositions

Background = Callable[[], Coroutine[Any, Any, None]]
"""A task that runs as long as the engine does."""


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
    quiet_feed: QuietFeed = LOUD_FEED
    """The market feed where it keeps quiet prices; `on_tick` hears of the others only."""
    wide_feed: WideFeed | None = None
    """The market feed where it has more than one connection, and a choice of detail."""
    declare_position: DeclarePosition | None = None
    ownership: Ownership | None = None
    session: BrokerSession | None = None
    broker_time: BrokerTime | None = None
    background: tuple[Background, ...] = ()
    quotes_tell_of_the_feed: bool = True
    """Whether the gateway's quotes are a second source beside the feed. Not for recorded prices."""
    on_facts: tuple[OnFacts, ...] = ()
    """Told of the facts of every commit about a position."""
    measured: tuple[Callable[[Metrics], None], ...] = ()
    """Called once with the metrics, to add what only a part outside can measure."""
    tells_the_day: bool = False
    """Whether a summary of the day goes to the alert channels."""


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
    square_off: SquareOffTimes = NO_SQUARE_OFF_TIMES
    account_rules: AccountRules = NO_ACCOUNT_RULES
    kill_switch_watch_seconds: float = WATCH_SECONDS


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
    history: PriceHistory


@dataclass(frozen=True, slots=True)
class _Sending:
    """What sizes exits and lets orders out."""

    placer: Placer
    terms: SendTerms
    claim_sizing: ClaimSizing
    warm: WarmPositions
    readings: SizingReadings
    quotes: QuoteTurns


@dataclass(frozen=True, slots=True)
class _OrderSide:
    """The services between the exit engine and the broker."""

    reads: BrokerReads
    handler: OrderUpdateHandler
    router: OrderRouter
    permit_watch: PermitWatch
    reconciler: Reconciler
    sending: _Sending
    session: SessionWatch | None


def assemble(settings: EngineSettings, ports: Ports) -> Engine:
    """Wire the services of one account. No price is quiet to rules over the account's P&L."""
    if settings.account_rules.judges_prices:
        ports = replace(ports, quiet_feed=LOUD_FEED)
    shared = _shared(settings, ports)
    orders = _order_side(settings, ports, shared)
    exit_all = ExitAll(
        shared.engine,
        shared.kill_switch,
        AccountLock(ports.gateway, orders.reads, ports.store, ports.clock),
        store=ports.store,
        alarms=shared.alarms,
        clock=ports.clock,
        ids=ports.ids,
    )
    supervisor = _supervisor(settings, ports, shared, orders, exit_all)
    screen = Screen(
        shared.engine.book,
        store=ports.store,
        journal=ports.journal,
        market=ScreenMarket(shared.ticks, shared.history, settings.hygiene.stale_after_seconds),
        previews=ExitPreviews(orders.reads, orders.sending, ports.clock, settings.policy),
        clock=ports.clock,
        budget=settings.limits,
    )
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
        exit_all=exit_all,
        reads=orders.reads,
        reconcile=orders.reconciler.reconcile,
        status=supervisor.status,
        screen=screen,
        declare_position=ports.declare_position,
        square_off=settings.square_off,
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
    alarms.connect(lambda tracker_id: _tracker_of(engine, tracker_id))
    for listener in (ExitMetrics(engine.book, metrics, ports.clock).note, *ports.on_facts):
        engine.on_facts(listener)
    for measure in ports.measured:
        measure(metrics)
    return _Shared(
        metrics,
        alarms,
        KillSwitch(ports.store, ports.clock, watch_seconds=settings.kill_switch_watch_seconds),
        TickCache(settings.hygiene.stale_after_seconds, ports.quiet_feed.quiet_prices),
        engine,
        PriceHistory(),
    )


def _tracker_of(engine: ExitEngine, tracker_id: TrackerId) -> PositionTracker | None:
    actor = engine.book.get(tracker_id)
    return None if actor is None else actor.tracker


def _order_side(settings: EngineSettings, ports: Ports, shared: _Shared) -> _OrderSide:
    engine, clock, metrics = shared.engine, ports.clock, shared.metrics
    handler = OrderUpdateHandler(engine, shared.alarms, metrics, UnknownOrders(clock))
    router = OrderRouter(
        ports.gateway,
        OrderGate(engine.book),
        limits=settings.limits,
        clock=clock,
        chance=ports.chance,
        metrics=metrics,
        is_stopped=shared.kill_switch.stops,
    )
    reads = BrokerReads(ports.gateway, engine.book, router.queue.note_read)
    reconciler = Reconciler(
        engine,
        reads,
        handler,
        store=ports.store,
        clock=clock,
        alarms=shared.alarms,
        metrics=metrics,
        pace=settings.pace,
        adoption=_adoption(settings, ports, engine),
    )
    session = _session_watch(settings, ports, shared, reconciler)
    permit_watch = PermitWatch(engine, router.queue, shared.alarms, clock)
    hindrance = (lambda: None) if session is None else session.hindrance
    placing = PlacingParts(router, permit_watch, ports.gateway, reads, handler)
    sending = _sending(settings, ports, shared, placing, reconciler.agreed_age_seconds, hindrance)
    return _OrderSide(reads, handler, router, permit_watch, reconciler, sending, session)


def _sending(
    settings: EngineSettings,
    ports: Ports,
    shared: _Shared,
    parts: PlacingParts,
    agreed_age_seconds: Callable[[PositionKey], float | None],
    hindrance: Callable[[], ExitHindered | None],
) -> _Sending:
    engine, clock, reads = shared.engine, ports.clock, parts.reads
    prices = LtpResolver(
        shared.ticks,
        ports.shared_ticks,
        ports.gateway,
        clock,
        stale_after_seconds=settings.hygiene.stale_after_seconds,
    )
    terms = SendTerms(
        router=parts.router,
        prices=prices,
        calendar=ports.calendar,
        kill_switch=shared.kill_switch,
        clock=clock,
        unknown_orders=parts.handler.unknown_orders,
        session_hindrance=hindrance,
    )
    warm = WarmPositions(engine.book, reads, clock, can_read=lambda: hindrance() is None)
    unknown = parts.handler.unknown_orders
    readings = SizingReadings(engine.book, reads, clock, agreed_age_seconds, warm, unknown)
    placer = Placer(
        engine,
        parts,
        prices=prices,
        readings=readings,
        terms=terms,
        clock=clock,
        checkpoints=ports.checkpoints,
    )
    return _Sending(placer, terms, ClaimSizing(readings, terms), warm, readings, prices.quotes)


def _session_watch(
    settings: EngineSettings, ports: Ports, shared: _Shared, reconciler: Reconciler
) -> SessionWatch | None:
    if ports.session is None:
        return None
    parts = SessionParts(
        session=ports.session,
        engine=shared.engine,
        alarms=shared.alarms,
        calendar=ports.calendar,
        store=ports.store,
        clock=ports.clock,
        metrics=shared.metrics,
        request_backfill=reconciler.request,
    )
    return SessionWatch(parts, orders_go_out=settings.mode == "live")


def _watches(orders: _OrderSide, clock_watch: ClockWatch | None) -> tuple[Background, ...]:
    """Return what runs beside the exits where there is a real broker."""
    session = () if orders.session is None else (orders.session.run,)
    return session if clock_watch is None else (*session, clock_watch.run)


def _clock_watch(
    ports: Ports, shared: _Shared, hub: OrderUpdateHub, risk: RiskManager
) -> ClockWatch | None:
    """Who compares clocks, where there is a real broker's to compare with."""
    if ports.broker_time is None:
        return None
    watch = ClockWatch(ports.broker_time, shared.alarms, ports.clock, shared.metrics)
    hub.on_report(watch.note_report)
    watch.on_offset(risk.allow_for_clock)
    return watch


def _supervisor(
    settings: EngineSettings,
    ports: Ports,
    shared: _Shared,
    orders: _OrderSide,
    exit_all: ExitAll,
) -> Supervisor:
    guard = _account_guard(settings, ports, shared, orders, exit_all)
    risk = _risk_manager(settings, ports, shared, orders, guard)
    hub = OrderUpdateHub(
        ports.order_updates,
        orders.handler,
        clock=ports.clock,
        chance=ports.chance,
        metrics=shared.metrics,
        request_backfill=orders.reconciler.request,
    )
    details = _price_details(ports, shared, risk)
    _keep_warm(orders, risk, details, hub)
    clock_watch = _clock_watch(ports, shared, hub, risk)
    blind = _blind_watch(settings, ports, shared, risk, orders.sending.quotes)
    supervisor = Supervisor(
        account_id=settings.account_id,
        mode=settings.mode,
        store=ports.store,
        journal=ports.journal,
        engine=shared.engine,
        router=orders.router,
        placer=orders.sending.placer,
        terms=orders.sending.terms,
        claim_sizing=orders.sending.claim_sizing,
        risk=risk,
        hub=hub,
        reconciler=orders.reconciler,
        feed=ports.market_feed,
        further_lines=() if ports.wide_feed is None else ports.wide_feed.further_lines,
        kill_switch=shared.kill_switch,
        clock=ports.clock,
        chance=ports.chance,
        metrics=shared.metrics,
        checkpoints=ports.checkpoints,
        alarms=shared.alarms,
        ownership=ports.ownership,
        session=orders.session,
        blind=tuple if blind is None else blind.blind,
        on_tick=(*ports.on_tick, shared.history.note),
        background=(
            *ports.background,
            *_watches(orders, clock_watch),
            *_price_looks(ports, shared, details),
            *_daily(settings, ports, shared),
            *(() if blind is None else (blind.run,)),
            *_background(ports, shared, orders, risk, exit_all),
            guard.run,
            guard.run_firing,
        ),
    )
    if blind is not None:
        blind.connect(supervisor.feed_up_since_ns)
    return supervisor


def _background(
    ports: Ports, shared: _Shared, orders: _OrderSide, risk: RiskManager, exit_all: ExitAll
) -> tuple[Background, ...]:
    """Return what runs beside the exits of every engine."""
    ranges = DayRangeKeeper(
        shared.engine, risk, store=ports.store, journal=ports.journal, clock=ports.clock
    )
    return (
        ranges.run,
        FlipWatch(shared.engine, orders.reads, shared.alarms, ports.clock).run,
        orders.sending.warm.run,
        orders.permit_watch.run,
        shared.kill_switch.run,
        shared.alarms.run,
        exit_all.run,
    )


def _blind_watch(
    settings: EngineSettings,
    ports: Ports,
    shared: _Shared,
    risk: RiskManager,
    quotes: QuoteTurns,
) -> BlindWatch | None:
    if not ports.quotes_tell_of_the_feed:
        return None
    stale_after_seconds = settings.hygiene.stale_after_seconds
    return BlindWatch(
        shared.engine,
        risk,
        quotes,
        BlindAlarms(shared.alarms, ports.clock, stale_after_seconds),
        hours=MarketHours(ports.calendar),
        clock=ports.clock,
        metrics=shared.metrics,
        stale_after_seconds=stale_after_seconds,
    )


def _risk_manager(
    settings: EngineSettings,
    ports: Ports,
    shared: _Shared,
    orders: _OrderSide,
    account: AccountGuard,
) -> RiskManager:
    return RiskManager(
        shared.engine,
        ticks=shared.ticks,
        watch=PriceWatch(settings.hygiene, ports.quiet_feed),
        hours=MarketHours(ports.calendar),
        clock=ports.clock,
        alarms=shared.alarms,
        metrics=shared.metrics,
        expect_exits=orders.router.queue.expect_exits,
        account=account,
    )


def _account_guard(
    settings: EngineSettings,
    ports: Ports,
    shared: _Shared,
    orders: _OrderSide,
    exit_all: ExitAll,
) -> AccountGuard:
    parts = AccountParts(
        store=ports.store,
        journal=ports.journal,
        exit_all=exit_all,
        kill_switch=shared.kill_switch,
        hours=MarketHours(ports.calendar),
        ticks=shared.ticks,
        alarms=shared.alarms,
        clock=ports.clock,
        metrics=shared.metrics,
    )
    return AccountGuard(settings.account_rules, parts, orders.sending.terms.may_send)


def _keep_warm(
    orders: _OrderSide, risk: RiskManager, details: PriceDetails | None, hub: OrderUpdateHub
) -> None:
    """Let the broker's positions be read ahead while a price is near a level."""
    is_near = risk.is_near_a_level if details is None else details.is_any_near
    orders.sending.warm.connect(is_near, lambda: hub.is_connected)
    hub.on_report(orders.sending.warm.note_report)


def _price_details(ports: Ports, shared: _Shared, risk: RiskManager) -> PriceDetails | None:
    """Return what chooses the detail of prices, None where the feed leaves no choice."""
    if ports.wide_feed is None:
        return None
    return PriceDetails(
        shared.engine.book, ports.wide_feed, risk.nearness, risk.is_near_a_level, ports.clock
    )


def _price_looks(
    ports: Ports, shared: _Shared, details: PriceDetails | None
) -> tuple[Background, ...]:
    """Return what looks at prices now and then: for their detail, and for the charts at those that
    a feed keeps to itself."""
    looks: list[Background] = [] if details is None else [details.run]

    def newest() -> Iterator[Tick]:
        watched = {actor.tracker.instrument.instrument_id for actor in shared.engine.book}
        for instrument_id in watched:
            if (tick := shared.ticks.newest(instrument_id)) is not None:
                yield tick

    if ports.quiet_feed is not LOUD_FEED:
        looks.append(lambda: shared.history.run(newest, ports.clock))
    return tuple(looks)


def _daily(settings: EngineSettings, ports: Ports, shared: _Shared) -> tuple[Background, ...]:
    """Return what tells the day, where it is wanted."""
    if not ports.tells_the_day:
        return ()
    book, calendar = shared.engine.book, ports.calendar
    summary = DailySummary(book, ports.store, calendar, ports.clock, ports.alerts, settings.mode)
    return (summary.run,)


def _adoption(settings: EngineSettings, ports: Ports, engine: ExitEngine) -> Adoption | None:
    """Return what takes foreign positions under watch, None where they are left alone."""
    if settings.adopt_rules is None:
        return None
    return Adoption(
        engine,
        settings.account_id,
        rules=settings.adopt_rules,
        square_off=settings.square_off,
        instruments=ports.instruments,
        ids=ports.ids,
    )
