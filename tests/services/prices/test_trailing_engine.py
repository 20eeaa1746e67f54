"""Moved stops are committed: at once, the newest place, one commit of a position at a time."""

import asyncio
from decimal import Decimal as D

from exit_story.values import TRACKER
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import StopMoved
from squareoff.core.state.inputs import RulesSet
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.rules import RuleSet, TrailingRule
from squareoff.domain.states import PositionStatus

RULES = RuleSet(trailing=TrailingRule(points=D(8), step=D(1)))


def stops(world: World, tracker_id: TrackerId = TRACKER) -> list[int | None]:
    """Return the stops that were committed for a position, oldest first."""
    facts = [fact for commit in world.store.commits for fact in commit.facts]
    return [
        fact.stop_level
        for fact in facts
        if isinstance(fact, StopMoved) and fact.tracker_id == tracker_id
    ]


def test_only_a_moved_stop_is_committed() -> None:
    """A new peak within one step moves nothing, a lower price concerns nobody."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RULES)
            for price in ("165", "165.5", "160", "166", "166.95", "167"):
                world.tick(price)
                await settle()

            assert stops(world) == [1_570_000, 1_580_000, 1_590_000]

    run_virtual(body())


def test_moves_during_a_commit_become_one() -> None:
    """While the store is away the stop runs on in memory; what follows is its newest place."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RULES)
            world.store.down = StoreUnavailable("away")
            for price in ("165", "166", "167", "168", "169", "170"):
                world.tick(price)
                await settle()
            world.store.down = None
            await asyncio.sleep(1.0)
            assert stops(world)[-1] == 1_620_000
            assert len(stops(world)) <= 2
            world.tick("171")
            await settle()

            assert stops(world)[-1] == 1_630_000

    run_virtual(body())


def test_the_stop_in_memory_fires_before_it_is_durable() -> None:
    """A stop that a peak has moved is armed at once, though its commit waits for the store."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RULES)
            world.store.down = StoreUnavailable("away")
            world.tick("165")
            world.tick("157")
            await settle()
            world.store.down = None

            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert tracker.intent is not None
            assert tracker.intent.trigger.level == 1_570_000

    run_virtual(body())


def test_each_of_many_followers_is_committed_and_told_again() -> None:
    """Positions that share every peak are made durable each by itself, move after move."""

    async def body() -> None:
        names = [TrackerId(f"trk-{number}") for number in range(8)]
        async with running_world() as world:
            for name in names:
                rules = RuleSet(trailing=TrailingRule(points=D(8)))
                await world.hold(tracker_id=name, rules=rules)
            for price in ("165", "166", "167"):
                world.tick(price)
                await asyncio.sleep(1.0)
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            for name in names:
                assert stops(world, name) == [1_570_000, 1_580_000, 1_590_000]
                assert again.tracker(name).stop_level == 1_590_000

    run_virtual(body())


def test_looser_rules_set_while_a_stop_is_written_do_not_lose_it() -> None:
    """The rules and the stop are committed after one another: a restart knows the tighter stop."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RULES)
            world.tick("165")
            await settle()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            looser = RuleSet(trailing=TrailingRule(points=D(20)))
            async with actor.lock:  # a decision of the position is under way
                setting = asyncio.create_task(
                    world.engine.exit_engine.tell(actor, RulesSet(looser))
                )
                await settle()
                world.tick("170")
                await settle()
            await setting
            await settle()
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            assert again.tracker(TRACKER).rules == looser
            assert again.tracker(TRACKER).stop_level == 1_620_000

    run_virtual(body())
