"""The best price of a position goes on to count: while an exit is open, and over a restart."""

import asyncio
from decimal import Decimal as D

from exit_story.values import TRACKER
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import BestPriceNoted
from squareoff.core.state.inputs import RulesSet, WithdrawAsked
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import BreakEvenRule, PriceRule, RuleName, RuleSet, TrailingRule
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait

TRAILING = RuleSet(trailing=TrailingRule(points=D(8)))
STEPPED = RuleSet(trailing=TrailingRule(points=D(8), step=D(50)))
LATER = RuleSet(trailing=TrailingRule(points=D(8), activate_at_profit_points=D(40)))


async def see(world: World, *prices: str) -> None:
    """Tell prices one after the other."""
    for price in prices:
        world.tick(price)
        await settle()


async def ask_for_exit(world: World) -> None:
    """Ask for an exit that waits for the exchange to open."""
    world.calendar.opens_in_seconds = 3600.0
    await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.CLAIMED)
    await settle()
    assert world.tracker(TRACKER).status is PositionStatus.EXITING


async def take_back(world: World) -> None:
    """Take the exit back: the position is watched again."""
    actor = world.engine.exit_engine.book.get(TRACKER)
    assert actor is not None
    await world.engine.exit_engine.tell(actor, WithdrawAsked("a slip of the hand", "mira"))
    await settle()
    world.calendar.opens_in_seconds = 0.0
    assert world.tracker(TRACKER).status is PositionStatus.ACTIVE


async def set_rules(world: World, rules: RuleSet, tracker_id: TrackerId = TRACKER) -> None:
    """Set other rules."""
    actor = world.engine.exit_engine.book.get(tracker_id)
    assert actor is not None
    await world.engine.exit_engine.tell(actor, RulesSet(rules))
    await settle()


async def fired_at(world: World, tracker_id: TrackerId = TRACKER) -> tuple[RuleName, int | None]:
    """Wait until the position is closed; return the rule and the level that did it."""
    tracker = await world.until_status(tracker_id, PositionStatus.EXITED)
    assert tracker.intent is not None
    return tracker.intent.trigger.rule, tracker.intent.trigger.level


def test_a_best_price_during_an_open_exit_counts_after_it_was_taken_back() -> None:
    """The exit waits while 180 is traded; taken back, the trailing stop stands at 172."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=TRAILING)
            await see(world, "150", "160")
            await ask_for_exit(world)
            await see(world, "170", "180", "174")
            await take_back(world)
            await see(world, "173")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(world, "172")

            assert await fired_at(world) == (RuleName.TRAILING, 1_720_000)

    run_virtual(body())


def test_a_best_price_before_the_exit_that_moved_no_stop_counts_after_it() -> None:
    """188 activates nothing yet; after an exit that was taken back, rules that it does activate
    find it."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=LATER)
            await see(world, "150", "170", "188", "185")
            await ask_for_exit(world)
            await take_back(world)
            await set_rules(world, TRAILING)
            await see(world, "180")

            assert await fired_at(world) == (RuleName.TRAILING, 1_800_000)

    run_virtual(body())


def test_the_stop_of_the_rule_that_was_taken_out_does_not_come_back() -> None:
    """The trailing stop fired and is withdrawn with its rule: at the best price nothing is left of
    it, and the fixed stop still stands."""

    async def body() -> None:
        async with running_world() as world:
            rules = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(8)))
            await world.hold(rules=rules)
            world.calendar.opens_in_seconds = 3600.0
            await see(world, "150", "165", "157", "170")
            assert world.tracker(TRACKER).status is PositionStatus.EXITING
            await take_back(world)
            await see(world, "160", "150", "140.05")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(world, "140")

            assert await fired_at(world) == (RuleName.STOP_LOSS, 1_400_000)

    run_virtual(body())


def test_rules_set_while_an_exit_is_open_count_best_prices_from_then_on() -> None:
    """Without a rule that uses it no best price is kept; with one it is, exit or not."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(stop_loss=PriceRule(points=D(10))))
            await see(world, "150", "170", "150")
            await ask_for_exit(world)
            await set_rules(world, TRAILING)
            await see(world, "155", "163", "160")
            await take_back(world)
            await see(world, "155.05")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(world, "155")

            assert await fired_at(world) == (RuleName.TRAILING, 1_550_000)

    run_virtual(body())


def test_a_best_price_during_an_open_exit_outlasts_a_restart() -> None:
    """180 is traded while the exit waits; after a restart and the withdrawal 172 stands."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=TRAILING)
            await see(world, "150", "160")
            await ask_for_exit(world)
            await see(world, "170", "180", "175")
            await asyncio.sleep(15.0)
        again = await make_world(store=world.store, gateway=world.gateway)
        again.calendar.opens_in_seconds = 3600.0
        async with running(again, until_ready=False):
            await asyncio.sleep(1.0)
            await take_back(again)
            await see(again, "173")
            assert again.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(again, "172")

            assert await fired_at(again) == (RuleName.TRAILING, 1_720_000)

    run_virtual(body())


def test_a_best_price_that_moved_no_stop_outlasts_a_restart() -> None:
    """188 moves no stop of these rules; new ones after a restart find it all the same."""

    async def body() -> None:
        names = {
            TrackerId("trk-step"): STEPPED,
            TrackerId("trk-later"): LATER,
            TrackerId("trk-even"): RuleSet(
                break_even=BreakEvenRule(at_profit_points=D(60), lock_points=D(1))
            ),
        }
        async with running_world() as world:
            for name, rules in names.items():
                await world.hold(tracker_id=name, rules=rules)
            await see(world, "150", "170", "188", "185")
            await asyncio.sleep(15.0)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            await see(again, "185")
            for name in names:
                await set_rules(again, TRAILING, name)
            await see(again, "180.05")
            assert all(again.tracker(name).status is PositionStatus.ACTIVE for name in names)
            await see(again, "180")

            for name in names:
                assert await fired_at(again, name) == (RuleName.TRAILING, 1_800_000)

    run_virtual(body())


def test_best_prices_are_written_at_a_bounded_rate() -> None:
    """In a rally that moves no stop each of 30 positions is written about once in half a minute."""

    async def body() -> None:
        names = [TrackerId(f"trk-{number}") for number in range(30)]
        async with running_world() as world:
            for name in names:
                await world.hold(tracker_id=name, rules=LATER)
            for step in range(300):
                world.tick(str(D(150) + D(step) / 10))
                await asyncio.sleep(0.2)

            written = [
                fact
                for commit in world.store.commits
                for fact in commit.facts
                if isinstance(fact, BestPriceNoted)
            ]
            assert {fact.tracker_id for fact in written} == set(names)
            assert len(written) <= 2 * len(names) + 3

    run_virtual(body())


def test_a_short_position_keeps_its_lowest_price() -> None:
    """The best price of a short position is the lowest one, also over an exit taken back."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(side=PositionSide.SHORT, rules=TRAILING)
            await see(world, "150", "140")
            await ask_for_exit(world)
            await see(world, "130", "120")
            await take_back(world)
            await see(world, "127.95")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(world, "128")

            assert await fired_at(world) == (RuleName.TRAILING, 1_280_000)

    run_virtual(body())
