"""The book finds owners, counts fills, and knows what other exits may still close."""

import asyncio
import random
from dataclasses import replace

from exit_story.story import Story
from exit_story.values import INSTRUMENT, held, trade
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import running_world
from squareoff.core.exits.exit_protocol import decide
from squareoff.core.state.commands import LookUpOrder, ReadPositions
from squareoff.core.state.inputs import ExitAsked, PositionsRead
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.tracker import BrokerOrder, PositionTracker
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderRole, PositionSide, Side
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import OrderState, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.position_book import PositionActor, PositionBook

OTHER = TrackerId("trk-2")


async def plan(book: PositionBook, actor: PositionActor) -> None:
    """Claim and plan the exit of an actor, without reading any positions."""
    asked = ExitAsked(IntentId("exit-1"), "x", Trigger(RuleName.MANUAL))
    for event in (asked, PositionsRead(None, 0, 1.0)):
        book.apply(
            actor, decide(actor.tracker, actor.pacing, event, VirtualClock().now(), ExitPolicy())
        )


def test_others_leaves_are_those_of_the_same_key_and_side() -> None:
    """Only planned and live exits of other trackers on the key, of the same side, count."""

    async def body() -> None:
        book = PositionBook()
        actors = [
            book.add(held(**changes))
            for changes in (
                {},
                {"tracker_id": OTHER, "quantity": 50},
                {"tracker_id": TrackerId("trk-3"), "product_type": ProductType.MARGIN},
                {"tracker_id": TrackerId("trk-4"), "side": PositionSide.SHORT},
            )
        ]
        for actor in actors:
            await plan(book, actor)

        assert book.others_leaves(actors[0].tracker) == 50
        assert book.others_leaves(actors[1].tracker) == 100
        assert book.others_leaves(actors[2].tracker) == 0
        assert len(book.on_instrument(INSTRUMENT.instrument_id)) == len(book) == 4

    run_virtual(body())


def test_sums_of_a_key_are_those_of_its_trackers() -> None:
    """Whatever becomes of whichever tracker, and whenever is asked: each sum is that of a walk."""

    async def body() -> None:
        chance, book, answers = random.Random(11), PositionBook(), set[tuple[int, ...]]()
        sides = [chance.choice(list(PositionSide)) for _ in range(6)]
        actors = [
            book.add(held(tracker_id=TrackerId(f"trk-{number}"), side=side, quantity=10 + number))
            for number, side in enumerate(sides)
        ]
        key = actors[0].tracker.key
        for _ in range(300):
            await befall(book, chance.choice(actors), chance)
            if chance.random() < 0.4:
                continue  # several changes before the next question
            walked = [actor.tracker for actor in actors]
            one = chance.choice(walked)
            found = sums_of(book, one)
            assert found == walked_sums(walked, one)
            answers.add(found)

        assert book.signed_fills(key) != 0
        assert len(answers) > 20

    run_virtual(body())


async def befall(book: PositionBook, actor: PositionActor, chance: random.Random) -> None:
    """Let something become of one tracker: an exit planned, filled, ended, or closed by others."""
    tracker = actor.tracker
    orders = tuple(
        replace(
            order,
            state=chance.choice(list(OrderState)),
            broker_orders=(
                BrokerOrder(
                    BrokerOrderId(f"B-{order.client_order_id}"),
                    chance.choice(list(BrokerOrderStatus)),
                    chance.randint(0, order.order_quantity),
                    None,
                ),
            ),
        )
        for order in tracker.orders
    )
    if not orders:
        await plan(book, actor)
    elif chance.random() < 0.2:
        book.replace(actor, replace(tracker, orders=(), status=PositionStatus.ACTIVE), 0)
    else:
        status = chance.choice([PositionStatus.EXITING, PositionStatus.EXITED])
        closed = chance.randint(0, tracker.quantity)
        after = replace(tracker, orders=orders, status=status, externally_closed_quantity=closed)
        book.replace(actor, after, 0)


def sums_of(book: PositionBook, one: PositionTracker) -> tuple[int, ...]:
    """Return what the book says of a tracker and its key."""
    return (
        book.others_leaves(one), book.others_open(one), book.opposed_open(one),
        book.exit_leaves(one.key), book.signed_fills(one.key),
        book.is_moving(one.key), book.is_unsettled(one.key),
    )  # fmt: skip


def walked_sums(trackers: list[PositionTracker], one: PositionTracker) -> tuple[int, ...]:
    """Return the same by walking every tracker."""
    open_ones = [each for each in trackers if not each.status.is_final]
    beside = [each for each in trackers if each is not one and each.side is one.side]
    orders = [order for each in trackers for order in each.orders]
    moving = [order for order in orders if order.state.is_live or order.leaves_quantity]
    return (
        sum(each.exit_leaves_quantity for each in beside),
        sum(each.open_quantity for each in beside if each in open_ones),
        sum(each.open_quantity for each in open_ones if each.side is not one.side),
        sum(each.exit_leaves_quantity for each in trackers),
        sum(order.cumulative_quantity * (1 if order.side is Side.BUY else -1) for order in orders),
        bool(moving),
        any(order.role is not OrderRole.EXIT or not order.is_resting for order in moving),
    )


