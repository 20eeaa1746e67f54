"""Counters and gauges of the engine, in one Prometheus registry."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one engine. Names are fixed: dashboards and alert rules use them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.exits = Counter(
            "squareoff_exits",
            "Results of execute_exit by rule and code",
            ("rule", "code"),
            registry=self.registry,
        )
        self.router_calls = Counter(
            "squareoff_router_calls",
            "Order writes by operation and outcome (accepted, refused, not_sent, unknown)",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self.router_retries = Counter(
            "squareoff_router_retries",
            "Retries of order writes that were proved not to have left",
            ("operation",),
            registry=self.registry,
        )
        self.breaker_open = Gauge(
            "squareoff_breaker_open", "1 while the circuit breaker is open", registry=self.registry
        )
        self.permit_wait_seconds = Histogram(
            "squareoff_permit_wait_seconds",
            "Time from asking for a send permit to getting it, by urgency",
            ("urgency",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "squareoff_commit_seconds",
            "Time of one durable commit",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.trigger_to_claim_seconds = Histogram(
            "squareoff_trigger_to_claim_seconds",
            "Time from the tick's receipt to the durable claim of the exit",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.ticks = Counter("squareoff_ticks", "Ticks taken in", registry=self.registry)
        self.ticks_refused = Counter(
            "squareoff_ticks_refused",
            "Ticks that may not fire a rule, by cause",
            ("cause",),
            registry=self.registry,
        )
        self.order_updates = Counter(
            "squareoff_order_updates",
            "Order records taken in, by source and whether they are ours",
            ("source", "owner"),
            registry=self.registry,
        )
        self.socket_up = Gauge(
            "squareoff_socket_up",
            "1 while a socket is connected",
            ("socket",),
            registry=self.registry,
        )
        self.reconciliations = Counter(
            "squareoff_reconciliations",
            "Comparisons with the broker's books by cause and result",
            ("cause", "result"),
            registry=self.registry,
        )
        self.alarms = Counter(
            "squareoff_alarms",
            "Alarms by severity and code",
            ("severity", "code"),
            registry=self.registry,
        )
        self.positions = Gauge(
            "squareoff_positions",
            "Tracked positions by status",
            ("status",),
            registry=self.registry,
        )

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
