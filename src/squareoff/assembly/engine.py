"""Put one engine together from its ports."""

from dataclasses import replace

from squareoff.assembly.order_side import order_side
from squareoff.assembly.parts import Background, Engine, EngineSettings, OrderSide, Ports, Shared
from squareoff.assembly.price_side import (
    account_guard,
    blind_watch,
    circuit_limit_watch,
    clock_watch_of,
    keep_warm,
    price_details,
    price_looks,
    risk_manager,
)
from squareoff.core.prices.quiet_prices import LOUD_FEED
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.services.account.broker_lock import BrokerLock
from squareoff.services.account.daily_summary import DailySummary
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.account.local_halt import LocalHalt
from squareoff.services.desk.desk import Desk
from squareoff.services.desk.engine_status import EngineStatus
from squareoff.services.desk.exit_preview import ExitPreviews
from squareoff.services.desk.rule_admission import RuleAdmission
from squareoff.services.desk.screen import Screen, ScreenMarket
from squareoff.services.exits.exit_all import ExitAll
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.exits.exit_metrics import ExitMetrics
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.order_update_hub import OrderUpdateHub
from squareoff.services.positions.flip_watch import FlipWatch
from squareoff.services.positions.past_positions import PastPositions
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.best_price_keeper import BestPriceKeeper
from squareoff.services.prices.blind_watch import BlindWatch
from squareoff.services.prices.day_range_keeper import DayRangeKeeper
from squareoff.services.prices.feed_intake import FeedIntake
from squareoff.services.prices.feed_lines import FeedLines
from squareoff.services.prices.price_history import PriceHistory
from squareoff.services.prices.risk_manager import RiskManager
from squareoff.services.prices.rule_clock import RuleClock
from squareoff.services.prices.tick_cache import TickCache
from squareoff.services.session.clock_watch import ClockWatch
from squareoff.services.supervisor import Supervisor


def assemble(settings: EngineSettings, ports: Ports) -> Engine:
    """Wire the services of one account. No price is quiet to rules over the account's P&L."""
    if settings.account_rules.judges_prices:
        ports = replace(ports, quiet_feed=LOUD_FEED)
    shared = _shared(settings, ports)
    orders = order_side(settings, ports, shared)
    exit_all = ExitAll(
        shared.engine,
        shared.kill_switch,
        BrokerLock(ports.gateway, orders.reads, ports.store, ports.clock),
        store=ports.store,
        alarms=shared.alarms,
        clock=ports.clock,
        ids=ports.ids,
        expect_exits=orders.router.queue.expect_exits,
    )
    shared.past.on_let_go(orders.handler.forget)
    supervisor, status = _supervisor(settings, ports, shared, orders, exit_all)
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
        status=status,
        screen=screen,
        past=shared.past,
        declare_position=ports.declare_position,
        square_off=settings.square_off,
        admission=RuleAdmission(
            shared.ticks,
            shared.engine.book,
            orders.sending.prices.quotes,
            ports.clock,
            ports.calendar,
        ),
    )
    local_halt = LocalHalt(shared.kill_switch, shared.alarms)
    return Engine(
        supervisor, desk, status, shared.metrics, shared.engine, orders.reconciler, local_halt
    )


def _shared(settings: EngineSettings, ports: Ports) -> Shared:
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
    for listener in (ExitMetrics(engine.book, metrics).note, *ports.on_facts):
        engine.on_facts(listener)
    for measure in ports.measured:
        measure(metrics)
    rule_clock = RuleClock(ports.clock)
    return Shared(
        metrics,
        alarms,
        KillSwitch(ports.store, ports.clock, watch_seconds=settings.kill_switch_watch_seconds),
        TickCache(settings.hygiene.stale_after_seconds, ports.quiet_feed.quiet_prices),
        engine,
        PriceHistory(),
        rule_clock,
        PastPositions(
            engine.book,
            store=ports.store,
            journal=ports.journal,
            clock=ports.clock,
            rule_clock=rule_clock,
        ),
    )


def _tracker_of(engine: ExitEngine, tracker_id: TrackerId) -> PositionTracker | None:
    actor = engine.book.get(tracker_id)
    return None if actor is None else actor.tracker


