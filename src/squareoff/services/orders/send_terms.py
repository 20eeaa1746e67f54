"""What an order needs to leave at once: nothing in its way, a price, and permits.

Whoever decides with `ready` at hand plans and sends in one commit; without it each order asks for
its own permit. Invariant: permits that a decision did not use are given back by `return_unused`.
"""

import asyncio
from collections.abc import Callable

from squareoff.core.exits.sizing import orders_needed
from squareoff.core.state import commands as c
from squareoff.core.state.inputs import ExitHindered, PriceView, ReadyToSend
from squareoff.core.state.step import Decision
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.copies import replace
from squareoff.domain.instruments import PositionKey
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason
from squareoff.ports import Clock, SessionCalendar
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.orders.order_router import OrderRouter
from squareoff.services.orders.unknown_orders import UnknownOrders
from squareoff.services.prices.ltp_resolver import LtpResolver

CLOSED_RETRY_SECONDS_MAX = 30.0
KILL_SWITCH_RETRY_SECONDS = 30.0
"""Only in case nobody wakes the exit: lifting the switch does so at once."""

CHASE_RETRY_SECONDS = 1.0


class SendTerms:
    """Says what holds an order up, and hands out what it needs.

    `may_send` is set once the first reconciliation after the start is done.
    """

    def __init__(
        self,
        *,
        router: OrderRouter,
        prices: LtpResolver,
        calendar: SessionCalendar,
        kill_switch: KillSwitch,
        clock: Clock,
        unknown_orders: UnknownOrders,
        session_hindrance: Callable[[], ExitHindered | None] = lambda: None,
        holds_up_chase: Callable[[PositionKey], bool] = lambda key: False,
        are_exits_oversized: Callable[[PositionKey], bool] = lambda key: False,
    ) -> None:
        self._router = router
        self._prices = prices
        self._calendar = calendar
        self._kill_switch = kill_switch
        self._clock = clock
        self._unknown_orders = unknown_orders
        self._session_hindrance = session_hindrance
        self._holds_up_chase = holds_up_chase
        self._are_exits_oversized = are_exits_oversized
        self.may_send = asyncio.Event()

    def reading_hindrance(self, tracker: PositionTracker) -> ExitHindered | None:
        """Return what makes it useless to read positions for an exit now."""
        return self._session_hindrance() or self._unknown_orders.hindrance(tracker.key)

    def hindrance(self, tracker: PositionTracker, urgency: Urgency) -> ExitHindered | None:
        """Return what keeps an exit of this position from going now; entries are not held here."""
        if urgency is Urgency.ENTRY:
            return None
        return self.reading_hindrance(tracker) or self._nothing_goes_out(tracker)

    def change_hindrance(self, tracker: PositionTracker) -> ExitHindered | None:
        """Return what keeps a resting exit order from being moved now.

        An order of ours that we do not know holds up new orders, which would close more; moving
        one that rests closes no more than it did. Where less is there than it would close, it
        waits until it is known who closed the rest. It is asked for again soon whatever it is: the
        end of a hindrance wakes only exits that are blocked, and one that rests is not.
        """
        if self._holds_up_chase(tracker.key):
            text = "somebody may have closed what this exit would close"
            return ExitHindered(BlockReason.POSITION_MISSING, text, CHASE_RETRY_SECONDS)
        found = self._session_hindrance() or self._nothing_goes_out(tracker)
        if found is None:
            return None
        soon = min(found.retry_after_seconds, CHASE_RETRY_SECONDS)
        return replace(found, retry_after_seconds=soon)

    def is_oversized(self, tracker: PositionTracker) -> bool:
        """Say whether what rests of this position's exit is to be taken back and sized anew."""
        return self._are_exits_oversized(tracker.key)

    def _nothing_goes_out(self, tracker: PositionTracker) -> ExitHindered | None:
        """Return what keeps any exit order of this position from the exchange."""
        if self._kill_switch.blocks_exits:
            return ExitHindered(
                BlockReason.KILL_SWITCH,
                "the kill switch stands at level all",
                KILL_SWITCH_RETRY_SECONDS,
            )
        segment = tracker.instrument.instrument_id.exchange_segment
        now_ns = self._clock.now().wall_ns
        if self._calendar.is_open(segment, now_ns):
            return None
        wait = min(self._calendar.seconds_to_open(segment, now_ns), CLOSED_RETRY_SECONDS_MAX)
        text = f"{segment.value} is closed and takes no orders"
        return ExitHindered(BlockReason.MARKET_CLOSED, text, max(wait, 1.0))

    def price_at_hand(self, tracker: PositionTracker) -> PriceView | None:
        """Return the fresh price in memory that an exit would be priced with now, if any."""
        return self._prices.at_hand(tracker.instrument)

    def ready(self, tracker: PositionTracker, urgency: Urgency) -> ReadyToSend | None:
        """Take permits for what is to be closed, where a fresh price is in memory; else None."""
        if not self.may_send.is_set() or self.hindrance(tracker, urgency) is not None:
            return None
        price = self.price_at_hand(tracker)
        if price is None:
            return None
        permits = self._router.take_permits(urgency, orders_needed(tracker))
        return ReadyToSend(permits, price) if permits else None

    def return_unused(self, ready: ReadyToSend | None, decision: Decision | None) -> None:
        """Give back the permits that the decision did not use; None: nothing was decided."""
        if ready is None:
            return
        commands = () if decision is None else decision.commands
        sent = sum(isinstance(each, c.TransmitOrder) for each in commands)
        for _ in range(ready.permits - sent):
            self._router.return_permit()