def test_an_owner_is_found_by_either_id() -> None:
    """Our id counts first; a record without it is found by the broker's."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            tracker_id = next(iter(world.engine.exit_engine.book)).tracker.tracker_id
            await world.engine.exit_engine.execute_exit(tracker_id, "x", wait=Wait.FILLED)
            book = world.engine.exit_engine.book
            ours = world.gateway.requests[0].client_order_id

            for client_order_id in (ours, None, ClientOrderId("somebody-elses")):
                owner = book.owner_of(client_order_id, BrokerOrderId("B1"))
                assert owner is not None
                assert owner[1] == ours
            assert book.owner_of(None, BrokerOrderId("B2")) is None
            assert book.own_broker_order_ids() == {"B1"}

    run_virtual(body())


def test_fills_are_counted_by_key() -> None:
    """A reading is overtaken by a fill on its own key, and by no other."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            other = await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            book = world.engine.exit_engine.book
            before = book.fill_count
            await world.engine.exit_engine.execute_exit(tracker.tracker_id, "x", wait=Wait.FILLED)

            assert book.has_filled_since(tracker.key, before)
            assert not book.has_filled_since(tracker.key, book.fill_count)
            assert not book.has_filled_since(other.key, before)
            assert book.signed_fills(tracker.key) == -100

    run_virtual(body())


def test_a_command_ends_only_itself() -> None:
    """The end of a command leaves one of the same kind alone that was started since."""
    actor = PositionActor(held())
    key, first, second = ("ReadPositions", "", ""), ReadPositions(), ReadPositions()
    actor.in_flight[key] = first
    actor.end_command(key, first)
    actor.in_flight[key] = second
    actor.end_command(key, first)

    assert actor.in_flight == {key: second}
    actor.end_command(("LookUpOrder", "x", ""), LookUpOrder(ClientOrderId("x")))


def test_everybody_who_waits_sees_every_change() -> None:
    """No change is missed, and whoever waits for another one goes on waiting."""

    async def body() -> None:
        actor, seen = PositionActor(held()), list[int]()
        count = 0

        async def wait_for(number: int) -> None:
            await actor.wait_until(lambda: count >= number)
            seen.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in (3, 1, 2):
                tasks.create_task(wait_for(number))
            for _ in range(3):
                await settle(3)
                count += 1
                actor.announce()

        assert seen == [1, 2, 3]

    run_virtual(body())


def test_a_trade_book_explains_a_key_only_whole_and_without_strangers() -> None:
    """All our fills must be in it, and nobody else's lately: else a reading may hide a close."""
    story = Story().claim()
    story.permit()
    story.accept()
    story.see(BrokerOrderStatus.CANCELLED, 50)
    book = PositionBook()
    key = book.add(story.tracker).tracker.key
    ours = trade(50, broker_order_id="B1")
    stranger = trade(50, broker_order_id="APP", exchange_time_ns=10_000)

    assert book.explains(key, Side.SELL, [ours], since_ns=5_000)
    assert not book.explains(key, Side.SELL, [], since_ns=5_000)
    assert not book.explains(key, Side.SELL, [trade(25, broker_order_id="B1")], since_ns=5_000)
    assert not book.explains(key, Side.SELL, [ours, stranger], since_ns=5_000)
    assert book.explains(key, Side.SELL, [ours, stranger], since_ns=20_000)
    assert book.explains(
        key, Side.SELL, [ours, replace(stranger, product_type=ProductType.MARGIN)], since_ns=5_000
    )
    nameless = replace(stranger, exchange_time_ns=None)
    assert not book.explains(key, Side.SELL, [ours, nameless], since_ns=5_000)
    assert book.explains(key, Side.SELL, [ours, replace(nameless, side=Side.BUY)], since_ns=5_000)


def test_a_wake_up_stands_until_another_instant_is_wanted() -> None:
    """The same instant leaves the timer that is set; another, or none, takes it back."""

    async def body() -> None:
        actor = PositionActor(held())
        woken: list[int] = []
        loop = asyncio.get_running_loop()

        assert not actor.is_to_wake_at(5)
        first = actor.wake_handle = loop.call_later(1, woken.append, 5)
        assert actor.is_to_wake_at(5)
        assert not first.cancelled()
        assert not actor.is_to_wake_at(7)
        assert first.cancelled()
        second = actor.wake_handle = loop.call_later(2, woken.append, 7)
        assert not actor.is_to_wake_at(None)
        assert second.cancelled()
        await asyncio.sleep(3)

        assert woken == []

    run_virtual(body())
