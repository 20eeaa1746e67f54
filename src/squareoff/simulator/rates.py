"""Rate limits per account and class over four horizons (dhanhq-v2.md 9.1), as sliding windows."""

from collections import deque
from collections.abc import Mapping

from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.simulator.conduct import (
    DATA_CLASS,
    ORDER_CLASS,
    OTHER_CLASS,
    QUOTE_CLASS,
    RateLimits,
)

HORIZON_NS = {
    "second": NANOSECONDS_PER_SECOND,
    "minute": 60 * NANOSECONDS_PER_SECOND,
    "hour": 3_600 * NANOSECONDS_PER_SECOND,
    "day": 86_400 * NANOSECONDS_PER_SECOND,
}


def rate_class(method: str, path: str) -> str:
    """Return the class of a call. Reads of orders count with the non-trading calls."""
    if path.startswith(("/marketfeed", "/optionchain")):
        return QUOTE_CLASS
    if path.startswith("/charts"):
        return DATA_CLASS
    is_order_path = path.startswith(("/orders", "/positions"))
    return ORDER_CLASS if is_order_path and method != "GET" else OTHER_CLASS


class RateLimiter:
    """Counts the calls of one account; a refused call does not count."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], deque[int]] = {}

    def take(self, name: str, limits: RateLimits, now_ns: int) -> str | None:
        """Count one call of class `name`; return the horizon that refuses it, or None."""
        of_class: Mapping[str, int] = limits.get(name, {})
        windows = []
        for horizon, length_ns in HORIZON_NS.items():
            limit = of_class.get(horizon, 0)
            if not limit:
                continue
            window = self._calls.setdefault((name, horizon), deque())
            while window and window[0] <= now_ns - length_ns:
                window.popleft()
            if len(window) >= limit:
                return horizon
            windows.append(window)
        for window in windows:
            window.append(now_ns)
        return None
