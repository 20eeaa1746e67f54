"""Our book is compared with the broker's: at start, when asked, on the timer, fast in flight."""

import asyncio
from dataclasses import replace
from datetime import time
from decimal import Decimal

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT, TRACKER
from service_world.broker import ScriptedGateway
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import BooksReconciled
from squareoff.core.state.inputs import UntrackAsked
from squareoff.core.state.policy import READING_SPACING_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerUnreachable, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.reconciler import UNREADABLE

KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
RULES = RuleSet(stop_loss=PriceRule(points=Decimal(10)))


async def reconciled(world: World) -> list[BooksReconciled]:
    """Return the comparisons that were journalled."""
    entries = await world.store.entries()
    return [entry.fact for entry in entries if isinstance(entry.fact, BooksReconciled)]


def test_the_start_repeats_until_the_books_were_read() -> None:
    """An engine that cannot read the books at its start goes on trying and is not ready."""

    async def body() -> None:
        world = await make_world()
        world.gateway.failures["positions"] = BrokerUnreachable("down")
        async with running(world, until_ready=False):
            await asyncio.sleep(20.0)
            assert not world.engine.status.view().is_ready
            assert world.engine.reconciler.age_seconds() is None
            del world.gateway.failures["positions"]

            await world.until(lambda: world.engine.status.view().is_ready)
            assert world.engine.reconciler.age_seconds() is not None

    run_virtual(body())


@pytest.mark.parametrize("book", ["order_book", "positions"])
def test_a_start_that_cannot_read_the_books_is_told(book: str) -> None:
    """Until then no exit leaves, claimed or not: a person hears of it once, and of its end, which
    may be that of another process."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
        again = await make_world(store=world.store, gateway=world.gateway)
        again.gateway.failures[book] = BrokerUnreachable("down")
        async with running(again, until_ready=False):
            await asyncio.sleep(20.0)
            assert again.alarms.codes == []
            await asyncio.sleep(25.0)
            assert again.alarms.codes == ["books_not_compared"]
        del again.gateway.failures[book]

        async with running_world(store=world.store, gateway=world.gateway) as last:
            await last.until(lambda: "books_not_compared" in last.alarms.codes)
            assert last.alarms.heard[-1][2].startswith("OVER: ")

    run_virtual(body())


def test_the_timer_compares_every_half_minute() -> None:
    """In quiet times the books are read once per interval, and the age tells when."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await asyncio.sleep(5.0)
            world.gateway.calls.clear()
            await asyncio.sleep(120.0)

            assert world.gateway.calls.count("positions") == 4
            age = world.engine.reconciler.age_seconds()
            assert age is not None
            assert age <= 30.0

    run_virtual(body())


async def exit_waits_for_a_reading(world: World, tracker: PositionTracker) -> None:
    """Ask for an exit while the positions cannot be read: nothing may go out on our word."""
    world.gateway.failures["positions"] = BrokerUnreachable("away")
    await world.engine.desk.exit(tracker.tracker_id, "asked", Wait.CLAIMED, 1.0)
    await asyncio.sleep(8.0)

    intent = world.tracker(tracker.tracker_id).intent
    assert intent is not None
    assert intent.block_reason is BlockReason.POSITIONS_UNREADABLE
    assert world.gateway.calls.count("exit_market") == 0


def test_a_book_that_was_seen_to_be_wrong_is_no_ground_for_an_exit() -> None:
    """Where the broker showed less than we hold, an exit waits for a reading: never our word."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.hold(KEY, 0)
            assert await world.engine.reconciler.reconcile("asked")
            assert world.engine.reconciler.agreed_age_seconds(tracker) is None
            await exit_waits_for_a_reading(world, tracker)

    run_virtual(body())


def test_each_comparison_tells_of_what_is_missing() -> None:
    """As long as the broker shows less than we hold, and not of what is all there."""

    async def body() -> None:
        async with running_world() as world:
            told: list[PositionKey] = []
            world.engine.reconciler.on_short(told.append)
            tracker = await world.hold()
            await world.engine.reconciler.reconcile("asked")
            assert told == []
            world.gateway.hold(KEY, tracker.quantity - 25)
            await world.engine.reconciler.reconcile("asked")
            await world.engine.reconciler.reconcile("asked")
            assert told == [KEY, KEY]

    run_virtual(body())


def test_a_position_that_no_comparison_has_seen_is_no_ground_for_an_exit() -> None:
    """It was named after the books agreed and may not be held: an exit would open it."""

    async def body() -> None:
        async with running_world() as world:
            await world.engine.reconciler.reconcile("asked")
            tracker = await world.hold()
            world.gateway.hold(KEY, 0)
            await exit_waits_for_a_reading(world, tracker)

    run_virtual(body())


def test_a_live_exit_is_polled_every_second() -> None:
    """While an order is live the order book is read fast: a silent stream delays by a second."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            world.gateway.publish = lambda report: None
            world.gateway.fill(next(iter(world.gateway.orders)))
            started = asyncio.get_running_loop().time()

            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert asyncio.get_running_loop().time() - started < 2.1

    run_virtual(body())


