"""Make the services that watch prices: rules, account, missing prices, detail, clock, charts."""

from collections.abc import Iterator

from squareoff.assembly.parts import Background, EngineSettings, OrderSide, Ports, Shared
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.quiet_prices import LOUD_FEED
from squareoff.domain.ticks import Tick
from squareoff.services.account.account_guard import AccountGuard, AccountParts
from squareoff.services.exits.exit_all import ExitAll
from squareoff.services.orders.order_update_hub import OrderUpdateHub
from squareoff.services.prices.blind_alarms import BlindAlarms
from squareoff.services.prices.blind_watch import BlindWatch
from squareoff.services.prices.circuit_limit_watch import CircuitLimitWatch
from squareoff.services.prices.market_hours import MarketHours
from squareoff.services.prices.price_details import PriceDetails
from squareoff.services.prices.quote_turns import QuoteTurns
from squareoff.services.prices.risk_manager import RiskManager
from squareoff.services.session.clock_watch import ClockWatch


def risk_manager(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    orders: OrderSide,
    account: AccountGuard,
) -> RiskManager:
    """Return what turns prices into exits."""
    return RiskManager(
        shared.engine,
        ticks=shared.ticks,
        watch=PriceWatch(settings.hygiene, ports.quiet_feed),
        hours=MarketHours(ports.calendar),
        clock=ports.clock,
        rule_clock=shared.rule_clock,
        alarms=shared.alarms,
        metrics=shared.metrics,
        expect_exits=orders.router.queue.expect_exits,
        account=account,
        on_good=ports.on_good_price,
        on_shown=shared.history.note,
    )


def account_guard(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    orders: OrderSide,
    exit_all: ExitAll,
) -> AccountGuard:
    """Return what watches the day's P&L of the account."""
    parts = AccountParts(
        store=ports.store,
        journal=ports.journal,
        exit_all=exit_all,
        kill_switch=shared.kill_switch,
        hours=MarketHours(ports.calendar),
        ticks=shared.ticks,
        alarms=shared.alarms,
        clock=ports.clock,
        rule_clock=shared.rule_clock,
        metrics=shared.metrics,
    )
    return AccountGuard(settings.account_rules, parts, orders.sending.terms.may_send)


def blind_watch(
    settings: EngineSettings,
    ports: Ports,
    shared: Shared,
    risk: RiskManager,
    quotes: QuoteTurns,
) -> BlindWatch | None:
    """Return what notices missing prices, None where no quotes stand beside the feed."""
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
        account_judges_prices=settings.account_rules.judges_prices,
    )


def circuit_limit_watch(
    ports: Ports, shared: Shared, risk: RiskManager, quotes: QuoteTurns
) -> CircuitLimitWatch:
    """Return what keeps the circuit limits those of the day."""
    return CircuitLimitWatch(
        shared.engine.book,
        risk.prices,
        quotes,
        hours=MarketHours(ports.calendar),
        clock=ports.clock,
    )


def price_details(ports: Ports, shared: Shared, risk: RiskManager) -> PriceDetails | None:
    """Return what chooses the detail of prices, None where the feed leaves no choice."""
    if ports.wide_feed is None:
        return None
    return PriceDetails(
        shared.engine.book,
        ports.wide_feed,
        risk.prices.nearness,
        risk.prices.is_near_a_level,
        ports.clock,
    )


def price_looks(
    ports: Ports, shared: Shared, details: PriceDetails | None
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


def keep_warm(
    orders: OrderSide, risk: RiskManager, details: PriceDetails | None, hub: OrderUpdateHub
) -> None:
    """Let the broker's positions be read ahead while a price is near a level."""
    is_near = risk.prices.is_near_a_level if details is None else details.is_any_near
    orders.sending.warm.connect(is_near)
    hub.on_report(orders.sending.strangers.note_report)
    hub.on_connection(orders.sending.strangers.note_connection)


def clock_watch_of(
    ports: Ports, shared: Shared, hub: OrderUpdateHub, risk: RiskManager, orders: OrderSide
) -> ClockWatch | None:
    """Who compares clocks, where there is a real broker's to compare with."""
    if ports.broker_time is None:
        return None
    watch = ClockWatch(
        ports.broker_time, shared.alarms, ports.clock, shared.metrics, shared.rule_clock.trusted
    )
    hub.on_report(watch.note_report)
    watch.on_offset(risk.allow_for_clock)
    watch.on_doubt(lambda: orders.reconciler.request("clock_jumped"))
    return watch
