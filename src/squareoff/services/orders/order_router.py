"""The one way to the broker for order writes: permits, last gate, retries, one result type.

Answers for: that every write has a permit (`permit_queue`), passes the gate (`order_gate`), and
what is tried again. Only a write that is proved not to have left is tried again.
Invariants:
1. Never more writes in any window than the limits, over restarts too (`load_budget`).
2. A write whose outcome is unknown is made once.
3. An open breaker delays exits; it never refuses them.
4. While writes are stopped (kill switch) no try begins, not even a retry; cancels still go.
5. No try of a placement or modify begins that the gate does not pass.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from http import HTTPStatus

import structlog

from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSendForbidden,
    BrokerSessionExpired,
    BrokerUnreachable,
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
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Chance, Clock, Journal
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.gateway import OrderWrites, read_gateway_answer
from squareoff.services.orders.order_gate import OrderGate
from squareoff.services.orders.permit_queue import PermitQueue
from squareoff.services.orders.rate_budget import (
    DAY_SECONDS,
    PERMIT_SECONDS_MAX,
    RateBudget,
    RateLimits,
    WriteKind,
    stamps_of,
)

_log = structlog.get_logger("squareoff.order_router")
ATTEMPTS_MAX = 3
RETRY_BASE_SECONDS = 0.2
RATE_LIMITED_PAUSE_SECONDS = 1.0
"""The broker gives no Retry-After; its shortest window is a second."""

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


@dataclass(frozen=True, slots=True)
class _Write:
    """One order write: what it is called, how to make a try, and what holds a try back."""

    operation: str
    kind: WriteKind
    urgency: Urgency
    make: Callable[[], Awaitable[object]]
    held_back: Callable[[], "RouterResult | None"]
    risk: Decimal = Decimal(0)


class OrderRouter:
    """Paces, checks and retries the order writes of one account."""

    def __init__(
        self,
        gateway: OrderWrites,
        gate: OrderGate,
        *,
        limits: RateLimits,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        is_stopped: Callable[[Urgency], bool] = lambda urgency: False,
    ) -> None:
        self._gateway = gateway
        self._gate = gate
        self._limits = limits
        self._is_stopped = is_stopped
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self.queue = PermitQueue(RateBudget(limits), clock=clock, metrics=metrics)
        self._on_refused: list[Callable[[str], None]] = []

    def on_refused(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the code of each write that the broker refuses; it must not wait."""
        self._on_refused.append(listener)

    async def load_budget(self, journal: Journal) -> None:
        """Count the account's writes of the last day, whoever made them; before any permit."""
        now = self._clock.now()
        since_ns = now.wall_ns - seconds_to_ns(DAY_SECONDS)
        times = await journal.write_times(since_ns=since_ns, limit=self._limits.per_day)
        self.queue.seed(stamps_of(times, now))
        _log.info("budget_loaded", used=self.queue.budget_used())

    async def permit(
        self, urgency: Urgency, risk: Decimal = Decimal(0), kind: WriteKind = WriteKind.PLACE
    ) -> None:
        """Wait until a write of this urgency may go; whoever returns from here must write or
        call `return_permit`."""
        await self.queue.permit(urgency, risk, kind)

    def take_permits(self, urgency: Urgency, count: int) -> int:
        """Take up to `count` permits to place orders now; whoever has them must write, or give
        each back by `return_permit`."""
        return self.queue.take_now(urgency, count)

    def return_permit(self, kind: WriteKind = WriteKind.PLACE) -> None:
        """The permit will not be used."""
        self.queue.give_back(kind)

    async def exit_market(
        self,
        request: OrderRequest,
        urgency: Urgency,
        *,
        decided_version: int,
        risk: Decimal = Decimal(0),
    ) -> RouterResult:
        """Place an exit whose permit was granted. Never raises BrokerError.

        Args:
            decided_version: the tracker's version whose decision wants it sent.

        Raises:
            InvariantBroken: the gate says that it must never go; nothing was sent.
        """

        def held_back() -> RouterResult | None:
            text = self._gate.overtaken_exit(request, decided_version=decided_version)
            return None if text is None else _not_sent(BlockReason.RESERVED, text)

        def make() -> Awaitable[object]:
            return self._gateway.exit_market(request)

        return await self._write(
            _Write("exit", WriteKind.PLACE, urgency, make, held_back, risk), has_permit=True
        )

    async def place_market(self, request: OrderRequest) -> RouterResult:
        """Place an entry whose permit was granted. Never raises BrokerError.

        Raises:
            InvariantBroken: the gate says that it must never go; nothing was sent.
        """

        def make() -> Awaitable[object]:
            return self._gateway.place_market(request)

        def held_back() -> RouterResult | None:
            self._gate.check_entry(request)
            return None

        return await self._write(
            _Write("entry", WriteKind.PLACE, Urgency.ENTRY, make, held_back), has_permit=True
        )

    async def modify_order(self, modification: OrderModification, urgency: Urgency) -> RouterResult:
        """Modify an order; its permit was granted. Success means requested.

        Raises:
            InvariantBroken: the gate says that it must never go; nothing was sent.
        """

        async def make() -> bool:
            await self._gateway.modify_order(modification)
            return True

        def held_back() -> RouterResult | None:
            self._gate.check_modification(modification)
            return None

        return await self._write(
            _Write("modify", WriteKind.MODIFY, urgency, make, held_back), has_permit=True
        )

    async def cancel_order(self, broker_order_id: BrokerOrderId, urgency: Urgency) -> RouterResult:
        """Cancel an order; waits for a permit of its own. Success means requested."""

        async def make() -> bool:
            await self._gateway.cancel_order(broker_order_id)
            return True

        write = _Write("cancel", WriteKind.CANCEL, urgency, make, lambda: None)
        return await self._write(write, has_permit=False)

    async def _write(self, write: _Write, *, has_permit: bool) -> RouterResult:
        if not has_permit:
            await self.permit(write.urgency, write.risk, write.kind)
        attempt = 1
        while True:
            held_back = self._held_back(write)
            if held_back is not None:
                result = replace(held_back, attempts=attempt - 1)
                break
            result, pause = await self._attempt(write, attempt)
            if result.outcome is not RouterOutcome.NOT_SENT or attempt == ATTEMPTS_MAX:
                break
            if result.block_reason is BlockReason.SEND_FORBIDDEN:
                break  # it is not this write that may be tried again: the position is sized anew
            await self._clock.sleep(pause)
            if not await self._has_permit_to_retry(write):
                break
            attempt += 1
            self._metrics.router_retries.labels(write.operation).inc()
        self._metrics.router_calls.labels(write.operation, result.outcome.value).inc()
        if result.outcome is RouterOutcome.REFUSED:
            for listener in self._on_refused:
                listener(result.code)
        _log.info(
            "order_write",
            operation=write.operation,
            outcome=result.outcome.value,
            attempts=result.attempts,
            code=result.code,
            text=result.text,
        )
        return result

    def _held_back(self, write: _Write) -> RouterResult | None:
        """Return why the next try must not begin; its permit then is given back."""
        is_free = False
        try:
            if write.kind is not WriteKind.CANCEL and self._is_stopped(write.urgency):
                text = "the kill switch was thrown before it left"
                return _not_sent(BlockReason.KILL_SWITCH, text)
            if not self.queue.is_any_held():
                text = f"its turn was over {PERMIT_SECONDS_MAX:g} s after it was given"
                return _not_sent(BlockReason.SEND_FORBIDDEN, text)
            result = write.held_back()
            is_free = result is None
            return result
        finally:
            if not is_free:
                self.return_permit(write.kind)

    async def _has_permit_to_retry(self, write: _Write) -> bool:
        try:
            async with asyncio.timeout(RETRY_PERMIT_SECONDS_MAX):
                await self.permit(write.urgency, write.risk, write.kind)
        except TimeoutError:
            return False
        return True

    async def _attempt(self, write: _Write, attempt: int) -> tuple[RouterResult, float]:
        """Make one try; return its result and the pause before another, should there be one."""
        pause = self._chance.uniform(0.0, RETRY_BASE_SECONDS * 2 ** (attempt - 1))
        flight, end = self.queue.begin(write.kind), self.queue.end_failed
        try:
            result = _result_of_answer(read_gateway_answer(await _made(write.make)), attempt)
            if result.outcome is not RouterOutcome.UNKNOWN:
                end = self.queue.end_answered
        except BrokerError as error:
            result = _result_of_error(error, attempt)
            if _is_rate_limited(error):
                end, pause = self.queue.end_rate_limited, pause + RATE_LIMITED_PAUSE_SECONDS
            elif _was_held_back(error):
                end = self.queue.end_unsent
            elif isinstance(error, BrokerRejected | BrokerSessionExpired):
                end = self.queue.end_answered
            elif isinstance(error, BrokerUnreachable):
                end = self.queue.end_unreached
        finally:
            end(flight)
        return result, pause