def test_a_difference_is_alarmed_after_two_readings() -> None:
    """A mismatch that stands twice is alarmed once; one that passes is not; a new one is again."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            desk = world.engine.desk
            assert await desk.reconcile() == ()

            world.gateway.hold(tracker.key, 125)
            first = await desk.reconcile()
            assert len(first) == 1
            assert "100" in first[0]
            assert "125" in first[0]
            assert world.alarms.codes == []
            await desk.reconcile()
            await desk.reconcile()
            assert world.alarms.codes == ["position_mismatch"]

            world.gateway.hold(tracker.key, 100)
            await desk.reconcile()
            await asyncio.sleep(61.0)  # sooner it would be the same alarm, told once
            world.gateway.hold(tracker.key, 125)
            await desk.reconcile()
            assert world.alarms.codes == ["position_mismatch"]
            await desk.reconcile()
            assert world.alarms.codes == ["position_mismatch"] * 2
            assert world.gateway.requests == []

    run_virtual(body())


def test_an_unreadable_book_is_no_difference() -> None:
    """A failed reading is told as such and alarms nothing."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.failures["order_book"] = BrokerUnreachable("down")

            assert await world.engine.desk.reconcile() == (UNREADABLE,)
            assert world.alarms.codes == []

    run_virtual(body())


def test_a_mismatch_of_the_last_process_is_over_once_the_books_agree() -> None:
    """The next process ends the alarm by its own first comparison."""

    async def body() -> None:
        first = await make_world()
        async with running(first):
            tracker = await first.hold()
            first.gateway.hold(tracker.key, 60)
            await first.until(lambda: "position_mismatch" in first.alarms.codes, 120.0)
        first.gateway.hold(tracker.key, 100)
        second = await make_world(store=first.store, gateway=first.gateway)
        async with running(second):
            await asyncio.sleep(60.0)

            assert [each.is_open for each in await second.engine.desk.alarms()] == [False]

    run_virtual(body())


@pytest.mark.parametrize("seed", range(6))
def test_foreign_positions_are_adopted_once(seed: int) -> None:
    """However many comparisons run at once, a foreign position gets one tracker."""

    async def body() -> None:
        gateway = ScriptedGateway()
        gateway.hold(KEY, -50)
        async with running_world(gateway=gateway, adopt_rules=RULES) as world:
            world.store.gate = asyncio.Event()
            await asyncio.sleep(READING_SPACING_SECONDS)
            asking = [
                asyncio.get_running_loop().create_task(world.engine.desk.reconcile())
                for _ in range(4)
            ]
            await settle()
            world.store.gate.set()
            await asyncio.gather(*asking)

            (view,) = world.engine.desk.trackers()
            assert (view.quantity, view.side.value, view.rules) == (50, "SHORT", RULES)
            assert view.status is PositionStatus.ACTIVE

    run_virtual(body(), seed)


@pytest.mark.parametrize("product", [ProductType.INTRADAY, ProductType.MARGIN])
def test_an_adopted_position_that_carries_forward_has_no_square_off_time(
    product: ProductType,
) -> None:
    """The default rules' time closes what is intraday; what carries keeps their other rules."""

    async def body() -> None:
        gateway = ScriptedGateway()
        gateway.hold(replace(KEY, product_type=product), 50)
        rules = replace(RULES, square_off_at=time(15, 15))
        async with running_world(gateway=gateway, adopt_rules=rules) as world:
            await asyncio.sleep(READING_SPACING_SECONDS)
            await world.engine.desk.reconcile()

            (view,) = world.engine.desk.trackers()
            assert view.rules == (rules if product is ProductType.INTRADAY else RULES)

    run_virtual(body())


def test_nothing_is_adopted_without_the_setting_or_its_terms() -> None:
    """Foreign positions are left alone by default."""

    async def body() -> None:
        gateway = ScriptedGateway()
        gateway.hold(KEY, 50)
        async with running_world(gateway=gateway) as world:
            await world.engine.desk.reconcile()

            assert world.engine.desk.trackers() == ()

    run_virtual(body())


