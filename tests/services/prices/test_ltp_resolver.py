"""A price for an exit from memory, Redis or the broker's quote, each only if fresh and named."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.values import INSTRUMENT
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual
from squareoff.core.state.inputs import PriceView
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerRateLimited
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.services.prices.ltp_resolver import SHARED_WAIT_SECONDS_MAX, LtpResolver
from squareoff.services.prices.tick_cache import TickCache


class Shared:
    """Shared ticks that hold one tick or none."""

    def __init__(self) -> None:
        self.tick: Tick | None = None
        self.reads = 0
        self.hangs = False

    async def get(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the tick."""
        self.reads += 1
        if self.hangs:
            await asyncio.Event().wait()
        return self.tick


class Sources:
    """A resolver with all three sources."""

    def __init__(self) -> None:
        self.cache, self.shared, self.gateway = TickCache(5.0), Shared(), ScriptedGateway()
        self.resolver = LtpResolver(
            self.cache, self.shared, self.gateway, VirtualClock(), stale_after_seconds=5.0
        )

    async def resolve(self) -> PriceView | None:
        """Ask for a price."""
        return await self.resolver.resolve(INSTRUMENT)


def tick(age_seconds: float, price: str = "150.00", *, bid: str | None = None) -> Tick:
    """Return a tick that was received this long ago."""
    now, age = VirtualClock().now(), round(age_seconds * 1e9)
    units = PriceUnits(int(Decimal(price) * 10_000))
    return Tick(
        instrument_id=INSTRUMENT.instrument_id,
        last_traded_price=units,
        exchange_time_ns=now.wall_ns - age,
        received_time_ns=now.wall_ns - age,
        received_monotonic_ns=now.monotonic_ns - age,
        best_bid=None if bid is None else PriceUnits(int(Decimal(bid) * 10_000)),
    )


def test_memory_answers_first_with_its_age() -> None:
    """A fresh tick in memory is enough; nobody else is asked."""

    async def body() -> None:
        sources = Sources()
        sources.cache.put(tick(1.5, bid="149.95"))

        view = await sources.resolve()

        assert view == PriceView(Decimal("150.00"), Decimal("149.95"), None, "memory", 1.5)
        assert (sources.shared.reads, sources.gateway.calls) == (0, [])

    run_virtual(body())


def test_redis_answers_where_memory_is_stale() -> None:
    """A stale memory asks the shared ticks, whose age is by wall clock."""

    async def body() -> None:
        sources = Sources()
        sources.cache.put(tick(5.1))
        sources.shared.tick = tick(2.0, "151.00")

        view = await sources.resolve()

        assert view == PriceView(Decimal("151.00"), None, None, "redis", 2.0)

    run_virtual(body())


@pytest.mark.parametrize("age", [5.1, -1.1])
def test_the_quote_answers_where_redis_is_stale_or_of_the_future(age: float) -> None:
    """A shared tick that is too old, or of a clock that runs ahead, is not used."""

    async def body() -> None:
        sources = Sources()
        sources.shared.tick = tick(age)

        view = await sources.resolve()

        assert view is not None
        assert (view.source, view.last_traded_price) == ("quote", Decimal("152.00"))

    run_virtual(body())


@pytest.mark.parametrize("ahead_seconds", [5.0, 5.1])
def test_a_tick_dated_after_it_came_prices_no_exit(ahead_seconds: float) -> None:
    """Beyond what clocks differ its time is wrong, and so may its price be: the quote answers."""

    async def body() -> None:
        for place in ("memory", "redis"):
            sources = Sources()
            now = tick(0.0)
            traded_ns = now.exchange_time_ns + round(ahead_seconds * 1e9)
            told = replace(now, exchange_time_ns=traded_ns)
            if place == "memory":
                sources.cache.put(told)
            else:
                sources.shared.tick = told
            view = await sources.resolve()

            assert view is not None
            assert view.source == ("quote" if ahead_seconds > 5.0 else place)

    run_virtual(body())


@pytest.mark.parametrize("price", [None, Decimal(0), Decimal(-1)])
def test_no_source_is_no_price(price: Decimal | None) -> None:
    """Without a usable price anywhere the answer is None, never an old or a zero price."""

    async def body() -> None:
        sources = Sources()
        sources.cache.put(tick(60.0))
        sources.gateway.quote_price = price

        assert await sources.resolve() is None

    run_virtual(body())


@pytest.mark.parametrize("error", [BrokerRateLimited("429"), BrokerOutcomeUnknown("8 s")])
def test_it_never_raises(error: Exception) -> None:
    """A broker that fails is a missing price."""

    async def body() -> None:
        sources = Sources()
        sources.gateway.failures["quotes"] = error

        assert await sources.resolve() is None

    run_virtual(body())


def test_an_old_value_read_again_stays_old() -> None:
    """However often a tick is resolved, its age counts from its receipt."""

    async def body() -> None:
        sources = Sources()
        sources.cache.put(tick(0.0))
        ages = []
        for _ in range(4):
            view = await sources.resolve()
            assert view is not None
            ages.append((view.source, view.age_seconds))
            await VirtualClock().sleep(2.0)

        assert ages == [("memory", 0.0), ("memory", 2.0), ("memory", 4.0), ("quote", 0.0)]

    run_virtual(body())


def test_without_redis_the_quote_is_next() -> None:
    """No shared ticks: memory, then the broker."""

    async def body() -> None:
        sources = Sources()
        resolver = LtpResolver(
            sources.cache, None, sources.gateway, VirtualClock(), stale_after_seconds=5.0
        )
        view = await resolver.resolve(replace(INSTRUMENT, trading_symbol="X"))

        assert view is not None
        assert view.source == "quote"

    run_virtual(body())


def test_a_redis_that_hangs_costs_an_exit_its_bound_once() -> None:
    """The quote is asked after 150 ms, and for a while Redis is not asked at all."""

    async def body() -> None:
        sources, loop = Sources(), asyncio.get_running_loop()
        sources.shared.hangs = True
        view = await sources.resolve()

        assert view is not None
        assert view.source == "quote"
        assert loop.time() == pytest.approx(SHARED_WAIT_SECONDS_MAX)
        await VirtualClock().sleep(0.5)
        begun = loop.time()
        await sources.resolve()
        assert sources.shared.reads == 1
        assert loop.time() - begun < 1.1  # the turn of the quotes, not Redis
        await VirtualClock().sleep(1.0)
        sources.shared.hangs, sources.shared.tick = False, tick(1.0)
        found = await sources.resolve()
        assert found is not None
        assert found.source == "redis"

    run_virtual(body())


def test_a_shared_tick_of_a_clock_that_runs_ahead_a_little_is_new() -> None:
    """Two hosts disagree by milliseconds: that is no reason to lose a price, nor a negative age."""

    async def body() -> None:
        sources = Sources()
        sources.shared.tick = tick(-0.2)
        view = await sources.resolve()

        assert view is not None
        assert (view.source, view.age_seconds) == ("redis", 0.0)

    run_virtual(body())


def test_a_shared_tick_read_again_stays_old() -> None:
    """A tick from another process ages from its own receipt, however often it is read."""

    async def body() -> None:
        sources = Sources()
        sources.shared.tick = tick(4.0)
        ages = []
        for _ in range(2):
            view = await sources.resolve()
            assert view is not None
            ages.append((view.source, round(view.age_seconds, 3)))
            await VirtualClock().sleep(1.5)

        assert ages == [("redis", 4.0), ("quote", 0.0)]

    run_virtual(body())
