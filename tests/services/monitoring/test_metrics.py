"""Metric names are fixed: dashboards and alert rules use them."""

import pytest

from squareoff.services.monitoring.metrics import Metrics

NAMES = (
    "squareoff_exits",
    "squareoff_router_calls",
    "squareoff_router_retries",
    "squareoff_breaker_open",
    "squareoff_breaker_state",
    "squareoff_rate_limited",
    "squareoff_budget_used",
    "squareoff_permits_waiting",
    "squareoff_oldest_exit_wait_seconds",
    "squareoff_permit_wait_seconds",
    "squareoff_commit_seconds",
    "squareoff_trigger_to_claim_seconds",
    "squareoff_ticks",
    "squareoff_ticks_refused",
    "squareoff_order_updates",
    "squareoff_socket_up",
    "squareoff_reconciliations",
    "squareoff_alarms",
)


def test_every_metric_is_rendered_under_its_name() -> None:
    """The text names every metric, and two engines share none."""
    first, second = Metrics(), Metrics()
    first.ticks.inc()

    text = first.render().decode()
    typed = {line.split()[2].removesuffix("_total") for line in text.splitlines() if "TYPE" in line}
    assert set(NAMES) <= typed
    assert "squareoff_ticks_total 0.0" in second.render().decode()


@pytest.mark.parametrize("name", ["token_alive", "token_seconds_left", "static_ip_allowed"])
def test_what_nobody_looked_at_is_no_number(name: str) -> None:
    """In paper mode there is no token: an alert that compares with a number must not fire."""
    assert f"\nsquareoff_{name} NaN\n" in Metrics().render().decode()