def test_a_store_that_is_away_delays_the_adoption_and_ends_nothing() -> None:
    """An adoption that cannot be committed is made by a later comparison."""

    async def body() -> None:
        gateway = ScriptedGateway()
        async with running_world(gateway=gateway, adopt_rules=RULES) as world:
            gateway.hold(KEY, 50)
            world.store.down = StoreUnavailable("away")
            await world.engine.desk.reconcile()
            await asyncio.sleep(READING_SPACING_SECONDS + 1.0)
            assert world.engine.desk.trackers() == ()
            world.store.down = None
            await asyncio.sleep(40.0)

            assert len(world.engine.desk.trackers()) == 1

    run_virtual(body())


def test_an_overtaken_reading_adopts_nothing() -> None:
    """A reading from before our own exit does not bring the closed position back."""

    async def body() -> None:
        async with running_world(adopt_rules=RULES) as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            gate = world.gateway.gates["positions"] = asyncio.Event()
            asked = asyncio.get_running_loop().create_task(world.engine.desk.reconcile())
            await settle()
            world.gateway.fill(next(iter(world.gateway.orders)))
            await world.until_status(TRACKER, PositionStatus.EXITED)
            gate.set()
            await asked
            await asyncio.sleep(60.0)

            assert len(world.engine.desk.trackers()) == 1

    run_virtual(body())


def test_comparisons_are_journalled_with_their_cause() -> None:
    """Start, reconnect and request leave a fact; a quiet timer leaves none."""

    async def body() -> None:
        async with running_world() as world:
            await world.engine.desk.reconcile()
            await asyncio.sleep(100.0)

            causes = {fact.cause for fact in await reconciled(world)}
            assert causes >= {"start", "asked"}
            assert "timer" not in causes

    run_virtual(body())


def test_two_sides_that_net_to_zero_are_compared_too() -> None:
    """A long and a short tracker on one key owe a net of zero; a stranger's trade shows."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            await world.hold(tracker_id=TrackerId("trk-2"), side=PositionSide.SHORT)
            assert await world.engine.desk.reconcile() == ()
            world.gateway.hold(tracker.key, 30)

            assert len(await world.engine.desk.reconcile()) == 1

    run_virtual(body())


def test_a_position_let_go_is_neither_missed_nor_adopted() -> None:
    """What a person let go today is theirs: no difference, and no new tracker for it."""

    async def body() -> None:
        async with running_world(adopt_rules=RULES) as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await world.engine.exit_engine.tell(actor, UntrackAsked("mine", "mira"))

            assert await world.engine.desk.reconcile() == ()
            assert len(world.engine.exit_engine.book) == 1

    run_virtual(body())


def test_an_order_declared_absent_is_watched_every_second() -> None:
    """A lost order may still come: found by the fast comparison, not by the half minute's."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            result = await world.engine.exit_engine.execute_exit(
                TRACKER, "x", wait=Wait.FILLED, wait_seconds=60.0
            )
            assert result.code is ExitCode.EXITED
            await asyncio.sleep(10.0)  # nobody watches any more whether the net has flipped
            world.gateway.publish = lambda report: None
            late = world.gateway.accept(world.gateway.requests[0])
            world.gateway.fill(late.broker_order_id)
            started = asyncio.get_running_loop().time()

            await world.until(lambda: "over_exit" in world.alarms.codes, 5.0)
            assert asyncio.get_running_loop().time() - started <= 2.0

    run_virtual(body())


def test_what_one_position_closed_too_much_does_not_hide_what_another_lacks() -> None:
    """A late order of the first sold the units of the second: their sum agrees with the broker, and
    the second holds nothing all the same."""

    async def body() -> None:
        async with running_world() as world:
            first = await world.hold(quantity=50)
            await world.hold(tracker_id=TrackerId("trk-2"), quantity=50)
            await world.engine.desk.reconcile()
            world.gateway.answers.append(BrokerOutcomeUnknown("timeout"))
            world.tick("152.00")
            await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            late = world.gateway.accept(world.gateway.requests[0])
            world.gateway.fill(late.broker_order_id)
            await asyncio.sleep(60.0)

            assert world.gateway.net(first.key) == 0
            assert "over_exit" in world.alarms.codes
            assert await world.engine.desk.reconcile() == (
                f"{first.key}: our trackers hold 50, the broker shows 0",
            )
            assert "position_mismatch" in world.alarms.codes

    run_virtual(body())
