"""A preview is the exit's own decision: the same orders, and nothing happens."""

from decimal import Decimal as D
from typing import Any

import pytest

from exit_story.values import TRACKER
from service_world.virtual import run_virtual
from service_world.world import World, running_world
from squareoff.core.state.facts import OrderPlanned, OrderSent
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.errors import BrokerRejected
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import OrderType, PositionSide, Side
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.services.desk.desk_requests import UnknownTracker
from squareoff.services.desk.exit_preview import ExitPreview
from squareoff.services.exits.exit_results import Wait


async def preview_of(world: World, tracker_id: str = TRACKER) -> ExitPreview:
    """Return the preview of one position's exit."""
    (found,) = await world.engine.desk.screen.exit_previews(TrackerId(tracker_id))
    return found


async def sent_by(world: World) -> list[tuple[Any, ...]]:
    """Exit the position and return what its journal says was sent."""
    desk = world.engine.desk
    await desk.exit(TRACKER, "by hand", Wait.FILLED, 8.0)
    facts = [entry.fact for entry in await desk.journal(tracker_id=TRACKER)]
    planned = [fact for fact in facts if isinstance(fact, OrderPlanned)]
    prices = {fact.client_order_id: fact for fact in facts if isinstance(fact, OrderSent)}
    return [(p.side, p.order_quantity, prices[p.client_order_id].limit_price) for p in planned]


@pytest.mark.parametrize("side", list(PositionSide))
@pytest.mark.parametrize("quantity", [100, 3_700], ids=["one order", "sliced"])
def test_what_is_shown_is_what_is_sent(side: PositionSide, quantity: int) -> None:
    """Side, quantity and price of every slice are those of the exit that follows."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(side=side, quantity=quantity)
            world.tick("152.00")
            head = await world.engine.desk.journal_head()
            shown = await preview_of(world)

            assert await world.engine.desk.journal_head() == head
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            orders = [(o.side, o.quantity, o.limit_price) for o in shown.orders]
            assert orders == await sent_by(world)
            assert len(orders) == (1 if quantity == 100 else 3)
            assert (shown.why, shown.broker_net_quantity) == ("", side.sign * quantity)
            assert {o.price_source for o in shown.orders} == {"memory"}

    run_virtual(body())


def test_without_a_fresh_price_the_order_has_none_yet() -> None:
    """It is planned all the same, and priced when it leaves."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            shown = await preview_of(world)

            assert [(o.side, o.quantity, o.limit_price) for o in shown.orders] == [
                (Side.SELL, 100, None)
            ]
            assert shown.orders[0].order_type is OrderType.LIMIT

    run_virtual(body())


def test_it_never_shows_more_than_the_broker_holds() -> None:
    """Half of it was closed by somebody else: half is shown; all of it: nothing, and why."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.tick("152.00")
            world.gateway.hold(tracker.key, 50)
            half = await preview_of(world)
            world.gateway.hold(tracker.key, 0)
            nothing = await preview_of(world)

            assert [o.quantity for o in half.orders] == [50]
            assert nothing.orders == ()
            assert "does not show it free" in nothing.why

    run_virtual(body())


def test_what_stands_before_it_is_told() -> None:
    """A closed market and the kill switch hold it up; a position that is exiting sends nothing."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.tick("152.00")
            world.calendar.opens_in_seconds = 60.0
            closed = await preview_of(world)
            world.calendar.opens_in_seconds = 0.0
            desk = world.engine.desk
            await desk.set_kill_switch(active=True, level="all", reason="test")
            halted = await preview_of(world)
            await desk.exit(TRACKER, "by hand", Wait.CLAIMED, 1.0)
            exiting = await preview_of(world)

            assert "closed and takes no orders" in closed.why
            assert "kill switch stands at level all" in halted.why
            assert halted.orders != ()
            assert (exiting.orders, exiting.why) == (
                (),
                "an exit is under way already: nothing more is sent",
            )

    run_virtual(body())


def test_an_exit_in_a_persons_hands_shows_what_a_new_wish_sends() -> None:
    """Its attempts are used up: asked for again it goes on, and that is what the preview shows."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(attempts_max=1)) as world:
            await world.hold()
            world.tick("152.00")
            world.gateway.answers.append(BrokerRejected("no", code="DH-906", text="try"))
            desk = world.engine.desk
            await desk.exit(TRACKER, "by hand", Wait.CLAIMED, 1.0)
            await world.until(lambda: _intent_status(world) is IntentStatus.NEEDS_HUMAN)
            head = await desk.journal_head()
            world.tick("151.90")
            shown = await preview_of(world)

            assert await desk.journal_head() == head
            assert _intent_status(world) is IntentStatus.NEEDS_HUMAN
            assert shown.why == ""
            assert shown.broker_net_quantity == 100
            orders = [(o.side, o.quantity, o.limit_price) for o in shown.orders]
            assert orders == (await sent_by(world))[1:]
            assert len(orders) == 1

    run_virtual(body())


def _intent_status(world: World) -> IntentStatus | None:
    intent = world.tracker(TRACKER).intent
    return None if intent is None else intent.status


def test_all_positions_are_shown_on_one_reading() -> None:
    """Without an id everything that is open is shown; an id that never was is refused."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.hold(tracker_id=TrackerId("trk-2"))
            world.tick("152.00")
            shown = await world.engine.desk.screen.exit_previews(None)

            assert [p.tracker.id for p in shown] == [TRACKER, "trk-2"]
            assert [sum(o.quantity for o in p.orders) for p in shown] == [100, 100]
            assert all(D(0) < (o.limit_price or D(0)) for p in shown for o in p.orders)
            with pytest.raises(UnknownTracker):
                await preview_of(world, "nobody")

    run_virtual(body())
