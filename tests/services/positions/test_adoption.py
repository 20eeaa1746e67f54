"""Positions of others are taken under watch once they are sure, and never what we have closed."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT, TRACKER
from service_world import broker
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.policy import READING_LAG_SECONDS, READING_SPACING_SECONDS
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.broker_reads import FAST_READINGS_MAX

KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
SEEN_LAG_SECONDS = READING_LAG_SECONDS / 2


async def _close_while_positions_lag(world: World) -> None:
    """Close the position; the broker's positions show it on, though its other books do not."""
    await world.hold()
    await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.FILLED)
    world.gateway.hold(KEY, 100)


def test_what_we_have_just_closed_is_not_taken_again() -> None:
    """Readings that lag behind our own fill bring no ghost of the closed position."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            await _close_while_positions_lag(world)
            for _ in range(3):
                await world.engine.desk.reconcile()
                await asyncio.sleep(SEEN_LAG_SECONDS / 2)
            world.gateway.hold(KEY, 0)
            await asyncio.sleep(60.0)

            assert len(world.engine.desk.trackers()) == 1

    run_virtual(body())


def test_what_was_closed_right_before_a_restart_is_not_taken_again() -> None:
    """The next process knows the close from the tracker alone."""

    async def body() -> None:
        first = await make_world()
        async with running(first):
            await _close_while_positions_lag(first)
        second = await make_world(store=first.store, gateway=first.gateway, adopt_rules=RuleSet())
        async with running(second):
            await asyncio.sleep(SEEN_LAG_SECONDS)
            second.gateway.hold(KEY, 0)
            await asyncio.sleep(60.0)

            assert len(second.engine.desk.trackers()) == 1

    run_virtual(body())


def test_what_stands_beside_our_close_is_taken_later() -> None:
    """Units that the broker still shows once no lag explains them are somebody else's."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            await _close_while_positions_lag(world)
            await world.engine.desk.reconcile()
            assert len(world.engine.desk.trackers()) == 1

            await world.until(lambda: len(world.engine.desk.trackers()) == 2, 60.0)

    run_virtual(body())


def test_only_a_net_that_spaced_readings_agree_on_is_taken() -> None:
    """One reading is not enough, nor are two at once; another net begins anew."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            desk = world.engine.desk
            world.gateway.hold(KEY, 50)
            await desk.reconcile()
            await desk.reconcile()
            assert desk.trackers() == ()
            world.gateway.hold(KEY, 75)
            await asyncio.sleep(READING_SPACING_SECONDS)
            await desk.reconcile()
            assert desk.trackers() == ()

            await world.until(lambda: desk.trackers() != (), 2 * READING_SPACING_SECONDS)
            assert [view.quantity for view in desk.trackers()] == [75]
            world.engine.metrics.render()
            found = world.engine.metrics.registry.get_sample_value(
                "squareoff_reconciliation_findings_total", {"kind": "adopted"}
            )
            assert found == 1.0

    run_virtual(body())


@pytest.mark.parametrize("gone_after", [None, READING_SPACING_SECONDS / 2])
def test_what_cannot_be_taken_is_not_read_for_without_end(gone_after: float | None) -> None:
    """An unknown instrument, or a position that is gone, leaves the timer's readings."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            unknown = replace(KEY, instrument_id=replace(KEY.instrument_id, security_id="1"))
            world.gateway.hold(unknown, 50)
            await world.engine.desk.reconcile()
            if gone_after is not None:
                await asyncio.sleep(gone_after)
                world.gateway.hold(unknown, 0)
            world.gateway.calls.clear()
            await asyncio.sleep(120.0)

            assert world.engine.desk.trackers() == ()
            assert world.gateway.calls.count("positions") <= FAST_READINGS_MAX + 4

    run_virtual(body())


def test_a_position_that_cannot_be_taken_is_told_once_and_ends_with_it() -> None:
    """An instrument that the master lacks is a difference and one alarm while it is held."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            unknown = replace(KEY, instrument_id=replace(KEY.instrument_id, security_id="1"))
            world.gateway.hold(unknown, 50)
            (found,) = await world.engine.desk.reconcile()
            await asyncio.sleep(120.0)
            world.gateway.hold(unknown, 25)
            await asyncio.sleep(120.0)

            assert found.startswith(f"{unknown}: held at the broker and not under watch")
            assert set(world.alarms.codes) == {"position_not_adopted"}
            (alarm,) = await world.engine.desk.alarms()
            assert alarm.message.startswith(found)
            world.gateway.hold(unknown, 0)
            await asyncio.sleep(60.0)
            assert await world.engine.desk.reconcile() == ()
            (alarm,) = await world.engine.desk.alarms()
            assert not alarm.is_open

    run_virtual(body())


def test_an_unwatched_position_of_the_last_process_is_over_once_it_is_gone() -> None:
    """The next process ends the alarm where its own readings show nothing of the kind."""

    async def body() -> None:
        first = await make_world(adopt_rules=RuleSet())
        unknown = replace(KEY, instrument_id=replace(KEY.instrument_id, security_id="1"))
        async with running(first):
            first.gateway.hold(unknown, 50)
            await first.until(lambda: "position_not_adopted" in first.alarms.codes, 60.0)
        first.gateway.hold(unknown, 0)
        second = await make_world(store=first.store, gateway=first.gateway, adopt_rules=RuleSet())
        async with running(second):
            await asyncio.sleep(60.0)

            (alarm,) = await second.engine.desk.alarms()
            assert not alarm.is_open

    run_virtual(body())


def test_a_position_without_an_average_price_is_told_and_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken at zero, no level would ever be armed in silence, and its whole value would count as
    the account's profit."""

    async def body() -> None:
        rules = RuleSet(stop_loss=PriceRule(percent=Decimal(10)))
        async with running_world(adopt_rules=rules) as world:
            monkeypatch.setattr(broker, "PRICE", Decimal(0))
            world.gateway.hold(KEY, 100)
            await world.until(lambda: "position_not_adopted" in world.alarms.codes)
            assert world.engine.desk.trackers() == ()
            assert "tells no average price" in world.alarms.heard[0][2]

    run_virtual(body())


@pytest.mark.parametrize("product", [ProductType.CO, ProductType.BO])
def test_a_cover_or_bracket_order_is_told_and_not_taken(product: ProductType) -> None:
    """A plain order is no exit of it: a stop that cannot go out would look like one that can."""

    async def body() -> None:
        async with running_world(adopt_rules=RuleSet()) as world:
            world.gateway.hold(replace(KEY, product_type=product), 100)
            await world.until(lambda: "position_not_adopted" in world.alarms.codes)
            assert world.engine.desk.trackers() == ()
            assert "legs of their own" in world.alarms.heard[0][2]
            assert "close it in the broker's app" in world.alarms.heard[0][2]

    run_virtual(body())