async def _made(make: Callable[[], Awaitable[object]]) -> object:
    """Make one try; an exception that nobody foresaw proves nothing, so the write may have left."""
    try:
        return await make()
    except BrokerError:
        raise
    except Exception as error:
        text = f"the gateway failed with {type(error).__name__}: {error}"
        raise BrokerOutcomeUnknown(text) from error


def _is_rate_limited(error: BrokerError) -> bool:
    """Say whether the broker is told to be asked too often, whatever became of this write."""
    return isinstance(error, BrokerRateLimited) or error.http_status == HTTPStatus.TOO_MANY_REQUESTS


def _was_held_back(error: BrokerError) -> bool:
    """Say whether it was we who let nothing leave: a fence of ours, or a token known to be dead."""
    is_of_token = isinstance(error, BrokerSessionExpired) and error.http_status is None
    return is_of_token or isinstance(error, BrokerSendForbidden)


def _not_sent(reason: BlockReason, text: str) -> RouterResult:
    return RouterResult(RouterOutcome.NOT_SENT, text=text, block_reason=reason)


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
        reason = _hindrance(error)
        return RouterResult(RouterOutcome.NOT_SENT, None, code, text, attempt, reason)
    return RouterResult(RouterOutcome.UNKNOWN, None, code, text, attempt)


def _hindrance(error: BrokerError) -> BlockReason:
    """Say what kept a write from leaving."""
    match error:
        case BrokerSessionExpired():
            return BlockReason.TOKEN_DEAD
        case BrokerSendForbidden():
            return BlockReason.SEND_FORBIDDEN
        case _:
            return BlockReason.BROKER_UNREACHABLE
