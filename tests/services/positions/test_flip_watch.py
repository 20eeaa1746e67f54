"""A close by somebody else that met ours on its way is seen and told within seconds (I2d)."""

import asyncio
from dataclasses import replace

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT, TRACKER, new_position
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerUnreachable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, PositionKey, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderRole, OrderType, PositionSide, Side
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.flip_watch import RESTART_WATCH_SECONDS, WATCH_SECONDS

SHORT = TrackerId("trk-short")
KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)


async def _exit(world: World, *, by_hand: int) -> None:
    """Exit the position while a person closes `by_hand` units of it."""
    world.gateway.fills = False
    await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.ACCEPTED)
    if by_hand:
        world.gateway.trade_by_hand(KEY, Side.SELL, by_hand)
    for order_id in tuple(world.gateway.orders):
        world.gateway.fill(order_id)
    await world.until_status(TRACKER, PositionStatus.EXITED)


@pytest.mark.parametrize("by_hand", [75, 1])
def test_a_net_on_the_other_side_of_zero_is_critical_within_two_seconds(by_hand: int) -> None:
    """Our exit and a person's close together cross zero: a person is told at once."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await _exit(world, by_hand=by_hand)
            await asyncio.sleep(2.0)

            assert world.alarms.codes.count("over_exit") == 1
            await asyncio.sleep(30.0)
            assert world.alarms.codes.count("over_exit") == 1

    run_virtual(body())


@pytest.mark.parametrize("part", [None, 60], ids=["all filled", "in part"])
@pytest.mark.parametrize("seconds_away", [5.0, 25.0])
def test_a_dead_trade_book_delays_no_look(seconds_away: float, part: int | None) -> None:
    """Counted from the fill: the close waits for the trade book, the look at the net does not."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.ACCEPTED)
            world.gateway.failures["trade_book"] = BrokerUnreachable("away")
            world.gateway.trade_by_hand(KEY, Side.SELL, 75)
            (order_id,) = world.gateway.orders
            world.gateway.fill(order_id, part)
            await asyncio.sleep(2.0)

            assert world.tracker(TRACKER).status is PositionStatus.EXITING
            assert world.alarms.codes.count("over_exit") == 1
            await asyncio.sleep(seconds_away - 2.0)
            world.gateway.failures.clear()
            await asyncio.sleep(30.0)
            assert world.alarms.codes.count("over_exit") == 1

    run_virtual(body())


def test_a_side_that_was_held_earlier_hides_no_flip() -> None:
    """A short that was closed long ago holds nothing: a net below zero is critical as ever."""

    async def body() -> None:
        async with running_world() as world:
            await _have_held_a_short(world)
            await world.hold()
            await _exit(world, by_hand=40)
            await world.until(lambda: "over_exit" in world.alarms.codes, 2.0)

    run_virtual(body())


def test_a_side_that_the_history_holds_hides_no_flip() -> None:
    """What was loaded at the start may be of the other side too."""

    async def body() -> None:
        first = await make_world()
        async with running(first):
            await _have_held_a_short(first)
            await first.hold()
            await _exit(first, by_hand=40)
        second = await make_world(store=first.store, gateway=first.gateway)
        async with running(second):
            await second.until(lambda: "over_exit" in second.alarms.codes, 5.0)

    run_virtual(body())


async def _have_held_a_short(world: World) -> None:
    await world.hold(tracker_id=SHORT, side=PositionSide.SHORT)
    await world.engine.exit_engine.execute_exit(SHORT, "asked", wait=Wait.FILLED)
    await asyncio.sleep(600.0)


