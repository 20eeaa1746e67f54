"""A price for an exit over a real Redis: named, as old as it is, and never waited for in vain."""

import asyncio

from async_body import run_async
from exit_story.values import INSTRUMENT
from service_world.broker import ScriptedGateway
from squareoff.adapters.redis.tick_cache import RedisTickCache
from squareoff.adapters.system import SystemClock
from squareoff.core.state.inputs import PriceView
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.services.prices.ltp_resolver import LtpResolver
from squareoff.services.prices.tick_cache import TickCache

FEED = "wss://feed.example/v2"


def tick(age_seconds: float) -> Tick:
    """Return a tick that another process received this long ago."""
    now, age_ns = SystemClock().now(), round(age_seconds * 1e9)
    wall_ns = now.wall_ns - age_ns
    return Tick(INSTRUMENT.instrument_id, PriceUnits(1_510_000), wall_ns, wall_ns, 12_345)


async def price_over(redis: RedisTickCache) -> PriceView:
    """Return what an exit would be priced with: memory is empty, the broker has a quote."""
    gateway = ScriptedGateway()
    resolver = LtpResolver(TickCache(5.0), redis, gateway, SystemClock(), stale_after_seconds=5.0)
    view = await resolver.resolve(INSTRUMENT)
    assert view is not None
    return view


def test_the_age_of_a_shared_price_is_its_own(redis_database: str) -> None:
    """A tick of two seconds ago is two seconds old at each reading; one of ten is not used."""

    async def body() -> None:
        writer, reader = RedisTickCache(redis_database, FEED), RedisTickCache(redis_database, FEED)
        for age, source in ((2.0, "redis"), (10.0, "quote")):
            writer.put(tick(age))
            assert await writer.flush()
            for _ in range(2):
                view = await price_over(reader)
                assert view.source == source
                if source == "redis":
                    assert age <= view.age_seconds < age + 1.0
        await writer.close()
        await reader.close()

    run_async(body())


def test_a_redis_that_is_away_leaves_the_quote() -> None:
    """Nobody listens: the broker is asked, and nothing is raised."""

    async def body() -> None:
        away = RedisTickCache("redis://127.0.0.1:1/0", FEED)
        assert (await price_over(away)).source == "quote"
        await away.close()

    run_async(body())


def test_a_redis_that_is_silent_leaves_the_quote() -> None:
    """A server that takes the connection and says nothing is given up for the broker's quote."""

    async def body() -> None:
        is_over = asyncio.Event()

        async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await is_over.wait()
            writer.close()

        server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
        silent = RedisTickCache(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", FEED)
        assert (await price_over(silent)).source == "quote"
        await silent.close()
        is_over.set()
        server.close()
        await server.wait_closed()

    run_async(body())
