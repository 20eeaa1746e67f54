"""How one engine is doing, and why it may not be ready."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from squareoff import __version__
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock, Ownership
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.desk.views import StatusView
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.circuit_breaker import BreakerState, Endpoint
from squareoff.services.orders.order_update_hub import OrderUpdateHub
from squareoff.services.orders.permit_queue import PermitQueue
from squareoff.services.orders.rate_budget import HORIZONS
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.reconciler import Reconciler
from squareoff.services.prices.feed_lines import FeedLines
from squareoff.services.prices.risk_manager import RiskManager
from squareoff.services.session.session_watch import SessionWatch


class EngineStatus:
    """Asks every part of the engine, from memory.

    Args:
        session: None where the broker knows no session (paper).
        ownership: None where nobody else can own the account.
        blind: the instruments whose prices are missing.
    """

    def __init__(
        self,
        account_id: AccountId,
        mode: str,
        *,
        book: PositionBook,
        queue: PermitQueue,
        terms: SendTerms,
        reconciler: Reconciler,
        risk: RiskManager,
        feed: FeedLines,
        order_stream: OrderUpdateHub,
        kill_switch: KillSwitch,
        session: SessionWatch | None,
        ownership: Ownership | None,
        blind: Callable[[], Iterable[InstrumentId]],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._account_id = account_id
        self._mode = mode
        self._book = book
        self._queue = queue
        self._terms = terms
        self._reconciler = reconciler
        self._risk = risk
        self._feed = feed
        self._order_stream = order_stream
        self._kill_switch = kill_switch
        self._session = session
        self._ownership = ownership
        self._blind = blind
        self._metrics = metrics
        self._clock = clock
        self._started_at_ns = clock.now().wall_ns
        metrics.info.labels(__version__, mode).set(1)
        metrics.before_rendering(self._set_gauges)

    def view(self) -> StatusView:
        """Return how the engine is doing."""
        waiting = self.not_ready_because()
        queue = self._queue
        return StatusView(
            version=__version__,
            mode=self._mode,
            account_id=self._account_id,
            is_ready=not waiting,
            not_ready_because=waiting,
            market_feed="connected" if self._feed.is_connected else "disconnected",
            order_stream="connected" if self._order_stream.is_connected else "disconnected",
            database=self._database_state(),
            breaker=queue.breaker_state().value,
            breakers={each.value: queue.breaker_state(each).value for each in Endpoint},
            permits_waiting=queue.waiting(),
            oldest_exit_wait_seconds=queue.oldest_exit_wait_seconds(),
            budget_used=dict(zip(HORIZONS, queue.budget_used(), strict=True)),
            positions=dict(Counter(actor.tracker.status.value for actor in self._book)),
            reconciled_age_seconds=self._reconciler.age_seconds(),
            last_tick_age_seconds=self._tick_age_seconds(),
            blind_instruments=tuple(sorted(str(name) for name in self._blind())),
            token_expires_ns=None if self._session is None else self._session.expires_ns,
            token_is_refused=self._session is not None and self._session.is_refused,
            kill_switch_active=self._kill_switch.state.active,
            started_at_ns=self._started_at_ns,
            account=self._risk.account_view(),
        )

    def not_ready_because(self) -> tuple[str, ...]:
        """Return what keeps an exit from going out now, or the engine from hearing; none: ready."""
        causes = []
        if self._kill_switch.blocks_exits:
            causes.append("the kill switch stands at level all")
        if self._kill_switch.store_failure is not None:
            causes.append("the database cannot be read")
        elif self._trouble():
            causes.append("the database takes nothing, so nothing may be sent")
        if self._queue.breaker_state() is BreakerState.OPEN:
            causes.append("the circuit breaker holds orders back: the broker does not answer them")
        if not self._terms.may_send.is_set():
            causes.append("the first comparison with the broker's books is not done")
        if self._session is not None and self._session.is_refused:
            causes.append("the broker refuses the access token")
        if not self._feed.is_connected:
            causes.append("the market feed is not connected")
        if not self._order_stream.is_connected:
            causes.append("the order stream is not connected")
        return tuple(causes)

    def _set_gauges(self) -> None:
        self._metrics.tasks.set(len(asyncio.all_tasks()))
        self._metrics.ready.set(0 if self.not_ready_because() else 1)
        self._metrics.kill_switch.set(1 if self._kill_switch.state.active else 0)

    def _tick_age_seconds(self) -> float | None:
        newest_ns = self._risk.newest_tick_ns
        if newest_ns is None:
            return None
        return (self._clock.now().monotonic_ns - newest_ns) / NANOSECONDS_PER_SECOND

    def _database_state(self) -> str:
        failure = self._kill_switch.store_failure
        if failure is not None:
            return f"away: {failure}"
        trouble = self._trouble()
        return f"takes nothing: {trouble}" if trouble else "open"

    def _trouble(self) -> str:
        """Return why the database takes nothing; a full disk can still be read."""
        return "" if self._ownership is None else self._ownership.trouble