@pytest.mark.parametrize(("by_hand", "is_flagged"), [(0, False), (1, True)])
def test_what_trackers_of_the_other_side_hold_is_no_flip(by_hand: int, is_flagged: bool) -> None:
    """A short entered right after the close of a long stands below zero; one unit more does not."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await _exit(world, by_hand=by_hand)
            world.gateway.fills = True
            await world.engine.exit_engine.open(
                new_position(
                    tracker_id=SHORT, side=PositionSide.SHORT, entry_order_type=OrderType.MARKET
                )
            )
            await world.until_status(SHORT, PositionStatus.ACTIVE)
            assert world.gateway.net(KEY) == -100 - by_hand
            await asyncio.sleep(WATCH_SECONDS + 3.0)

            assert ("over_exit" in world.alarms.codes) is is_flagged

    run_virtual(body())


def test_a_turn_to_the_other_side_and_back_is_no_flip() -> None:
    """A reading that lags shows the first side after the second was closed too."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await _exit(world, by_hand=0)
            world.gateway.fills = True
            await world.hold(tracker_id=SHORT, side=PositionSide.SHORT)
            await world.engine.exit_engine.execute_exit(SHORT, "asked", wait=Wait.FILLED)
            world.gateway.hold(KEY, 100)
            await asyncio.sleep(2.0)
            world.gateway.hold(KEY, -100)
            await asyncio.sleep(2.0)
            world.gateway.hold(KEY, 0)
            await asyncio.sleep(WATCH_SECONDS)

            assert "over_exit" not in world.alarms.codes

    run_virtual(body())


def test_a_plain_close_is_watched_and_let_go() -> None:
    """A flat net raises nothing, and the reading stops after its time."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await _exit(world, by_hand=0)
            await asyncio.sleep(WATCH_SECONDS + 3.0)
            world.gateway.calls.clear()
            await asyncio.sleep(15.0)

            assert "over_exit" not in world.alarms.codes
            assert world.gateway.calls.count("positions") <= 1

    run_virtual(body())


def test_unreadable_positions_only_delay_the_look() -> None:
    """A key is let go only after a reading at the end of its time."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await _exit(world, by_hand=10)
            world.gateway.failures["positions"] = BrokerUnreachable("down")
            await asyncio.sleep(20.0)
            assert "over_exit" not in world.alarms.codes
            del world.gateway.failures["positions"]

            await world.until(lambda: "over_exit" in world.alarms.codes, 5.0)

    run_virtual(body())


