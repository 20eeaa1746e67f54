"""The book finds owners, counts fills, and knows what other exits may still close."""

import asyncio
from dataclasses import replace

from exit_story.story import Story
from exit_story.values import INSTRUMENT, held, trade
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import running_world
from squareoff.core.commands import LookUpOrder, ReadPositions
from squareoff.core.exit_protocol import decide
from squareoff.core.inputs import ExitAsked, PositionsRead
from squareoff.core.policy import ExitPolicy
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, PositionSide, Side
from squareoff.domain.rules import RuleName, Trigger
from squareoff.services.exit_results import Wait
from squareoff.services.position_book import PositionActor, PositionBook

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
