"""The newest tick of each instrument in Redis, so that one feed connection serves all processes.

Invariants:
1. Nothing here raises for the sake of Redis: a failure is counted, `get` answers None, and the
   caller goes on to the next source of a price.
2. A tick keeps the wall time at which the feed gave it to the first process: read again, an old
   price stays old.
3. A feed's prices are shared with those who listen to the same feed, and with nobody else.
4. `put` never waits; no call to Redis lasts longer than CALL_SECONDS_MAX.
"""

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick

CALL_SECONDS_MAX = 0.15
"""An exit asks Redis on its way to a price; a local Redis answers within a millisecond."""

PAUSE_AFTER_FAILURE_SECONDS = 0.5
"""Between writes while Redis is away: the ticks of that time are dropped, newer ones follow."""

KEEP_SECONDS = 86_400
"""A tick older than a day serves nobody; it would only take memory."""

_FAILURES = (RedisError, OSError, TimeoutError, msgspec.MsgspecError)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Tick)


class RedisTickCache:
    """Shares ticks between processes. `errors` counts failed calls since the start."""

    def __init__(self, url: str, feed_url: str) -> None:
        """Name the server, as `redis://host:port/number`, and the feed whose prices are shared;
        nothing connects before the first use."""
        self.errors = 0
        self._prefix = f"squareoff:tick:{urlsplit(feed_url).netloc}"
        self._redis = Redis.from_url(
            url,
            socket_timeout=CALL_SECONDS_MAX,
            socket_connect_timeout=CALL_SECONDS_MAX,
            retry=Retry(NoBackoff(), 0),
        )
        # One tick per instrument: what Redis cannot take in time is overwritten, never queued.
        self._pending: dict[InstrumentId, Tick] = {}
        self._has_pending = asyncio.Event()

    def put(self, tick: Tick) -> None:
        """Share a tick; `run` writes it. One that is overtaken by a newer one is never written."""
        self._pending[tick.instrument_id] = tick
        self._has_pending.set()

    async def get(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the shared tick, None where there is none or Redis is away.

        Its age is told by `received_time_ns` alone: `received_monotonic_ns` is 0, since another
        process's monotonic clock means nothing here.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                packed = await self._redis.get(self._key(instrument_id))
            if not isinstance(packed, bytes):
                return None
            tick = _DECODER.decode(packed)
        except _FAILURES:
            self.errors += 1
            return None
        return replace(tick, received_monotonic_ns=0)

    async def run(self) -> None:
        """Write what was put, until cancelled; belongs in the engine's task group."""
        while True:
            await self._has_pending.wait()
            if not await self.flush():
                await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    async def flush(self) -> bool:
        """Write all pending ticks in one round trip; False where Redis did not take them."""
        pending, self._pending = self._pending, {}
        self._has_pending.clear()
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                pipeline = self._redis.pipeline(transaction=False)
                for instrument_id, tick in pending.items():
                    pipeline.set(self._key(instrument_id), _ENCODER.encode(tick), ex=KEEP_SECONDS)
                await pipeline.execute()
        except _FAILURES:
            self.errors += 1
            return False
        return True

    async def close(self) -> None:
        """Release connections."""
        await self._redis.aclose()

    def _key(self, instrument_id: InstrumentId) -> str:
        return f"{self._prefix}:{instrument_id}"
