"""Make the services between the exit engine and the broker."""

from collections.abc import Callable

from squareoff.assembly.parts import EngineSettings, OrderSide, Ports, Sending, Shared
from squareoff.core.state.inputs import ExitHindered
from squareoff.services.orders.order_gate import OrderGate
from squareoff.services.orders.order_router import OrderRouter
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.orders.permit_watch import PermitWatch
from squareoff.services.orders.placer import Placer, PlacingParts
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.orders.unknown_orders import UnknownOrders
from squareoff.services.positions.adoption import Adoption
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.claim_sizing import ClaimSizing
from squareoff.services.positions.delivered_shares import DeliveredShares
from squareoff.services.positions.read_pace import ReadPace
from squareoff.services.positions.reconciler import Reconciler
from squareoff.services.positions.sizing_readings import SizingReadings
from squareoff.services.positions.stranger_watch import StrangerWatch
from squareoff.services.positions.warm_positions import WarmPositions
from squareoff.services.prices.ltp_resolver import LtpResolver
from squareoff.services.session.session_watch import SessionParts, SessionWatch


def order_side(settings: EngineSettings, ports: Ports, shared: Shared) -> OrderSide:
    """Return the services between the exit engine and the broker."""
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
    delivered = DeliveredShares(engine.book, ports.journal, clock)
    pace = ReadPace(clock, settings.limits.reads_per_second)
    reads = BrokerReads(ports.gateway, engine.book, pace, router.queue.note_read, delivered)
    reconciler = Reconciler(
        engine,
        reads,
        handler,
        store=ports.store,
        clock=clock,
        alarms=shared.alarms,
        metrics=metrics,
        pace=settings.pace,
        adoption=_adoption(settings, ports, shared),
    )
    session = _session_watch(settings, ports, shared, reconciler)
    if session is not None:
        router.on_refused(session.note_refusal)
    permit_watch = PermitWatch(engine, router.queue, shared.alarms, clock)
    hindrance = (lambda: None) if session is None else session.hindrance
    placing = PlacingParts(router, permit_watch, reads, handler)
    sending = _sending(settings, ports, shared, placing, reconciler, hindrance)
    return OrderSide(reads, handler, router, permit_watch, reconciler, sending, session)


def _sending(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    parts: PlacingParts,
    reconciler: Reconciler,
    hindrance: Callable[[], ExitHindered | None],
) -> Sending:
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
        holds_up_chase=reconciler.foreign_closes.holds_up_chase,
        are_exits_oversized=reconciler.foreign_closes.are_exits_oversized,
    )
    strangers = StrangerWatch(engine.book, clock)
    reconciler.on_short(strangers.note_missing)
    reads.on_order_book(strangers.note_book)
    warm = WarmPositions(engine.book, reads, strangers, clock, can_read=lambda: hindrance() is None)
    unknown = parts.handler.unknown_orders
    readings = SizingReadings(
        engine.book,
        reads,
        clock,
        reconciler.agreed_age_seconds,
        warm,
        unknown,
        reconciler.foreign_closes.settle_ended_days,
        strangers,
    )
    placer = Placer(
        engine,
        parts,
        prices=prices,
        readings=readings,
        terms=terms,
        strangers=strangers,
        clock=clock,
        checkpoints=ports.checkpoints,
    )
    sizing = ClaimSizing(readings, terms)
    return Sending(placer, terms, sizing, warm, strangers, readings, prices)


def _session_watch(
    settings: EngineSettings, ports: Ports, shared: Shared, reconciler: Reconciler
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


def _adoption(settings: EngineSettings, ports: Ports, shared: Shared) -> Adoption | None:
    """Return what takes foreign positions under watch, None where they are left alone."""
    if settings.adopt_rules is None:
        return None
    return Adoption(
        shared.engine,
        settings.account_id,
        rules=settings.adopt_rules,
        square_off=settings.square_off,
        instruments=ports.instruments,
        clock=ports.clock,
        ids=ports.ids,
        alarms=shared.alarms,
    )
