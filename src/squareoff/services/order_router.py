"""The one way to the broker for order writes: permits, retries, breaker, one result type.

Answers for: who may write next (exits first by urgency, then largest risk), at what rate, and what
is tried again. Only a write that is proved not to have left is tried again.
Invariants:
1. Never more writes in any window than the limits.
2. A write whose outcome is unknown is made once.
3. An open breaker delays exits; it never refuses them.
4. While writes are stopped (kill switch) no try begins, not even a retry; cancels still go.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import structlog

from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    Sent,
)
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import (
    OrderModification,
    OrderRequest,
    PlacementAnswer,
)
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Chance, Clock
from squareoff.services.gateway import Gateway, read_gateway_answer
from squareoff.services.metrics import Metrics
from squareoff.services.rate_budget import BreakerState, CircuitBreaker, RateBudget, RateLimits

_log = structlog.get_logger("squareoff.order_router")
ATTEMPTS_MAX = 3
RETRY_BASE_SECONDS = 0.2
RATE_LIMITED_PAUSE_SECONDS = 1.0
"""The broker gives no Retry-After; its shortest window is a second (dhanhq-v2.md 9.1)."""

RETRY_PERMIT_SECONDS_MAX = 5.0
"""A retry that waits longer for its turn is given up: nothing has left, and what was sized by then
may have been closed by hand. The position sizes it anew."""


class RouterOutcome(str, Enum):
    """What became of one order write."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RouterResult:
    """The one result of every order write. `attempts` counts tries, `code` and `text` are the
    broker's; `block_reason` says what stood in the way where nothing was sent."""

    outcome: RouterOutcome
    broker_order_id: BrokerOrderId | None = None
    code: str = ""
    text: str = ""
    attempts: int = 1
    block_reason: BlockReason | None = None


class OrderRouter:
    """Queues, paces and retries the order writes of one account."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        limits: RateLimits,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        is_stopped: Callable[[Urgency], bool] = lambda urgency: False,
    ) -> None:
        self._gateway = gateway
        self._is_stopped = is_stopped
        self._budget = RateBudget(limits)
        self._breaker = CircuitBreaker()
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._waiting: list[tuple[int, Decimal, int, Urgency, asyncio.Future[None]]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None

    async def permit(self, urgency: Urgency, risk: Decimal = Decimal(0)) -> None:
        """Wait until a write of this urgency may go; whoever returns from here must write or
        call `return_permit`."""
        asked_ns = self._clock.now().monotonic_ns
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._waiting, (urgency.value, -risk, self._order, urgency, future))
        self._pump()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.return_permit()
            raise
        waited = (self._clock.now().monotonic_ns - asked_ns) / NANOSECONDS_PER_SECOND
        self._metrics.permit_wait_seconds.labels(urgency.name.lower()).observe(waited)

    def return_permit(self) -> None:
        """The permit was not used; its place in the budget stays counted, which errs to safety."""
        self._breaker.note_unused()
        self._pump()

    def _pump(self) -> None:
        """Let through whoever may go now; come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            urgency, future = self._waiting[0][3], self._waiting[0][4]
            if future.done():
                heapq.heappop(self._waiting)
                continue
            now_ns = self._clock.now().monotonic_ns
            breaker_wait = self._breaker.wait_ns(now_ns)
            if breaker_wait is None:
                return  # the probe's answer will pump again
            wait_ns = max(breaker_wait, self._budget.wait_ns(now_ns, urgency))
            if wait_ns > 0:
                delay = wait_ns / NANOSECONDS_PER_SECOND
                self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
                return
            heapq.heappop(self._waiting)
            self._budget.take(now_ns)
            self._breaker.note_permit(now_ns)
            future.set_result(None)

    @property
    def breaker_state(self) -> BreakerState:
        """Where the breaker stands now."""
        return self._breaker.state(self._clock.now().monotonic_ns)

    @property
    def waiting_count(self) -> int:
        """How many writes wait for a permit."""
        return sum(1 for entry in self._waiting if not entry[4].done())

    def budget_used(self) -> tuple[int, ...]:
        """Return the writes counted per second, minute, hour and day."""
        return self._budget.used()

    async def exit_market(self, request: OrderRequest, urgency: Urgency) -> RouterResult:
        """Place an exit whose permit was granted. Never raises BrokerError."""
        return await self._write(
            "exit", lambda: self._gateway.exit_market(request), urgency, has_permit=True
        )

    async def place_market(self, request: OrderRequest) -> RouterResult:
        """Place an entry whose permit was granted. Never raises BrokerError."""
        return await self._write(
            "entry", lambda: self._gateway.place_market(request), Urgency.ENTRY, has_permit=True
        )

    async def modify_order(self, modification: OrderModification, urgency: Urgency) -> RouterResult:
        """Modify an order; its permit was granted. Success means requested."""

        async def write() -> bool:
            await self._gateway.modify_order(modification)
            return True

        return await self._write("modify", write, urgency, has_permit=True)

    async def cancel_order(self, broker_order_id: BrokerOrderId, urgency: Urgency) -> RouterResult:
        """Cancel an order; waits for a permit of its own. Success means requested."""

        async def write() -> bool:
            await self._gateway.cancel_order(broker_order_id)
            return True

        return await self._write("cancel", write, urgency, has_permit=False)

    async def _write(
        self,
        operation: str,
        write: Callable[[], Awaitable[object]],
        urgency: Urgency,
        *,
        has_permit: bool,
    ) -> RouterResult:
        if not has_permit:
            await self.permit(urgency)
        attempt = 1
        while True:
            if operation != "cancel" and self._is_stopped(urgency):
                self.return_permit()
                result = _stopped_result(attempt - 1)
                break
            result, pause = await self._attempt(write, attempt)
            if result.outcome is not RouterOutcome.NOT_SENT or attempt == ATTEMPTS_MAX:
                break
            await self._clock.sleep(pause)
            if not await self._has_permit_to_retry(urgency):
                break
            attempt += 1
            self._metrics.router_retries.labels(operation).inc()
        self._metrics.router_calls.labels(operation, result.outcome.value).inc()
        _log.info(
            "order_write",
            operation=operation,
            outcome=result.outcome.value,
            attempts=result.attempts,
            code=result.code,
            text=result.text,
        )
        return result

    async def _has_permit_to_retry(self, urgency: Urgency) -> bool:
        try:
            async with asyncio.timeout(RETRY_PERMIT_SECONDS_MAX):
                await self.permit(urgency)
        except TimeoutError:
            return False
        return True

    async def _attempt(
        self, write: Callable[[], Awaitable[object]], attempt: int
    ) -> tuple[RouterResult, float]:
        """Make one try; return its result and the pause before another, should there be one."""
        pause = self._chance.uniform(0.0, RETRY_BASE_SECONDS * 2 ** (attempt - 1))
        try:
            result = _result_of_answer(read_gateway_answer(await _made(write)), attempt)
        except BrokerRateLimited as error:
            result = _result_of_error(error, attempt)
            pause += RATE_LIMITED_PAUSE_SECONDS
        except BrokerError as error:
            result = _result_of_error(error, attempt)
        self._note_health(result)
        return result, pause

    def _note_health(self, result: RouterResult) -> None:
        answered = result.outcome in (RouterOutcome.ACCEPTED, RouterOutcome.REFUSED)
        if answered or result.block_reason is BlockReason.TOKEN_DEAD:
            self._breaker.note_answer()
        else:
            self._breaker.note_failure(self._clock.now().monotonic_ns)
        is_open = self.breaker_state is not BreakerState.CLOSED
        self._metrics.breaker_open.set(1 if is_open else 0)
        self._pump()


