"""Ticks shared through Redis."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from redis.asyncio import Redis

from async_body import run_async
from squareoff.adapters.redis.tick_cache import CALL_SECONDS_MAX, RedisTickCache
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick

FEED = "wss://feed.example/v2"

OPTION = InstrumentId(ExchangeSegment.NSE_FNO, "45123")
EQUITY = InstrumentId(ExchangeSegment.NSE_EQ, "45123")
TICK = Tick(
    OPTION,
    PriceUnits(1_523_500),
    exchange_time_ns=1_789_446_600_000_000_000,
    received_time_ns=1_789_446_600_123_456_789,
    received_monotonic_ns=987,
    best_bid=PriceUnits(1_523_000),
    best_ask=None,
    volume=12_345,
)
# Nobody listens on port 1 of this machine.
AWAY = "redis://127.0.0.1:1/0"


def test_a_tick_reaches_other_processes_as_old_as_it_is(redis_database: str) -> None:
    """Another store reads the same tick with its wall times; only the monotonic time is gone."""

    async def body() -> None:
        writer, reader = RedisTickCache(redis_database, FEED), RedisTickCache(redis_database, FEED)
        writer.put(TICK)
        assert await writer.flush()

        for _ in range(2):
            assert await reader.get(OPTION) == replace(TICK, received_monotonic_ns=0)
        assert reader.errors == 0
        await writer.close()
        await reader.close()

    run_async(body())


def test_instruments_with_the_same_security_id_are_kept_apart(redis_database: str) -> None:
    """The key is segment and security id; an instrument without a tick has none."""

    async def body() -> None:
        store = RedisTickCache(redis_database, FEED)
        store.put(TICK)
        await store.flush()

        assert await store.get(EQUITY) is None
        assert store.errors == 0
        await store.close()

    run_async(body())


def test_running_writes_the_newest_tick_of_each_instrument(redis_database: str) -> None:
    """While `run` is on, what was put arrives; of several ticks the last one counts."""

    async def body() -> None:
        store = RedisTickCache(redis_database, FEED)
        for price in (1, 2, 3):
            store.put(replace(TICK, last_traded_price=PriceUnits(price)))
        running = asyncio.ensure_future(store.run())
        found = None
        while found is None:
            found = await store.get(OPTION)

        assert found.last_traded_price == 3
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await store.close()

    run_async(body())


def test_redis_that_is_away_answers_none_and_is_counted() -> None:
    """Neither reading nor writing raises when Redis is away; each failure counts once."""

    async def body() -> None:
        store = RedisTickCache(AWAY, FEED)
        store.put(TICK)
        assert not await store.flush()
        assert await store.get(OPTION) is None

        assert store.errors == 2
        await store.close()

    run_async(body())


def test_a_silent_server_costs_no_more_than_the_limit() -> None:
    """A server that takes the connection and never answers is given up in time."""

    async def body() -> None:
        is_over = asyncio.Event()

        async def never_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await is_over.wait()
            writer.close()

        server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        store = RedisTickCache(f"redis://127.0.0.1:{port}/0", FEED)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await store.get(OPTION) is None

        assert loop.time() - begun < 4 * CALL_SECONDS_MAX
        assert store.errors == 1
        await store.close()
        is_over.set()
        server.close()
        await server.wait_closed()

    run_async(body())


def test_a_value_that_is_no_tick_is_counted(redis_database: str) -> None:
    """Bytes of another program under our key are no price."""

    async def body() -> None:
        client = Redis.from_url(redis_database)
        await client.set("squareoff:tick:feed.example:NSE_FNO:45123", b"\xc1 not a tick")
        await client.aclose()
        store = RedisTickCache(redis_database, FEED)

        assert await store.get(OPTION) is None
        assert store.errors == 1
        await store.close()

    run_async(body())
