"""Quotes share one call a second; nobody waits longer than he said."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

import pytest

from exit_story.values import INSTRUMENT
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.domain.errors import BrokerRateLimited
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.services.prices.quote_turns import (
    INSTRUMENTS_MAX,
    LIMITED_PAUSE_SECONDS,
    QUOTE_SPACING_SECONDS,
    SPARE_WAIT_SECONDS_MAX,
    QuoteTurns,
)

NAME = INSTRUMENT.instrument_id


class NotedQuotes(ScriptedGateway):
    """A broker that takes 0.3 s for a quote call and notes when each came, and how large."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.times: list[float] = []

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Note the call, and answer it."""
        self.sizes.append(len(instrument_ids))
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.3)
        return await super().quotes(instrument_ids)


def names(count: int) -> list[InstrumentId]:
    """Return this many instruments."""
    return [InstrumentId(ExchangeSegment.NSE_FNO, str(number)) for number in range(count)]


def test_a_storm_costs_two_calls() -> None:
    """The first asks at once, all others together a turn later."""

    async def body() -> None:
        gateway = ScriptedGateway()
        turns = QuoteTurns(gateway, VirtualClock())
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(
            *(turns.quote(name, wait_seconds_max=2.5) for name in names(200))
        )

        assert all(quote is not None for quote in found)
        assert gateway.calls == ["quotes", "quotes"]
        assert loop.time() == pytest.approx(QUOTE_SPACING_SECONDS)

    run_virtual(body())


@pytest.mark.parametrize("seed", range(5))
def test_calls_keep_their_distance_and_their_size(seed: int) -> None:
    """However many ask, calls are spaced and hold no more than the broker takes."""

    async def body() -> None:
        gateway = NotedQuotes()
        turns = QuoteTurns(gateway, VirtualClock())
        asking = [turns.quote(name, wait_seconds_max=9.0) for name in names(2_500)]
        found = await asyncio.gather(*asking)

        assert all(quote is not None for quote in found)
        assert max(gateway.sizes) <= INSTRUMENTS_MAX
        gaps = [later - before for before, later in pairwise(gateway.times)]
        assert min(gaps) >= QUOTE_SPACING_SECONDS - 1e-6

    run_virtual(body(), seed)


def test_nobody_waits_longer_than_he_said() -> None:
    """A call that hangs costs the limit, and the next one who asks is served."""

    async def body() -> None:
        gateway, loop = ScriptedGateway(), asyncio.get_running_loop()
        gateway.gates["quotes"] = asyncio.Event()
        turns = QuoteTurns(gateway, VirtualClock())

        assert await turns.quote(NAME, wait_seconds_max=2.5) is None
        assert loop.time() == pytest.approx(2.5)
        gateway.gates.clear()
        quote = await turns.quote(NAME, wait_seconds_max=2.5)
        assert quote is not None

    run_virtual(body())


def test_one_who_leaves_takes_nobody_with_him() -> None:
    """The caller whose turn it is is cancelled: the others get their quotes all the same."""

    async def body() -> None:
        gateway, loop = ScriptedGateway(), asyncio.get_running_loop()
        turns = QuoteTurns(gateway, VirtualClock())
        await turns.quote(NAME, wait_seconds_max=2.5)
        first = loop.create_task(turns.quote(NAME, wait_seconds_max=2.5))
        await settle()
        others = [loop.create_task(turns.quote(n, wait_seconds_max=2.5)) for n in (NAME, *names(2))]
        await settle()
        first.cancel()

        found = await asyncio.gather(*others)
        assert [quote is not None for quote in found] == [True, True, True]

    run_virtual(body())


def test_a_spare_call_takes_no_turn_of_others() -> None:
    """It begins only while nobody waits and the rate allows, and nobody waits for its answer."""

    async def body() -> None:
        gateway, loop = NotedQuotes(), asyncio.get_running_loop()
        turns = QuoteTurns(gateway, VirtualClock())
        gateway.gates["quotes"] = asyncio.Event()
        spare = loop.create_task(turns.spare_call(names(3)))
        await settle()
        waiting = loop.create_task(turns.quote(NAME, wait_seconds_max=2.5))
        await settle()
        assert not turns.has_spare_turn()
        assert await turns.spare_call(names(1)) is None
        await asyncio.sleep(1.2)
        assert gateway.sizes == [3, 1]
        gateway.gates["quotes"].set()

        assert len(await spare or {}) == 3
        assert await waiting is not None
        assert gateway.times[1] == pytest.approx(QUOTE_SPACING_SECONDS)

    run_virtual(body())


def test_a_spare_call_that_hangs_or_fails_is_none() -> None:
    """After too many requests the next one waits for longer."""

    async def body() -> None:
        gateway, loop = ScriptedGateway(), asyncio.get_running_loop()
        turns = QuoteTurns(gateway, VirtualClock())
        gateway.gates["quotes"] = asyncio.Event()
        assert await turns.spare_call(names(1)) is None
        assert loop.time() == pytest.approx(SPARE_WAIT_SECONDS_MAX)
        gateway.gates.clear()
        gateway.failures["quotes"] = BrokerRateLimited("429")
        assert await turns.spare_call(names(1)) is None
        await asyncio.sleep(LIMITED_PAUSE_SECONDS - 0.1)
        assert not turns.has_spare_turn()
        await asyncio.sleep(0.2)
        assert turns.has_spare_turn()

    run_virtual(body())


def test_a_failing_broker_is_no_quote() -> None:
    """Nothing is raised, and an instrument without a quote has none."""

    async def body() -> None:
        gateway = ScriptedGateway()
        turns = QuoteTurns(gateway, VirtualClock())
        gateway.failures["quotes"] = BrokerRateLimited("429")
        assert await turns.quote(NAME, wait_seconds_max=2.5) is None

        gateway.failures.clear()
        gateway.quote_price = None
        assert await turns.quote(NAME, wait_seconds_max=2.5) is None
        gateway.quote_price = Decimal(1)
        assert await turns.quote(NAME, wait_seconds_max=2.5) is not None

    run_virtual(body())
