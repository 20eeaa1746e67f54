"""The newest tick of each instrument in Redis, so that one feed connection serves all processes.

Invariants:
1. Nothing here raises for the sake of Redis: a failure is counted, `get` answers None, and the
   caller goes on to the next source of a price.
2. A tick keeps the time at which the feed gave it to the first process: read again, an old price
   stays old.
3. No call waits longer than CALL_SECONDS_MAX.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.asyncio.retry import Retry
from redis.exceptions import RedisError

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now

CALL_SECONDS_MAX = 0.25
"""An exit asks Redis on its way to a price; a local Redis answers within a millisecond."""

KEEP_SECONDS = 86_400
"""A tick older than a day serves nobody; it only takes memory."""
