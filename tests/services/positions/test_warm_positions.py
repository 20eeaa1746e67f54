"""A price near a level keeps the positions warm, and then claim, plan and send are one commit."""

import asyncio
from decimal import Decimal

import pytest

from exit_story.values import TRACKER, report
from service_world.virtual import run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import ExitClaimed, ExitSized, OrderPlanned, OrderSent, TrackerFact
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import BrokerOrderStatus, Side
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.services.positions.warm_positions import REFRESH_SECONDS, WARM_SECONDS_MAX

STOP = RuleSet(stop_loss=PriceRule(price=Decimal("149.00")))
NEAR, FAR, THROUGH = "149.60", "152.00", "148.90"
OTHER = TrackerId("trk-2")
ONE_COMMIT = [ExitClaimed, ExitSized, OrderPlanned, OrderSent]


async def near(world: World, price: str = NEAR) -> PositionTracker:
    """Hold a position whose stop the price comes near, long enough for a warm reading; the order
    stream has been up for long enough too."""
    await asyncio.sleep(READING_LAG_SECONDS)
    tracker = await world.hold(rules=STOP)
    world.tick(price)
    await asyncio.sleep(REFRESH_SECONDS * 1.5)
    return tracker


async def near_other(world: World) -> None:
    """Hold a second position of the same key, with the price near both stops."""
    await asyncio.sleep(READING_LAG_SECONDS)
    await world.hold(tracker_id=OTHER, rules=STOP)
    world.tick(NEAR)
    await asyncio.sleep(REFRESH_SECONDS * 1.5)


def claim_commit(world: World) -> list[type[TrackerFact]]:
    """Return the kinds of facts that were committed together with the claim."""
    found = [
        [type(fact) for fact in change.facts]
        for change in world.store.commits
        if any(isinstance(fact, ExitClaimed) for fact in change.facts)
    ]
    assert len(found) == 1, "claimed once"
    return found[0]


def test_near_a_level_the_exit_leaves_after_one_commit() -> None:
    """The positions were read before the tick, and nothing is read between it and the order."""

    async def body() -> None:
        async with running_world() as world:
            await near(world)
            world.gateway.calls.clear()
            world.tick(THROUGH)
            await settle()

            assert claim_commit(world) == ONE_COMMIT
            assert (
                "positions" not in world.gateway.calls[: world.gateway.calls.index("exit_market")]
            )
            exited = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert exited.exited_quantity == 100

    run_virtual(body())


def test_far_from_every_level_nothing_is_read_ahead() -> None:
    """The broker is not asked five times a second for nothing; the exit reads for itself."""

    async def body() -> None:
        async with running_world() as world:
            await near(world, FAR)
            world.gateway.calls.clear()
            await asyncio.sleep(3.0)

            assert "positions" not in world.gateway.calls
            world.tick(THROUGH)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert claim_commit(world) == [ExitClaimed]
            assert "positions" in world.gateway.calls

    run_virtual(body())


def test_an_old_reading_is_not_used() -> None:
    """Where the readings began to fail, the last good one is soon too old."""

    async def body() -> None:
        async with running_world() as world:
            await near(world)
            world.gateway.failures["positions"] = BrokerUnreachable("away")
            await asyncio.sleep(WARM_SECONDS_MAX + 0.05)
            del world.gateway.failures["positions"]
            world.gateway.hold(world.tracker(TRACKER).key, 25)
            world.tick(THROUGH)
            await settle()

            assert claim_commit(world) == [ExitClaimed]

    run_virtual(body())


def test_without_the_order_stream_strangers_could_close_unheard() -> None:
    """A warm reading is only as good as the stream that tells of what came after it."""

    async def body() -> None:
        async with running_world() as world:
            await near(world)
            world.stream.cut()
            await settle()
            world.tick(THROUGH)
            await settle()

            assert claim_commit(world) == [ExitClaimed]

    run_virtual(body())


@pytest.mark.parametrize(
    ("side", "seconds", "is_warm"),
    [
        (Side.SELL, 0.0, False),
        (Side.SELL, READING_LAG_SECONDS - 1.0, False),
        (Side.SELL, READING_LAG_SECONDS + 1.0, True),
        (Side.BUY, 0.0, True),
    ],
)
def test_a_stranger_who_closes_too_makes_readings_doubtful(
    side: Side, seconds: float, *, is_warm: bool
) -> None:
    """The broker's positions lag: for a while after such an order they are read anew."""

    async def body() -> None:
        async with running_world() as world:
            await near(world)
            world.stream.push(report(BrokerOrderStatus.PENDING, broker_order_id="X9", side=side))
            await asyncio.sleep(seconds)
            world.tick(THROUGH)
            await settle()

            assert claim_commit(world) == (ONE_COMMIT if is_warm else [ExitClaimed])

    run_virtual(body())


@pytest.mark.parametrize(("net", "is_warm"), [(100, True), (125, True), (75, False), (0, False)])
def test_a_reading_that_does_not_cover_it_all_is_read_anew(net: int, *, is_warm: bool) -> None:
    """Who closed what is a question for a new reading and the trade book, not for an old one."""

    async def body() -> None:
        async with running_world() as world:
            await asyncio.sleep(READING_LAG_SECONDS)
            tracker = await world.hold(rules=STOP)
            world.gateway.hold(tracker.key, net)
            world.tick(NEAR)
            await asyncio.sleep(REFRESH_SECONDS * 1.5)
            world.tick(THROUGH)
            await settle()

            assert claim_commit(world) == (ONE_COMMIT if is_warm else [ExitClaimed])
            assert sum(each.order_quantity for each in world.gateway.requests) <= net

    run_virtual(body())


def test_two_positions_of_one_key_fired_by_one_tick_close_each_its_own() -> None:
    """Whoever sizes second sees what the first may still close."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            await near_other(world)
            world.tick(THROUGH)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until_status(OTHER, PositionStatus.EXITED)

            assert sorted(each.order_quantity for each in world.gateway.requests) == [100, 100]

    run_virtual(body())


def test_a_blocked_exit_claims_alone_and_keeps_no_permit() -> None:
    """With the switch at `all` nothing is planned, and no permit is kept from later exits."""

    async def body() -> None:
        async with running_world() as world:
            await near(world)
            await world.engine.desk.set_kill_switch(active=True, level="all", reason="test")
            used = world.engine.status.view().budget_used
            world.tick(THROUGH)
            await asyncio.sleep(1.0)

            assert claim_commit(world) == [ExitClaimed]
            intent = world.tracker(TRACKER).intent
            assert intent is not None and intent.block_reason is BlockReason.KILL_SWITCH
            assert world.engine.status.view().budget_used == used

    run_virtual(body())


def test_a_trailing_stop_near_its_level_is_warm_too() -> None:
    """Near is measured to the level where it stands now."""

    async def body() -> None:
        async with running_world() as world:
            await asyncio.sleep(READING_LAG_SECONDS)
            await world.hold(rules=RuleSet(trailing=TrailingRule(percent=Decimal("0.5"))))
            world.tick("150.50")
            await asyncio.sleep(REFRESH_SECONDS * 1.5)
            world.tick("149.60")
            await settle()

            assert claim_commit(world) == ONE_COMMIT

    run_virtual(body())


def test_a_claim_waits_for_nobody_who_sizes_on_the_key() -> None:
    """The trigger is latched at once; its own sizing comes when the other one is done."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await near(world)
            async with world.engine.exit_engine.book.key_lock(tracker.key):
                world.tick(THROUGH)
                await settle()
                assert claim_commit(world) == [ExitClaimed]
                assert world.gateway.requests == []
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())
