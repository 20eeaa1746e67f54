"""Rate limits over four horizons."""

import pytest

from squareoff.simulator.conduct import documented_rate_limits
from squareoff.simulator.rates import HORIZON_NS, RateLimiter, rate_class

LIMITS = documented_rate_limits()


@pytest.mark.parametrize(
    ("horizon", "limit"), [("second", 10), ("minute", 250), ("hour", 1000), ("day", 7000)]
)
def test_each_horizon_refuses_the_call_above_its_limit(horizon: str, limit: int) -> None:
    """Calls above a horizon's limit are refused until its window has moved."""
    only = {"order": {horizon: limit}}
    limiter = RateLimiter()

    refusals = [limiter.take("order", only, number) for number in range(limit + 1)]

    assert refusals == [None] * limit + [horizon]
    assert limiter.take("order", only, HORIZON_NS[horizon]) is None


def test_a_refused_call_does_not_count() -> None:
    """Hammering does not prolong the refusal."""
    limiter = RateLimiter()
    for number in range(30):
        limiter.take("order", LIMITS, number)

    assert limiter.take("order", LIMITS, 10**9) is None


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/orders", "order"),
        ("DELETE", "/orders/1", "order"),
        ("DELETE", "/positions", "order"),
        ("GET", "/orders", "other"),
        ("POST", "/marketfeed/ltp", "quote"),
        ("POST", "/charts/intraday", "data"),
        ("GET", "/profile", "other"),
    ],
)
def test_classes(method: str, path: str, name: str) -> None:
    """Writes of orders, quotes, charts and the rest are counted apart; reads of orders are rest."""
    assert rate_class(method, path) == name
