"""Measure exits by the facts that were committed: how long each step took, and how it ended.

Invariant: nothing here decides, waits or sends. A step's time is that right after its commit.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import Histogram

from squareoff.core.state import facts as f
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import ClientOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import BlockReason, OrderState, PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.positions.position_book import PositionBook


@dataclass(slots=True)
class _Exit:
    """One exit under way: its rule, and the UTC ns of what has happened so far."""

    rule: str
    began_ns: int
    is_sent: bool = False
    sent_ns: dict[ClientOrderId, int] = field(default_factory=dict)
    accepted_ns: dict[ClientOrderId, int] = field(default_factory=dict)
    unknown: set[ClientOrderId] = field(default_factory=set)


class ExitMetrics:
    """Told of every committed decision; forgets an exit when it ends."""

    def __init__(self, book: PositionBook, metrics: Metrics) -> None:
        self._book = book
        self._metrics = metrics
        self._exits: dict[TrackerId, _Exit] = {}
        metrics.before_rendering(self._set_gauges)

    def note(self, tracker: PositionTracker, facts: Sequence[f.TrackerFact], at_ns: int) -> None:
        """Take the facts of a commit that was durable at `at_ns`."""
        for fact in facts:
            if isinstance(fact, f.ExitClaimed):
                self._begin(fact, at_ns)
                continue
            under_way = self._exits.get(tracker.tracker_id)
            if under_way is not None:
                self._note_step(under_way, fact, at_ns)
            if isinstance(fact, f.ClosedExternally):
                self._metrics.reconciliation_findings.labels("closed_externally").inc()

    def _begin(self, claim: f.ExitClaimed, at_ns: int) -> None:
        received_ns = claim.trigger.received_time_ns
        self._exits[claim.tracker_id] = _Exit(claim.trigger.rule.value, received_ns or at_ns)
        if received_ns is not None:
            _observe(self._metrics.trigger_to_claim_seconds, received_ns, at_ns)

    def _note_step(self, under_way: _Exit, fact: f.TrackerFact, at_ns: int) -> None:
        match fact:
            case f.OrderSent(client_order_id=order_id):
                under_way.sent_ns[order_id] = at_ns
                if not under_way.is_sent:
                    under_way.is_sent = True
                    _observe(self._metrics.trigger_to_sent_seconds, under_way.began_ns, at_ns)
            case f.OrderAccepted(client_order_id=order_id):
                self._accept(under_way, order_id, at_ns)
            case f.OrderReported():
                self._note_report(under_way, fact, at_ns)
            case f.OrderOutcomeLost(client_order_id=order_id):
                under_way.unknown.add(order_id)
                self._metrics.outcomes_unknown.inc()
            case f.OrderSettled(client_order_id=order_id):
                self._settle(under_way, order_id, "absent")
            case f.PositionExited():
                _observe(self._metrics.trigger_to_exited_seconds, under_way.began_ns, at_ns)
                self._end(fact.tracker_id, under_way, "exited")
            case f.ExitWithdrawn() | f.PositionUntracked():
                self._end(fact.tracker_id, under_way, "withdrawn")
            case f.ExitEscalated():
                self._metrics.exits_ended.labels(under_way.rule, "needs_human").inc()
            case _:
                return

    def _note_report(self, under_way: _Exit, report: f.OrderReported, at_ns: int) -> None:
        order_id = report.client_order_id
        self._settle(under_way, order_id, "found")
        self._accept(under_way, order_id, at_ns)
        if report.status.is_terminal:
            self._metrics.orders_ended.labels(report.status.value.lower()).inc()
        if report.status is BrokerOrderStatus.TRADED and order_id in under_way.accepted_ns:
            since_ns = under_way.accepted_ns.pop(order_id)
            _observe(self._metrics.accepted_to_filled_seconds, since_ns, at_ns)

    def _accept(self, under_way: _Exit, order_id: ClientOrderId, at_ns: int) -> None:
        sent_ns = under_way.sent_ns.pop(order_id, None)
        if sent_ns is not None:  # of a send, the first word of the broker counts
            _observe(self._metrics.sent_to_accepted_seconds, sent_ns, at_ns)
            under_way.accepted_ns[order_id] = at_ns

    def _settle(self, under_way: _Exit, order_id: ClientOrderId, how: str) -> None:
        if order_id in under_way.unknown:
            under_way.unknown.remove(order_id)
            self._metrics.outcomes_settled.labels(how).inc()

    def _end(self, tracker_id: TrackerId, under_way: _Exit, outcome: str) -> None:
        self._metrics.exits_ended.labels(under_way.rule, outcome).inc()
        del self._exits[tracker_id]

    def _set_gauges(self) -> None:
        statuses: Counter[PositionStatus] = Counter()
        blocked: Counter[BlockReason] = Counter()
        unknown = 0
        for actor in self._book:
            tracker = actor.tracker
            statuses[tracker.status] += 1
            intent = tracker.intent
            if intent is not None and intent.status.is_live and intent.block_reason is not None:
                blocked[intent.block_reason] += 1
            unknown += sum(
                order.state is OrderState.OUTCOME_UNKNOWN for order in tracker.exit_orders
            )
        for status in PositionStatus:
            self._metrics.positions.labels(status.value).set(statuses[status])
        for reason in BlockReason:
            self._metrics.exits_blocked.labels(reason.value).set(blocked[reason])
        self._metrics.orders_unknown.set(unknown)


def _observe(histogram: Histogram, since_ns: int, at_ns: int) -> None:
    seconds = max(0, at_ns - since_ns) / NANOSECONDS_PER_SECOND
    histogram.observe(seconds)
