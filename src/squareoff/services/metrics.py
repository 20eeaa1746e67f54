"""Counters and gauges of the engine, in one Prometheus registry.

Names are fixed: dashboards and alert rules use them.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one engine."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._before_rendering: list[Callable[[], None]] = []
        self._make_exit_metrics()
        self._make_router_metrics()
        self._make_input_metrics()
        self._make_state_metrics()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"squareoff_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"squareoff_{name}", text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(
            f"squareoff_{name}_seconds",
            text,
            labels,
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )

    def _make_exit_metrics(self) -> None:
        self.exits = self._counter("exits", "Results of execute_exit", "rule", "code")
        self.trigger_to_claim_seconds = self._seconds(
            "trigger_to_claim", "From the tick's receipt to the durable claim of the exit"
        )
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
            "blind_instruments", "Instruments with armed price rules whose prices are missing"
        )
        self.quote_sweeps = self._counter(
            "quote_sweeps", "Calls for quotes of silent instruments", "result"
        )
        self.order_updates = self._counter(
            "order_updates", "Order records taken in", "source", "owner"
        )
        self.socket_up = self._gauge("socket_up", "1 while a socket is connected", "socket")

    def _make_state_metrics(self) -> None:
        self.reconciliations = self._counter(
            "reconciliations", "Comparisons with the broker's books", "cause", "result"
        )
        self.tasks = self._gauge("tasks", "Tasks of the engine's loop that have not ended")
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
        self._make_session_metrics()

    def _make_session_metrics(self) -> None:
        self.token_alive = self._gauge("token_alive", "0 while the broker refuses the access token")
        self.token_seconds_left = self._gauge(
            "token_seconds_left", "Time until the access token ends, as far as it is known"
        )
        self.token_renewals = self._counter(
            "token_renewals", "Tries to get another access token", "how", "result"
        )
        self.static_ip_allowed = self._gauge(
            "static_ip_allowed", "0 where the broker refuses orders from this machine's address"
        )
        self.clock_offset_seconds = self._gauge(
            "clock_offset_seconds", "This machine's clock less the broker's, median of its answers"
        )
        self.clock_jumps = self._counter("clock_jumps", "Steps of the wall clock seen")

    def before_rendering(self, set_gauges: Callable[[], None]) -> None:
        """Call `set_gauges` before each rendering, for gauges that nobody keeps up meanwhile."""
        self._before_rendering.append(set_gauges)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for set_gauges in self._before_rendering:
            set_gauges()
        return generate_latest(self.registry)