async def _made(write: Callable[[], Awaitable[object]]) -> object:
    """Make one try; an exception that nobody foresaw proves nothing, so the write may have left."""
    try:
        return await write()
    except BrokerError:
        raise
    except Exception as error:
        text = f"the gateway failed with {type(error).__name__}: {error}"
        raise BrokerOutcomeUnknown(text) from error


def _stopped_result(attempts: int) -> RouterResult:
    text = "the kill switch was thrown before it left"
    reason = BlockReason.KILL_SWITCH
    return RouterResult(RouterOutcome.NOT_SENT, None, "", text, attempts, reason)


def _result_of_answer(answer: PlacementAnswer | bool | None, attempt: int) -> RouterResult:
    match answer:
        case PlacementAnswer(broker_order_id):
            return RouterResult(RouterOutcome.ACCEPTED, broker_order_id, attempts=attempt)
        case True:
            return RouterResult(RouterOutcome.ACCEPTED, attempts=attempt)
        case False:
            return RouterResult(RouterOutcome.REFUSED, text="the gateway refused", attempts=attempt)
        case None:
            text = "the gateway's answer makes no sense"
            return RouterResult(RouterOutcome.UNKNOWN, text=text, attempts=attempt)


def _result_of_error(error: BrokerError, attempt: int) -> RouterResult:
    code, text = error.code, error.text or str(error)
    if isinstance(error, BrokerRejected):
        return RouterResult(RouterOutcome.REFUSED, None, code, text, attempt)
    if error.sent is Sent.NO:
        reason = (
            BlockReason.TOKEN_DEAD
            if isinstance(error, BrokerSessionExpired)
            else BlockReason.BROKER_UNREACHABLE
        )
        return RouterResult(RouterOutcome.NOT_SENT, None, code, text, attempt, reason)
    return RouterResult(RouterOutcome.UNKNOWN, None, code, text, attempt)