def _supervisor(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    orders: OrderSide,
    exit_all: ExitAll,
) -> tuple[Supervisor, EngineStatus]:
    guard = account_guard(settings, ports, shared, orders, exit_all)
    shared.engine.on_facts(guard.on_facts)
    risk = risk_manager(settings, ports, shared, orders, guard)
    orders.sending.prices.know_limits(risk.prices.limits_of)
    hub = OrderUpdateHub(
        ports.order_updates,
        orders.handler,
        clock=ports.clock,
        chance=ports.chance,
        metrics=shared.metrics,
        request_backfill=orders.reconciler.request,
    )
    details = price_details(ports, shared, risk)
    keep_warm(orders, risk, details, hub)
    clock_watch = clock_watch_of(ports, shared, hub, risk, orders)
    blind = blind_watch(settings, ports, shared, risk, orders.sending.prices.quotes)
    feed_lines = _feed_lines(ports, shared)
    if orders.session is not None:
        orders.session.on_new_token(feed_lines.note_new_token)
    if blind is not None:
        blind.connect(lambda: feed_lines.up_since_ns)
    status = _status(settings, ports, shared, orders, risk, feed_lines, hub, blind)
    supervisor = Supervisor(
        mode=settings.mode,
        store=ports.store,
        journal=ports.journal,
        engine=shared.engine,
        past=shared.past,
        router=orders.router,
        placer=orders.sending.placer,
        terms=orders.sending.terms,
        claim_sizing=orders.sending.claim_sizing,
        risk=risk,
        hub=hub,
        reconciler=orders.reconciler,
        feed_lines=feed_lines,
        intake=FeedIntake(ports.market_feed, shared.engine.book, risk, shared.metrics),
        kill_switch=shared.kill_switch,
        clock=ports.clock,
        checkpoints=ports.checkpoints,
        alarms=shared.alarms,
        ownership=ports.ownership,
        background=(
            *ports.background,
            *_watches(orders, clock_watch),
            *price_looks(ports, shared, details),
            *_daily(settings, ports, shared),
            *_quote_watches(ports, shared, orders, risk, blind),
            *_background(ports, shared, orders, risk, exit_all),
            guard.run,
            guard.run_firing,
        ),
    )
    return supervisor, status


def _feed_lines(ports: Ports, shared: Shared) -> FeedLines:
    return FeedLines(
        ports.market_feed,
        () if ports.wide_feed is None else ports.wide_feed.lines,
        clock=ports.clock,
        chance=ports.chance,
        alarms=shared.alarms,
        metrics=shared.metrics,
    )


def _status(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    orders: OrderSide,
    risk: RiskManager,
    feed_lines: FeedLines,
    hub: OrderUpdateHub,
    blind: BlindWatch | None,
) -> EngineStatus:
    return EngineStatus(
        settings.account_id,
        settings.mode,
        book=shared.engine.book,
        queue=orders.router.queue,
        terms=orders.sending.terms,
        reconciler=orders.reconciler,
        risk=risk,
        feed=feed_lines,
        order_stream=hub,
        kill_switch=shared.kill_switch,
        session=orders.session,
        ownership=ports.ownership,
        blind=tuple if blind is None else blind.blind,
        metrics=shared.metrics,
        clock=ports.clock,
    )


def _watches(orders: OrderSide, clock_watch: ClockWatch | None) -> tuple[Background, ...]:
    """Return what runs beside the exits where there is a real broker."""
    session = () if orders.session is None else (orders.session.run,)
    return session if clock_watch is None else (*session, clock_watch.run)


def _quote_watches(
    ports: Ports,
    shared: Shared,
    orders: OrderSide,
    risk: RiskManager,
    blind: BlindWatch | None,
) -> tuple[Background, ...]:
    """Return what asks for quotes beside the exits, where quotes stand beside the feed."""
    if blind is None:
        return ()
    limits = circuit_limit_watch(ports, shared, risk, orders.sending.prices.quotes)
    return (blind.run, limits.run)


def _background(
    ports: Ports, shared: Shared, orders: OrderSide, risk: RiskManager, exit_all: ExitAll
) -> tuple[Background, ...]:
    """Return what runs beside the exits of every engine."""
    ranges = DayRangeKeeper(
        shared.engine, risk, store=ports.store, journal=ports.journal, clock=ports.clock
    )
    return (
        ranges.run,
        BestPriceKeeper(shared.engine, risk, ports.clock).run,
        shared.past.run,
        FlipWatch(shared.engine, orders.reads, shared.alarms, ports.clock).run,
        orders.sending.warm.run,
        orders.permit_watch.run,
        shared.kill_switch.run,
        shared.alarms.run,
        exit_all.run,
    )


def _daily(settings: EngineSettings, ports: Ports, shared: Shared) -> tuple[Background, ...]:
    """Return what tells the day, where it is wanted."""
    if not ports.tells_the_day:
        return ()
    book, calendar = shared.engine.book, ports.calendar
    summary = DailySummary(book, ports.store, calendar, ports.clock, ports.alerts, settings.mode)
    return (summary.run,)
