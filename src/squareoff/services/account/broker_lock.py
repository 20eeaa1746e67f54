"""The broker's own kill switch: it ends trading for the day, and the broker takes it only flat.

Answers for: that it is asked for only when fresh, complete readings show no position and no order,
and what became of it. It is no emergency exit: everything is closed first.
Invariants:
1. The wish is in the journal before the call leaves.
2. A reading that failed is never a flat account; two flat ones in a row, spaced, are needed.
3. A call of unknown outcome is looked up before it is made again; made twice it does no harm.
"""

from collections.abc import Callable
from enum import Enum

import structlog

from squareoff.core.state.facts import BrokerLockAnswered, BrokerLockSent
from squareoff.core.state.policy import READING_SPACING_SECONDS
from squareoff.domain.errors import BrokerError, BrokerRejected
from squareoff.ports import Clock, TrackerStore
from squareoff.services.orders.gateway import BrokerLocking
from squareoff.services.positions.broker_reads import BrokerReads

_log = structlog.get_logger("squareoff.broker_lock")
READINGS_MAX = 30
"""Half a minute: the broker's positions lag seconds behind the last fill."""

READINGS_FLAT = 2
CALLS_MAX = 3


class LockOutcome(str, Enum):
    """What became of the broker's lock."""

    LOCKED = "locked"
    """The broker takes no more orders today."""
    REFUSED = "refused"
    """Not asked for, or refused: the account is not flat, has orders, or could not be read."""
    UNKNOWN = "unknown"
    """Asked for, and the broker does not say whether it is on."""


class BrokerLock:
    """Puts on the broker's own kill switch."""

    def __init__(
        self, gateway: BrokerLocking, reads: BrokerReads, store: TrackerStore, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._reads = reads
        self._store = store
        self._clock = clock

    async def put_on(
        self, operation_id: str, may_lock: Callable[[], bool]
    ) -> tuple[LockOutcome, str] | None:
        """Lock the account once it is flat; journal and return what became of it.

        Args:
            may_lock: whether this is still wanted, and nothing under watch is open. As soon as it
                says no, this ends without asking, and returns None.

        Raises:
            StoreError: nothing was asked for, or its answer could not be journalled; ask again.
        """
        obstacle = await self._obstacle(may_lock)
        if not may_lock():
            return None
        if obstacle is None:
            await self._store.record((BrokerLockSent(operation_id),), self._clock.now().wall_ns)
            outcome, text = await self._ask()
        else:
            outcome, text = LockOutcome.REFUSED, obstacle
        fact = BrokerLockAnswered(operation_id, outcome.value, text)
        await self._store.record((fact,), self._clock.now().wall_ns)
        return outcome, text

    async def _obstacle(self, may_lock: Callable[[], bool]) -> str | None:
        """Return what stands in the way, None once enough readings show a flat account."""
        flat_count, obstacle = 0, ""
        for _ in range(READINGS_MAX):
            found = await self._look()
            flat_count = flat_count + 1 if found is None else 0
            if flat_count == READINGS_FLAT or not may_lock():
                return None
            obstacle = found or obstacle
            await self._clock.sleep(READING_SPACING_SECONDS)
        return obstacle

    async def _look(self) -> str | None:
        orders = await self._reads.order_book()
        positions = await self._reads.positions()
        if orders is None or positions is None:
            return "the broker's books cannot be read"
        open_orders = [o.broker_order_id for o in orders if not o.status.is_terminal]
        held = [
            f"{row.open_quantity} of {row.trading_symbol or row.instrument_id}"
            for row in positions.rows
            if row.open_quantity
        ]
        if held:
            return f"the broker holds {', '.join(held)}"
        return f"orders are open: {', '.join(open_orders)}" if open_orders else None

    async def _ask(self) -> tuple[LockOutcome, str]:
        text = ""
        for _ in range(CALLS_MAX):
            try:
                await self._gateway.lock_account()
            except BrokerRejected as error:
                return LockOutcome.REFUSED, f"the broker refused: {error.text or error}"
            except BrokerError as error:
                text = str(error)
                _log.warning("broker_lock_unanswered", error=text)
            if await self._is_on():
                return LockOutcome.LOCKED, "the broker takes no more orders today"
            await self._clock.sleep(READING_SPACING_SECONDS)
        return LockOutcome.UNKNOWN, text or "the broker took it, and does not show it"

    async def _is_on(self) -> bool:
        try:
            return await self._gateway.is_account_locked()
        except BrokerError as error:
            _log.warning("broker_lock_not_read", error=str(error))
            return False
