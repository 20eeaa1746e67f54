"""Write deploy/grafana-dashboard.json from a table of panels, two in a row."""

import json
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 12, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: its title, the unit as Grafana names it, and its lines as (query, legend)."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


def _quantiles(metric: str, text: str) -> tuple[tuple[str, str], ...]:
    rate = f"sum by (le) (rate({metric}_bucket[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({share}, {rate})", f"{text} {name}")
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    )


PANELS = (
    Panel("Ready", "bool_yes_no", (("squareoff_ready", "ready"),), "stat"),
    Panel("Kill switch", "bool_on_off", (("squareoff_kill_switch_active", "thrown"),), "stat"),
    Panel("Positions", "short", (("squareoff_positions", "{{status}}"),)),
    Panel("Exits that wait", "short", (("squareoff_exits_blocked > 0", "{{reason}}"),)),
    Panel(
        "Exits ended",
        "short",
        (
            (
                "sum by (rule, outcome) (increase(squareoff_exits_ended_total[$__rate_interval]))",
                "{{rule}} {{outcome}}",
            ),
        ),
    ),
    Panel(
        "Results of execute_exit",
        "short",
        (("sum by (code) (increase(squareoff_exits_total[$__rate_interval]))", "{{code}}"),),
    ),
    Panel(
        "Trigger to claim, and to the first order",
        "s",
        (
            *_quantiles("squareoff_trigger_to_claim_seconds", "claim"),
            *_quantiles("squareoff_trigger_to_sent_seconds", "sent"),
        ),
    ),
    Panel(
        "Sent to accepted, accepted to filled",
        "s",
        (
            *_quantiles("squareoff_sent_to_accepted_seconds", "accepted"),
            *_quantiles("squareoff_accepted_to_filled_seconds", "filled"),
        ),
    ),
    Panel("Trigger to exited", "s", _quantiles("squareoff_trigger_to_exited_seconds", "exited")),
    Panel("Durable commit", "s", _quantiles("squareoff_commit_seconds", "commit")),
    Panel(
        "Order writes by outcome",
        "short",
        (
            (
                "sum by (operation, outcome) "
                "(increase(squareoff_router_calls_total[$__rate_interval]))",
                "{{operation}} {{outcome}}",
            ),
            ("sum(increase(squareoff_router_retries_total[$__rate_interval]))", "retries"),
            ("increase(squareoff_rate_limited_total[$__rate_interval])", "too many requests"),
        ),
    ),
    Panel(
        "Unknown outcomes",
        "short",
        (
            ("squareoff_orders_unknown", "unknown now"),
            ("increase(squareoff_outcomes_unknown_total[$__rate_interval])", "new"),
            (
                "sum by (how) (increase(squareoff_outcomes_settled_total[$__rate_interval]))",
                "settled: {{how}}",
            ),
        ),
    ),
    Panel(
        "Wait for a send permit, p99",
        "s",
        (
            (
                "histogram_quantile(0.99, sum by (le, urgency) "
                "(rate(squareoff_permit_wait_seconds_bucket[$__rate_interval])))",
                "{{urgency}}",
            ),
            ("squareoff_oldest_exit_wait_seconds", "oldest exit"),
        ),
    ),
    Panel(
        "Rate budget and breakers",
        "short",
        (
            ("squareoff_budget_used", "used in a {{horizon}}"),
            ("squareoff_permits_waiting", "waiting: {{urgency}}"),
            ("squareoff_breaker_state", "breaker {{endpoint}}"),
        ),
    ),
    Panel(
        "Feed",
        "s",
        (("squareoff_feed_age_seconds", "age"), ("squareoff_feed_lag_seconds", "lag")),
    ),
    Panel(
        "Instruments without prices",
        "short",
        (("squareoff_blind_instruments", "blind"),),
    ),
    Panel("Sockets", "bool_on_off", (("squareoff_socket_up", "{{socket}}"),)),
    Panel(
        "Ticks",
        "cps",
        (
            ("rate(squareoff_ticks_total[$__rate_interval])", "taken in"),
            (
                "sum by (cause) (rate(squareoff_ticks_refused_total[$__rate_interval]))",
                "refused: {{cause}}",
            ),
        ),
    ),
    Panel(
        "Comparison with the broker",
        "short",
        (
            ("squareoff_reconciliation_differences", "differences"),
            (
                "sum by (kind) "
                "(increase(squareoff_reconciliation_findings_total[$__rate_interval]))",
                "{{kind}}",
            ),
            ("squareoff_reconciliation_age_seconds", "age (s)"),
        ),
    ),
    Panel(
        "Alarms",
        "short",
        (
            (
                "sum by (severity, code) (increase(squareoff_alarms_total[$__rate_interval]))",
                "{{severity}} {{code}}",
            ),
        ),
    ),
    Panel("Stall of the loop", "s", _quantiles("squareoff_loop_stall_seconds", "late")),
    Panel("Token", "s", (("squareoff_token_seconds_left", "left"),)),
    Panel("Clock", "s", (("squareoff_clock_offset_seconds", "off the broker's"),)),
)


def grafana_dashboard() -> str:
    """Return the dashboard as JSON."""
    board = {
        "title": "squareoff",
        "uid": "squareoff",
        "tags": ["squareoff"],
        "schemaVersion": 39,
        "version": 1,
        "timezone": "Asia/Kolkata",
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(place, each) for place, each in enumerate(PANELS)],
    }
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def _panel(place: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": place + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {
            "x": place % 2 * _WIDTH,
            "y": place // 2 * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.lines)
        ],
    }
