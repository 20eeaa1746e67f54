"""Counters and gauges of the engine, in one Prometheus registry.

Names are fixed: dashboards and alert rules use them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)


@dataclass(frozen=True, slots=True)
class MetricText:
    """What the docs say of one metric. `name` is as queries write it, without `_bucket` and such;
    `kind` is Prometheus' word."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """All metrics of one engine."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.texts: list[MetricText] = []
        self._before_rendering: list[Callable[[], None]] = []
        self._make_exit_metrics()
        self._make_router_metrics()
        self._make_input_metrics()
        self._make_state_metrics()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.texts.append(MetricText(f"squareoff_{name}_total", "counter", labels, text))
        return Counter(f"squareoff_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.texts.append(MetricText(f"squareoff_{name}", "gauge", labels, text))
        return Gauge(f"squareoff_{name}", text, labels, registry=self.registry)

    def _seconds(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _LATENCY_BUCKETS
    ) -> Histogram:
        self.texts.append(MetricText(f"squareoff_{name}_seconds", "histogram", labels, text))
        return Histogram(
            f"squareoff_{name}_seconds",
            text,
            labels,
            buckets=buckets,
            registry=self.registry,
        )

    def _make_exit_metrics(self) -> None:
        self.exits = self._counter("exits", "Results of execute_exit", "rule", "code")
        self.trigger_to_claim_seconds = self._seconds(
            "trigger_to_claim", "From the tick's receipt to the durable claim of the exit"
        )
        self.trigger_to_sent_seconds = self._seconds(
            "trigger_to_sent",
            "From the tick's receipt (else the claim) to the commit right before the first order",
        )
        self.sent_to_accepted_seconds = self._seconds(
            "sent_to_accepted", "From the commit before a send to the broker's first word of it"
        )
        self.accepted_to_filled_seconds = self._seconds(
            "accepted_to_filled",
            "From the broker's first word of an exit order to its fill in full",
            buckets=_LONG_BUCKETS,
        )
        self.trigger_to_exited_seconds = self._seconds(
            "trigger_to_exited",
            "From the tick's receipt (else the claim) to the position closed and confirmed",
            buckets=_LONG_BUCKETS,
        )
        self.exits_ended = self._counter(
            "exits_ended", "Exits that ended: exited, withdrawn, needs_human", "rule", "outcome"
        )
        self.orders_ended = self._counter(
            "orders_ended", "Exit orders that the broker reported as ended", "status"
        )
        self.outcomes_unknown = self._counter(
            "outcomes_unknown", "Exit orders sent whose answer cannot be trusted"
        )
        self.outcomes_settled = self._counter(
            "outcomes_settled", "Unknown outcomes settled: found at the broker, or absent", "how"
        )
        self.orders_unknown = self._gauge(
            "orders_unknown", "Exit orders whose outcome is unknown right now"
        )
        self.positions = self._gauge("positions", "Positions by status", "status")
        self.exits_blocked = self._gauge("exits_blocked", "Exits that wait, by reason", "reason")
        self.commit_seconds = self._seconds("commit", "Time of one durable commit")

    def _make_router_metrics(self) -> None:
        self.router_calls = self._counter(
            "router_calls",
            "Order writes by outcome (accepted, refused, not_sent, unknown)",
            "operation",
            "outcome",
        )
        self.router_retries = self._counter(
            "router_retries", "Retries of writes proved not to have left", "operation"
        )
        self.breaker_open = self._gauge("breaker_open", "1 while a breaker of writes is not closed")
        self.breaker_state = self._gauge(
            "breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open", "endpoint"
        )
        self.rate_limited = self._counter(
            "rate_limited", "Order writes that the broker answered with too many requests"
        )
        self.budget_used = self._gauge(
            "budget_used", "Order writes counted in the running window", "horizon"
        )
        self.permits_waiting = self._gauge(
            "permits_waiting", "Order writes that wait for a send permit", "urgency"
        )
        self.oldest_exit_wait_seconds = self._gauge(
            "oldest_exit_wait_seconds", "How long the exit that waits longest has waited"
        )
        self.permit_wait_seconds = self._seconds(
            "permit_wait", "From asking for a send permit to getting it", "urgency"
        )

    def _make_input_metrics(self) -> None:
        self.ticks = self._counter("ticks", "Ticks taken in")
        self.ticks_refused = self._counter(
            "ticks_refused", "Ticks that may not fire a rule", "cause"
        )
        self.blind_instruments = self._gauge(
            "blind_instruments",
            "Instruments that price rules wait for, and whose prices are missing",
        )
        self.quote_sweeps = self._counter(
            "quote_sweeps", "Calls for quotes of silent instruments", "result"
        )
        self.order_updates = self._counter(
            "order_updates", "Order records taken in", "source", "owner"
        )
        self.order_rows_skipped = self._counter(
            "order_rows_skipped", "Rows of the broker's books that could not be read"
        )
        self.feed_age_seconds = self._gauge(
            "feed_age_seconds", "Time since the newest tick came, NaN before the first"
        )
        self.feed_lag_seconds = self._gauge(
            "feed_lag_seconds",
            "From the exchange's time of a trade (whole seconds) to its first telling, the "
            "worst of 30 s; NaN where nothing was traded that price rules wait for",
        )
        self.feed_lag_seconds.set(math.nan)
        self.socket_up = self._gauge("socket_up", "1 while a socket is connected", "socket")

    def _make_state_metrics(self) -> None:
        self.reconciliations = self._counter(
            "reconciliations", "Comparisons with the broker's books", "cause", "result"
        )
        self.tasks = self._gauge("tasks", "Tasks of the engine's loop that have not ended")

        self.reconciliation_findings = self._counter(
            "reconciliation_findings",
            "Found: difference, adopted, closed_externally, unknown_order",
            "kind",
        )
        self.reconciliation_differences = self._gauge(
            "reconciliation_differences", "Differences that the newest comparison found"
        )
        self.reconciliation_age_seconds = self._gauge(
            "reconciliation_age_seconds", "Time since the books were compared in full, NaN before"
        )
        self.alarms = self._counter("alarms", "Alarms raised", "severity", "code")
        self.account_pnl = self._gauge(
            "account_pnl_rupees", "The day's P&L of all positions under watch, NaN if not known"
        )
        self.account_realized_pnl = self._gauge(
            "account_realized_pnl_rupees", "The part of the day's P&L that is closed"
        )
        self.account_rule_fired = self._gauge(
            "account_rule_fired", "1 where a rule of the account fired today", "rule"
        )
        self.ready = self._gauge("ready", "1 while the engine is ready, as /readyz says")
        self.kill_switch = self._gauge("kill_switch_active", "1 while the kill switch is thrown")
        self.loop_stall_seconds = self._seconds(
            "loop_stall", "How late the event loop ran what was due, looked at ten times a second"
        )
        self.info = self._gauge("info", "1, with what runs", "version", "mode")
        self._make_session_metrics()

    def _make_session_metrics(self) -> None:
        self.token_alive = self._gauge(
            "token_alive", "0 while the broker refuses the access token, NaN if not known"
        )
        self.token_seconds_left = self._gauge(
            "token_seconds_left", "Time until the access token ends, NaN if not known"
        )
        self.token_renewals = self._counter(
            "token_renewals", "Tries to get another access token", "how", "result"
        )
        self.static_ip_allowed = self._gauge(
            "static_ip_allowed",
            "0 where the broker refuses orders from this machine, NaN if not known",
        )
        # Unknown until the session is looked at; in paper mode there is none.
        for gauge in (self.token_alive, self.token_seconds_left, self.static_ip_allowed):
            gauge.set(math.nan)
        self.clock_offset_seconds = self._gauge(
            "clock_offset_seconds", "This machine's clock less the broker's, median of its answers"
        )
        self.clock_jumps = self._counter("clock_jumps", "Steps of the wall clock seen")

    def before_rendering(self, set_gauges: Callable[[], None]) -> None:
        """Call `set_gauges` before each rendering, for gauges that nobody keeps up meanwhile."""
        self._before_rendering.append(set_gauges)

    def follow_skipped_rows(self, count: Callable[[], int]) -> None:
        """Read how many rows of the broker's books were skipped, before each rendering."""
        counted = 0

        def follow() -> None:
            nonlocal counted
            now = count()
            self.order_rows_skipped.inc(now - counted)
            counted = now

        self.before_rendering(follow)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for set_gauges in self._before_rendering:
            set_gauges()
        return generate_latest(self.registry)
