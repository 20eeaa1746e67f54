"""Liveness, readiness and metrics."""

import pytest

from api_rig import ApiRig

NO_TOKEN = {"Authorization": ""}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(path: str, rig: ApiRig) -> None:
    """Watching machines get their answer without credentials."""
    assert rig.call("GET", path, headers=NO_TOKEN).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_without_a_body(path: str, rig: ApiRig) -> None:
    """A watcher that asks by HEAD gets the status alone."""
    answer = rig.call("HEAD", path, headers=NO_TOKEN)

    assert (answer.status, answer.text) == (200, "")


def test_readiness_says_why_not(rig: ApiRig) -> None:
    """An engine that could not send exits answers 503 with the reasons."""
    may_send = rig.engine.supervisor._terms.may_send
    may_send.clear()
    answer = rig.call("GET", "/readyz", headers=NO_TOKEN)
    may_send.set()

    assert answer.status == 503
    assert answer.json["ready"] is False
    assert "comparison" in answer.json["because"][0]


def test_metrics_are_prometheus_text_behind_the_token(rig: ApiRig) -> None:
    """/metrics needs the token and speaks Prometheus."""
    answer = rig.call("GET", "/metrics")

    assert rig.call("GET", "/metrics", headers=NO_TOKEN).status == 401
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "squareoff_ticks_total" in answer.text


def test_metrics_are_also_served_beside_the_other_calls(rig: ApiRig) -> None:
    """`/api/v1/metrics` is the same, and always needs the token."""
    assert "squareoff_ticks_total" in rig.get("/metrics").text
    assert rig.get("/metrics", headers=NO_TOKEN).status == 401


def test_metrics_may_be_public() -> None:
    """With `api.metrics_public` they need no token, and everything else still does."""
    with ApiRig(metrics_public=True) as rig:
        assert rig.call("GET", "/metrics", headers=NO_TOKEN).status == 200
        assert rig.get("/status", headers=NO_TOKEN).status == 401
