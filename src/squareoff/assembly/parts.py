"""What an engine is put together from, and what the makers hand to each other."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietFeed
from squareoff.core.rules.square_off_times import NO_SQUARE_OFF_TIMES, SquareOffTimes
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.account_rules import NO_ACCOUNT_RULES, AccountRules
from squareoff.domain.ids import AccountId
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
from squareoff.services.account.kill_switch import WATCH_SECONDS, KillSwitch
from squareoff.services.account.local_halt import LocalHalt
from squareoff.services.desk.desk import DeclarePosition, Desk
from squareoff.services.desk.engine_status import EngineStatus
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.fact_log import OnFacts
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.gateway import Gateway
from squareoff.services.orders.order_router import OrderRouter
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.orders.permit_watch import PermitWatch
from squareoff.services.orders.placer import Placer
from squareoff.services.orders.rate_budget import RateLimits
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.claim_sizing import ClaimSizing
from squareoff.services.positions.past_positions import PastPositions
from squareoff.services.positions.reconciler import ReconcilePace, Reconciler
from squareoff.services.positions.sizing_readings import SizingReadings
from squareoff.services.positions.stranger_watch import StrangerWatch
from squareoff.services.positions.warm_positions import WarmPositions
from squareoff.services.prices.ltp_resolver import LtpResolver, SharedTicks
from squareoff.services.prices.price_history import PriceHistory
from squareoff.services.prices.rule_clock import RuleClock
from squareoff.services.prices.tick_cache import TickCache
from squareoff.services.session.session_watch import SessionWatch
from squareoff.services.supervisor import Supervisor

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
    on_good_price: tuple[Callable[[Tick], None], ...] = ()
    """Told of the feed's prices that were judged good."""
    quiet_feed: QuietFeed = LOUD_FEED
    """The market feed where it keeps quiet prices; `on_good_price` hears of the others only."""
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
    status: EngineStatus
    metrics: Metrics
    exit_engine: ExitEngine
    reconciler: Reconciler
    local_halt: LocalHalt


@dataclass(frozen=True, slots=True)
class Shared:
    """What nearly every service of one engine holds."""

    metrics: Metrics
    alarms: AlarmDesk
    kill_switch: KillSwitch
    ticks: TickCache
    engine: ExitEngine
    history: PriceHistory
    rule_clock: RuleClock
    past: PastPositions


@dataclass(frozen=True, slots=True)
class Sending:
    """What sizes exits and lets orders out."""

    placer: Placer
    terms: SendTerms
    claim_sizing: ClaimSizing
    warm: WarmPositions
    strangers: StrangerWatch
    readings: SizingReadings
    prices: LtpResolver


@dataclass(frozen=True, slots=True)
class OrderSide:
    """The services between the exit engine and the broker."""

    reads: BrokerReads
    handler: OrderUpdateHandler
    router: OrderRouter
    permit_watch: PermitWatch
    reconciler: Reconciler
    sending: Sending
    session: SessionWatch | None