def test_an_exit_that_was_given_up_half_way_is_watched_too() -> None:
    """Half was sold, the rest was rejected for good; a person's own close went beyond zero."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(attempts_max=1)) as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.ACCEPTED)
            (order_id,) = world.gateway.orders
            world.gateway.fill(order_id, 50)
            world.gateway.end(order_id, BrokerOrderStatus.REJECTED, "no more")
            await world.until(lambda: _is_given_up(world))
            assert "over_exit" not in world.alarms.codes

            world.gateway.trade_by_hand(KEY, Side.SELL, 75)
            await world.until(lambda: "over_exit" in world.alarms.codes, 2.0)

    run_virtual(body())


def _is_given_up(world: World) -> bool:
    intent = world.tracker(TRACKER).intent
    return intent is not None and intent.status is IntentStatus.NEEDS_HUMAN


def test_a_restart_right_after_the_close_looks_again() -> None:
    """What the last process closed in its last minute is looked at by the next one."""

    async def body() -> None:
        first = await make_world()
        async with running(first):
            await first.hold()
            await _exit(first, by_hand=10)
        second = await make_world(store=first.store, gateway=first.gateway)
        async with running(second):
            await second.until(lambda: "over_exit" in second.alarms.codes, 5.0)

    run_virtual(body())


def test_an_over_exit_of_ours_is_taken_back_where_the_settings_say_so() -> None:
    """A lost order that fills beside its resend: alarmed, and the net is brought back to zero."""

    async def body() -> None:
        policy = ExitPolicy(flatten_over_exit=True)
        async with running_world(policy=policy) as world:
            tracker = await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await world.engine.exit_engine.execute_exit(
                TRACKER, "x", wait=Wait.FILLED, wait_seconds=60.0
            )
            late = world.gateway.accept(world.gateway.requests[0])
            world.gateway.fill(late.broker_order_id)
            await world.until(lambda: "over_exit" in world.alarms.codes, 2.0)
            assert world.gateway.net(tracker.key) == -100
            await asyncio.sleep(3.0)
            messages = [each.message for each in await world.store.alarms()]
            assert not any("Nothing is bought back" in message for message in messages)
            assert any("already told of trk-1" in message for message in messages)

            await world.until(lambda: "over_exit_flattened" in world.alarms.codes, 30.0)
            assert world.gateway.net(tracker.key) == 0
            await asyncio.sleep(60.0)
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


@pytest.mark.parametrize("by_hand", [0, 100])
def test_two_positions_that_closed_too_much_take_back_one_after_the_other(by_hand: int) -> None:
    """Both see the same units beyond zero. Where another program took back a part meanwhile, two
    orders planned on one reading would open a position on the other side."""

    async def body() -> None:
        policy = ExitPolicy(flatten_over_exit=True)
        async with running_world(policy=policy) as world:
            other = TrackerId("trk-2")
            tracker = await world.hold()
            await world.hold(tracker_id=other)
            world.gateway.fills = False
            for name in (TRACKER, other):
                await world.engine.exit_engine.execute_exit(name, "x", wait=Wait.ACCEPTED)
            for request in tuple(world.gateway.requests):  # both orders are there twice
                world.gateway.accept(request)
            if by_hand:
                world.gateway.trade_by_hand(tracker.key, Side.BUY, by_hand)
            for order_id in tuple(world.gateway.orders):
                world.gateway.fill(order_id)
            assert world.gateway.net(tracker.key) == by_hand - 200
            seen = {world.gateway.net(tracker.key)}
            for _ in range(40):
                await asyncio.sleep(3.0)
                for order_id, order in tuple(world.gateway.orders.items()):
                    if order.cumulative_quantity == 0:
                        world.gateway.fill(order_id)
                seen.add(world.gateway.net(tracker.key))

            assert max(seen) == 0
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


@pytest.mark.parametrize("held_seconds", [20.0, 3_600.0])
def test_nothing_is_planned_to_be_taken_back_while_nothing_goes_out(held_seconds: float) -> None:
    """At level `all` no plan is made and given up again each half minute, nor told as under way.
    Within its minute it is taken back; after that a person was told to, and it is his."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(flatten_over_exit=True)) as world:
            tracker = await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await world.engine.exit_engine.execute_exit(
                TRACKER, "x", wait=Wait.FILLED, wait_seconds=60.0
            )
            switch = world.engine.desk.set_kill_switch
            await switch(active=True, level="all", reason="storm")
            late = world.gateway.accept(world.gateway.requests[0])
            world.gateway.fill(late.broker_order_id)
            await asyncio.sleep(held_seconds)
            assert not any(o.role is OrderRole.FLATTEN for o in world.tracker(TRACKER).orders)
            assert "over_exit_flatten" not in world.alarms.codes

            await switch(active=False, level="new", reason="over")
            await asyncio.sleep(120.0)
            is_late = held_seconds > 60.0
            assert world.gateway.net(tracker.key) == (-100 if is_late else 0)
            told = "over_exit_not_flattened" if is_late else "over_exit_flattened"
            assert told in world.alarms.codes

    run_virtual(body())


def test_a_sale_of_delivered_shares_is_no_flip_however_late_the_restart_after_it() -> None:
    """The restart watches the close of a minute ago past the time for which its tracker needs the
    holdings: the positions alone show a short that is none."""

    async def body() -> None:
        identity = replace(INSTRUMENT.instrument_id, exchange_segment=ExchangeSegment.NSE_EQ)
        share = replace(INSTRUMENT, instrument_id=identity, lot_size=1)
        async with running_world() as world:
            await world.hold(instrument=share, product_type=ProductType.CNC)
            world.gateway.deliver()
            await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.FILLED)
            await asyncio.sleep(RESTART_WATCH_SECONDS - 2.0)
        async with running_world(store=world.store, gateway=world.gateway) as restarted:
            await asyncio.sleep(30.0)

            assert restarted.tracker(TRACKER).status is PositionStatus.EXITED
            assert restarted.alarms.codes == []

    run_virtual(body())
