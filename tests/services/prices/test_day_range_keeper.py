"""What was traded while nobody looked shows in the day's range, also after a restart."""

import asyncio
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, TRACKER, held
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.prices.day_ranges import DayRangeTold
from squareoff.core.state.facts import (
    DayRangeNoted,
    ExitClaimed,
    Fact,
    JournalEntry,
    RulesChanged,
    StopMoved,
)
from squareoff.core.state.inputs import RulesSet
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.domain.time import ist_day_number
from squareoff.ports import DayRange
from squareoff.services.prices.day_range_keeper import NOTE_AGAIN_SECONDS, baseline_in

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))
TRAILING = RuleSet(trailing=TrailingRule(points=D(5)))
DAY = ist_day_number(1_789_440_000_000_000_000)


def tell(world: World, price: str, *, high: str, low: str, traded_ago: float = 0.0) -> None:
    """Let a packet tell the day's range and then its tick."""
    now = VirtualClock().now()
    traded_ns = now.wall_ns - round(traded_ago * 1e9)
    units = units_from_decimal(D(price))
    tick = Tick(INSTRUMENT.instrument_id, units, traded_ns, now.wall_ns, now.monotonic_ns, volume=1)
    world.feed.push(DayRange(units_from_decimal(D(high)), units_from_decimal(D(low)), tick))
    world.feed.push(tick)


async def noted(world: World) -> list[tuple[int, int]]:
    """Return the durable ranges in rupees."""
    entries = await world.store.entries(limit=1_000)
    facts = [entry.fact for entry in entries if isinstance(entry.fact, DayRangeNoted)]
    return [(fact.day_high // 10_000, fact.day_low // 10_000) for fact in facts]


async def take_part(world: World, rules: RuleSet) -> None:
    """Hold a position until its range is durable."""
    await world.hold(rules=rules)
    await asyncio.sleep(5)
    tell(world, "150", high="160", low="145")
    await asyncio.sleep(2)
    assert await noted(world) == [(160, 145)]


def test_a_low_between_two_ticks_fires_the_stop() -> None:
    """The reason says that no tick told it, and the claim holds the low."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, STOP)
            tell(world, "150", high="160", low="139.5")
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)

            claims = [f for c in world.store.commits for f in c.facts if isinstance(f, ExitClaimed)]
            assert [claim.trigger.price for claim in claims] == [1_395_000]
            assert "139.50 (the day's new low, traded between two ticks)" in str(
                tracker.exit_reason
            )

    run_virtual(body())


def test_a_range_of_another_day_or_out_of_session_shows_nothing() -> None:
    """The feed tells yesterday's range before the first trade of the day."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, STOP)
            tell(world, "150", high="160", low="139.5", traded_ago=86_400)
            await asyncio.sleep(5)

            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_a_stop_crossed_while_the_process_was_away_fires_after_the_restart() -> None:
    """The price has come back above the stop; the day's low tells."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, STOP)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            tell(again, "150", high="160", low="139.5")
            await again.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_best_price_lost_with_the_process_is_found_again() -> None:
    """The trailing stop stands where it would have stood, and durably so."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, TRAILING)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            tell(again, "163", high="165", low="145")
            await asyncio.sleep(1)

            assert again.tracker(TRACKER).stop_level == 1_600_000

    run_virtual(body())


def test_other_rules_take_part_anew_and_are_noted_anew() -> None:
    """A restart judges them by what was traded since."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, STOP)
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await world.engine.exit_engine.tell(actor, RulesSet(TRAILING))
            await asyncio.sleep(5)
            tell(world, "150", high="160", low="145")
            await asyncio.sleep(2)

            assert await noted(world) == [(160, 145), (160, 145)]

    run_virtual(body())


def test_a_stop_that_moves_is_noted_at_most_once_a_minute() -> None:
    """Writes are bounded, however often it moves."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, TRAILING)
            for step in range(120):
                price = D(150) + D(step) / 10
                tell(world, str(price), high=str(max(D(160), price)), low="145")
                await asyncio.sleep(1)
            await asyncio.sleep(NOTE_AGAIN_SECONDS)

            assert 2 <= len(await noted(world)) <= 4

    run_virtual(body())


def test_a_store_that_is_away_delays_the_note() -> None:
    """It is written as soon as it can be."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            await asyncio.sleep(5)
            world.store.down = StoreUnavailable("away")
            tell(world, "150", high="160", low="145")
            await asyncio.sleep(3)
            world.store.down = None
            await asyncio.sleep(2)

            assert await noted(world) == [(160, 145)]

    run_virtual(body())


def test_a_note_that_was_delayed_holds_the_range_of_its_own_instant() -> None:
    """The stop moved during the outage: an older range after it would fire what it never saw."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(trailing=TrailingRule(points=D(8))))
            await asyncio.sleep(1)
            tell(world, "150", high="151", low="145")
            await asyncio.sleep(4)
            world.store.down = StoreUnavailable("away")
            tell(world, "150", high="151", low="145")
            await asyncio.sleep(2)
            for price, high, low in (("144", 151, 143), ("155", 155, 143), ("165", 165, 143)):
                tell(world, price, high=str(high), low=str(low))
                await asyncio.sleep(1)
            await asyncio.sleep(0.35)
            world.store.down = None
            await asyncio.sleep(3)

            assert await noted(world) == [(165, 143)]
            assert world.tracker(TRACKER).stop_level == 1_570_000
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            tell(again, "160", high="165", low="143")
            await asyncio.sleep(3)

            assert again.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


NOTED = DayRangeNoted(TRACKER, DAY, 1_600_000, 1_450_000)
LATER = DayRangeNoted(TRACKER, DAY, 1_650_000, 1_450_000)
MOVED = StopMoved(TRACKER, 1_600_000, 1_550_000, "trailing")


@pytest.mark.parametrize(
    ("facts", "told", "can_fire"),
    [
        ((NOTED,), NOTED, True),
        ((NOTED, MOVED), NOTED, False),
        ((NOTED, MOVED, LATER), LATER, True),
        ((NOTED, RulesChanged(TRACKER, STOP)), None, False),
        ((NOTED, RulesChanged(TRACKER, STOP), LATER), LATER, True),
        ((DayRangeNoted(TRACKER, DAY - 1, 1_600_000, 1_450_000),), None, False),
        ((MOVED,), None, False),
    ],
)
def test_the_journal_tells_what_is_known_of_today(
    facts: tuple[Fact, ...], told: DayRangeNoted | None, can_fire: bool
) -> None:
    """A range of before other rules is nothing; of before a move it proves a best price only."""
    entries = [JournalEntry(seq, seq, fact, "") for seq, fact in enumerate(facts, start=1)]
    baseline = baseline_in(held(rules=STOP), entries, DAY)

    if told is None:
        assert baseline is None
    else:
        assert baseline is not None
        assert baseline.told == DayRangeTold(told.day, told.day_high, told.day_low)
        assert baseline.can_fire is can_fire


def test_an_extreme_that_was_refused_stays_refused_after_a_restart() -> None:
    """A freak print that no price is near is none; ten minutes later the market is near it."""

    async def body() -> None:
        async with running_world() as world:
            await take_part(world, RuleSet(stop_loss=PriceRule(price=D(120))))
            tell(world, "150", high="160", low="115")
            await asyncio.sleep(2)
            assert (await noted(world))[-1] == (160, 115)
            tell(world, "130", high="160", low="115")
            tell(world, "129", high="160", low="115")
            store = world.store
        again = await make_world(store=store, gateway=world.gateway)
        async with running(again):
            tell(again, "129", high="160", low="115")
            await asyncio.sleep(2)

            assert again.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())
