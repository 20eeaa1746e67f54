"""Check that a journal is a path of the protocol: each fact may follow what stands before it.

`journal_path(entries)` takes the entries of a whole journal, or of one tracker, and returns what is
wrong, nothing for a path. It knows only what facts tell and shares no code with the engine's fold.

Invariants of a path:
1. An exit is claimed once at a time, sized before it is planned, planned before it is sent.
2. No plan, sent or resting order exceeds what is still held; a resend follows proof of absence.
3. EXITED follows when nothing is open, planned, live or unknown, and every fill was confirmed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from squareoff.core.state import facts as f
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason
from squareoff.simulator.protocol_model.journal_order import JournalOrder
from squareoff.simulator.protocol_model.order_rules import Kind, Outcome

QUARANTINE_SECONDS = 10.0

_OPEN, _BLOCKED, _HUMAN, _OVER = "OPEN", "BLOCKED", "NEEDS_HUMAN", ""
_LIVE = (_OPEN, _BLOCKED, _HUMAN)


def journal_path(
    entries: Iterable[JournalEntry], *, quarantine_seconds: float = QUARANTINE_SECONDS
) -> list[str]:
    """Return every fact that is no step of the protocol, as `seq kind: why`; [] for a path.

    Args:
        entries: journal entries in order of their numbers; account facts among them do not count.
        quarantine_seconds: the least time before an unknown order may be declared absent.
    """
    paths: dict[str, JournalPath] = {}
    found: list[str] = []
    for entry in entries:
        if not isinstance(entry.fact, f.TrackerFact):
            continue
        tracker_id = entry.fact.tracker_id
        path = paths.setdefault(tracker_id, JournalPath(quarantine_seconds))
        where = f"{entry.seq} {entry.kind} of {tracker_id}"
        found.extend(f"{where}: {fault}" for fault in path.take(entry.fact))
    return found


class JournalPath:
    """The automaton of one tracker. `take` yields what is wrong with a fact, then follows it.

    `orders` holds what is known of each order so far, by client order id.
    """

    def __init__(self, quarantine_seconds: float) -> None:
        self._quarantine_seconds = quarantine_seconds
        self._is_open = self._is_final = self._is_frozen = False
        self._held = self._external = 0
        self._intent = _OVER
        self._attempt = 0
        self._sized = 0
        self.orders: dict[str, JournalOrder] = {}

    def take(self, fact: Any) -> Iterator[str]:
        """Yield the faults of `fact`."""
        if isinstance(fact, f.TrackerOpened) is self._is_open:
            yield "a tracker is opened once, before anything else"
        if self._sized and not isinstance(fact, f.OrderPlanned | f.OrderReplanned):
            yield f"{self._sized} units were sized and not planned"
            self._sized = 0
        step = self.STEPS.get(type(fact))
        if step is None:
            yield "the protocol has no such step"
            return
        order_id = getattr(fact, "client_order_id", None)
        creates = isinstance(fact, f.OrderPlanned | f.EntryWatched)
        if order_id is not None and not creates and order_id not in self.orders:
            yield f"order {order_id} was never planned"
            return
        yield from step(self, fact)
        self._follow_entries()

    # Sums over all orders.

    @property
    def _exits(self) -> list[JournalOrder]:
        return [o for o in self.orders.values() if o.role is OrderRole.EXIT]

    @property
    def _open_quantity(self) -> int:
        closed = sum(order.cumulative for order in self._exits) + self._external
        return max(0, self._held - closed)

    @property
    def _leaves(self) -> int:
        return sum(order.leaves for order in self._exits)

    def _is_any(self, *kinds: Kind) -> bool:
        return any(order.kind in kinds for order in self._exits)

    def _follow_entries(self) -> None:
        filled = sum(o.cumulative for o in self.orders.values() if o.role is OrderRole.ENTRY)
        self._held = max(self._held, filled)

    # The position and its intent.

    def _opened(self, fact: f.TrackerOpened) -> Iterator[str]:
        self._is_open = True
        self._held = fact.quantity
        yield from ()

    def _rules_changed(self, _fact: f.RulesChanged) -> Iterator[str]:
        yield from ()

    def _stop_moved(self, _fact: f.StopMoved) -> Iterator[str]:
        if self._intent or self._is_final:
            yield "a stop moves although the exit was claimed"

    def _best_price_noted(self, _fact: f.BestPriceNoted) -> Iterator[str]:
        if self._is_final:
            yield "a best price is noted of a position that has ended"

    def _claimed(self, _fact: f.ExitClaimed) -> Iterator[str]:
        if self._intent:
            yield f"a second exit is claimed while one is {self._intent}"
        if self._is_final or self._held == 0:
            yield "an exit is claimed of a position that is not held"
        self._intent = _OPEN
        self._attempt = max((order.attempt for order in self._exits), default=0)

    def _blocked(self, fact: f.ExitBlocked) -> Iterator[str]:
        yield from self._expect_intent(_OPEN, _BLOCKED)
        # Behind an open breaker, planned orders keep their places in the queue.
        if fact.reason is not BlockReason.BREAKER_OPEN and self._is_any(Kind.PLANNED):
            yield "is blocked with an order still planned"
        self._intent = _BLOCKED

    def _resumed(self, _fact: f.ExitResumed) -> Iterator[str]:
        yield from self._expect_intent(_BLOCKED, _HUMAN)
        self._intent = _OPEN

    def _attempt_failed(self, fact: f.ExitAttemptFailed) -> Iterator[str]:
        yield from self._expect_intent(_OPEN, _BLOCKED)
        kind = self.orders[fact.client_order_id].kind
        if kind is not Kind.ENDED_SHORT:
            yield f"an attempt failed by an order that is {kind.name}"

    def _withdrawal_asked(self, _fact: f.ExitWithdrawalAsked) -> Iterator[str]:
        yield from self._expect_intent(*_LIVE)
        self._intent = _BLOCKED

    def _withdrawn(self, _fact: f.ExitWithdrawn) -> Iterator[str]:
        yield from self._expect_intent(*_LIVE)
        if self._is_any(Kind.PLANNED, Kind.LIVE):
            yield "is withdrawn with an order planned or alive"
        self._intent = _OVER

    def _escalated(self, _fact: f.ExitEscalated) -> Iterator[str]:
        yield from self._expect_intent(_OPEN, _BLOCKED)
        if self._is_any(Kind.PLANNED):
            yield "is handed to a person with an order still planned"
        self._intent = _HUMAN

    def _over_exit(self, fact: f.OverExitDetected) -> Iterator[str]:
        closed = sum(order.cumulative for order in self._exits) + self._external
        if fact.over_exited_quantity != closed - self._held or fact.over_exited_quantity <= 0:
            yield f"{fact.over_exited_quantity} over, with {closed} closed of {self._held}"
        # Of an exit that was taken back nothing is left to freeze: the position ends, alarm or not.
        self._is_frozen = self._intent != _OVER

    def _over_exit_resolved(self, _fact: f.OverExitResolved) -> Iterator[str]:
        if not self._is_frozen:
            yield "an over-exit is resolved that nobody detected"
        self._is_frozen = False
        self._intent = _OPEN if self._intent else self._intent

    def _untracked(self, _fact: f.PositionUntracked) -> Iterator[str]:
        if self._is_any(Kind.LIVE, Kind.PLANNED):
            yield "is let go with an order planned or alive"
        self._intent, self._is_final = _OVER, True

    def _closed_externally(self, fact: f.ClosedExternally) -> Iterator[str]:
        unsettled = sum(order.leaves for order in self._exits if not order.is_resting)
        if unsettled:
            yield f"others are said to have closed while {unsettled} of ours may fill unseen"
        if not 0 < fact.quantity <= self._open_quantity:
            yield f"others are said to have closed {fact.quantity} of {self._open_quantity} open"
        self._external += fact.quantity

    def _exited(self, _fact: f.PositionExited) -> Iterator[str]:
        if self._is_final:
            yield "is EXITED twice"
        if self._open_quantity:
            yield f"is EXITED with {self._open_quantity} still held"
        if self._is_any(Kind.PLANNED, Kind.LIVE):
            yield "is EXITED with an order planned, alive or unknown"
        if self._is_frozen:
            yield "is EXITED while frozen by an over-exit"
        if not all(order.is_confirmed for order in self._exits):
            yield "is EXITED with fills that no trade book confirmed"
        self._intent, self._is_final = _OVER, True

    def _cancelled(self, _fact: f.PositionCancelled) -> Iterator[str]:
        if self._held:
            yield f"is cancelled with {self._held} held"

    def _expect_intent(self, *allowed: str) -> Iterator[str]:
        if self._intent not in allowed:
            yield f"the exit is {self._intent or 'not open'}, not {' or '.join(allowed)}"

    # Orders.

    def _exit_sized(self, fact: f.ExitSized) -> Iterator[str]:
        yield from self._expect_intent(_OPEN)
        uncovered = self._open_quantity - self._leaves
        if not 0 < fact.quantity <= uncovered:
            yield f"sizes {fact.quantity} with {uncovered} uncovered"
        if fact.broker_net_quantity is not None:
            free = abs(fact.broker_net_quantity) - self._leaves - fact.reserved_by_others
            if fact.quantity > free:
                yield f"sizes {fact.quantity} where the broker shows {free} free"
        if fact.attempt not in (self._attempt, self._attempt + 1):
            yield f"attempt {fact.attempt} follows {self._attempt}"
        self._attempt = fact.attempt
        self._sized = fact.quantity

    def _planned(self, fact: f.OrderPlanned) -> Iterator[str]:
        if fact.client_order_id in self.orders:
            yield f"order {fact.client_order_id} is planned a second time"
        if fact.role is OrderRole.EXIT:
            if fact.attempt != self._attempt:
                yield f"an order of attempt {fact.attempt} in attempt {self._attempt}"
            yield from self._use_size(fact.order_quantity)
        order = JournalOrder(fact.role, fact.order_quantity, fact.attempt)
        self.orders[fact.client_order_id] = order

    def _replanned(self, fact: f.OrderReplanned) -> Iterator[str]:
        order = self.orders[fact.client_order_id]
        if order.attempt != self._attempt:
            yield f"an order of attempt {order.attempt} is planned in attempt {self._attempt}"
        yield from self._use_size(order.quantity)
        yield from order.replan()

    def _use_size(self, quantity: int) -> Iterator[str]:
        if quantity > self._sized:
            yield f"plans {quantity} of {self._sized} that were sized"
        self._sized = max(0, self._sized - quantity)

    def _entry_watched(self, fact: f.EntryWatched) -> Iterator[str]:
        order = JournalOrder(OrderRole.ENTRY, fact.order_quantity, 1)
        self.orders[fact.client_order_id] = order
        order.watch(fact.broker_order_id)
        yield from ()

    def _sent(self, fact: f.OrderSent) -> Iterator[str]:
        order = self.orders[fact.client_order_id]
        if order.role is OrderRole.EXIT:
            yield from self._expect_intent(_OPEN)
            if self._leaves > self._open_quantity:
                yield f"sends with {self._leaves} able to close {self._open_quantity}"
        yield from order.send(fact)

    def _accepted(self, fact: f.OrderAccepted) -> Iterator[str]:
        order = self.orders[fact.client_order_id]
        yield from order.answer(fact.send_number, Outcome.ACCEPTED, fact.broker_order_id)

    def _refused(self, fact: f.OrderRefused) -> Iterator[str]:
        yield from self.orders[fact.client_order_id].answer(fact.send_number, Outcome.REFUSED)

    def _not_sent(self, fact: f.OrderNotSent) -> Iterator[str]:
        yield from self.orders[fact.client_order_id].answer(fact.send_number, Outcome.NONE)

    def _lost(self, fact: f.OrderOutcomeLost) -> Iterator[str]:
        yield from self.orders[fact.client_order_id].answer(fact.send_number, Outcome.UNKNOWN)

    def _settled(self, fact: f.OrderSettled) -> Iterator[str]:
        yield from self.orders[fact.client_order_id].settle(fact, self._quarantine_seconds)

    def _modified(self, fact: f.OrderModifySent) -> Iterator[str]:
        yield from self._expect_intent(*_LIVE)
        yield from self.orders[fact.client_order_id].modify(fact)

    def _order_step(self, fact: Any) -> Iterator[str]:
        order = self.orders[fact.client_order_id]
        match fact:
            case f.OrderDropped():
                yield from order.drop()
            case f.OrderReported():
                yield from order.report(fact)
            case f.OrderVanished():
                yield from order.vanish(fact)
            case f.OrderCancelSent():
                yield from order.cancel(fact)
            case f.FillsConfirmed():
                if self._open_quantity:
                    yield f"fills are confirmed with {self._open_quantity} still open"
                yield from order.confirm(fact)
            case _:
                raise AssertionError(f"no step for {type(fact).__name__}")

    STEPS: ClassVar[dict[type[object], Callable[["JournalPath", Any], Iterator[str]]]] = {
        f.TrackerOpened: _opened,
        f.RulesChanged: _rules_changed,
        f.StopMoved: _stop_moved,
        f.BestPriceNoted: _best_price_noted,
        f.ExitClaimed: _claimed,
        f.ExitSized: _exit_sized,
        f.ExitBlocked: _blocked,
        f.ExitResumed: _resumed,
        f.ExitAttemptFailed: _attempt_failed,
        f.ExitWithdrawalAsked: _withdrawal_asked,
        f.ExitWithdrawn: _withdrawn,
        f.ExitEscalated: _escalated,
        f.OrderPlanned: _planned,
        f.OrderReplanned: _replanned,
        f.EntryWatched: _entry_watched,
        f.OrderSent: _sent,
        f.OrderAccepted: _accepted,
        f.OrderRefused: _refused,
        f.OrderNotSent: _not_sent,
        f.OrderOutcomeLost: _lost,
        f.OrderSettled: _settled,
        f.OrderModifySent: _modified,
        f.OrderDropped: _order_step,
        f.OrderReported: _order_step,
        f.OrderVanished: _order_step,
        f.OrderCancelSent: _order_step,
        f.FillsConfirmed: _order_step,
        f.ClosedExternally: _closed_externally,
        f.PositionExited: _exited,
        f.PositionCancelled: _cancelled,
        f.OverExitDetected: _over_exit,
        f.OverExitResolved: _over_exit_resolved,
        f.PositionUntracked: _untracked,
    }
