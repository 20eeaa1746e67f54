"""Two hundred exits at once, fired by a tick or a time or asked for by a person, while three of ten
answers are ambiguous."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.values import INSTRUMENT
from mass_exit.broker import AmbiguousBroker
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running
from squareoff.core.exits.client_order_ids import client_order_id
from squareoff.domain.ids import ClientOrderId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import OrderRole
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND

POSITIONS = 200
PER_SECOND = 8
AMBIGUOUS = 0.3
SETTLED_SECONDS = 10.0 + 3.0 + 1.0
"""The quarantine, the wait for an answer before it, and the last reading after it."""

RATE_FLOOR_SECONDS = 35.0
"""What 200 first sends and the resends of those lost need at 8 a second, with their transit."""

STOP = RuleSet(stop_loss=PriceRule(price=Decimal("149.00")))
RULES = {"tick": STOP, "time": RuleSet(max_holding_minutes=1), "wish": STOP, "release": STOP}
PRODUCTS = (ProductType.INTRADAY, ProductType.MARGIN)
WITHOUT_FREEZE = replace(INSTRUMENT, freeze_quantity=None)
"""So that each position is one order."""


async def hold_all(world: World, chance: random.Random, rules: RuleSet) -> dict[TrackerId, int]:
    """Hold 200 positions of different size on two keys, in no order; return their quantities."""
    quantities = [25 * number for number in range(1, POSITIONS + 1)]
    chance.shuffle(quantities)
    held = {}
    for number, quantity in enumerate(quantities):
        tracker_id = TrackerId(f"trk-{number}")
        await world.hold(
            tracker_id=tracker_id,
            quantity=quantity,
            product_type=PRODUCTS[number % 2],
            rules=rules,
            instrument=WITHOUT_FREEZE,
        )
        held[tracker_id] = quantity
    return held


def first_order_of(world: World, tracker_id: TrackerId) -> ClientOrderId:
    """Return the id of a position's first exit order."""
    account = world.tracker(tracker_id).account_id
    return client_order_id(account, tracker_id, OrderRole.EXIT, attempt=1, slice_number=1)


def is_blocked(world: World, tracker_id: TrackerId) -> bool:
    """Say whether a position's exit waits for something to be lifted."""
    intent = world.tracker(tracker_id).intent
    return intent is not None and intent.status is IntentStatus.BLOCKED


async def close_all(
    seed: int, cause: str
) -> tuple[World, AmbiguousBroker, dict[TrackerId, int], int]:
    """Close all by a `tick`, a `time`, a `wish` or the `release` of a switch that held them back;
    return when all is flat and confirmed, with the time of the cause."""
    broker = AmbiguousBroker(seed, AMBIGUOUS)
    world = await make_world(gateway=broker)
    async with running(world):
        held = await hold_all(world, random.Random(seed), RULES[cause])
        world.tick("150.00", instrument=WITHOUT_FREEZE)
        if cause == "time":
            await asyncio.sleep(60.0)
        if cause == "release":
            await world.engine.desk.set_kill_switch(active=True, level="all", reason="storm")
            world.tick("148.95", instrument=WITHOUT_FREEZE)
            await world.until(lambda: all(is_blocked(world, each) for each in held))
        fired_at = VirtualClock().now().wall_ns
        if cause == "release":
            await world.engine.desk.set_kill_switch(active=False, level="new", reason="calm")
        if cause == "wish":
            await world.engine.desk.exit_all("storm", wait_seconds=0.0)
        while any(world.tracker(each).status is not PositionStatus.EXITED for each in held):
            price = "150.00" if cause in ("time", "wish") else "148.95"
            world.tick(price, instrument=WITHOUT_FREEZE)
            await asyncio.sleep(0.5)
    return world, broker, held, fired_at


@pytest.mark.parametrize("cause", RULES)
@pytest.mark.parametrize("seed", range(2))
def test_two_hundred_exits_at_once(seed: int, cause: str) -> None:
    """Never above the limit at the broker, largest risk first, each position closed exactly once,
    all flat within the rate floor and the quarantine."""

    async def body() -> None:
        world, broker, held, fired_at_ns = await close_all(seed, cause)

        assert broker.most_in_any_second() <= PER_SECOND
        assert broker.reads_refused == 0
        assert_flat_in_time(world, held, fired_at_ns)
        assert_each_is_closed_once(world, broker, held)
        assert_largest_first(world, broker, held)
        assert min(broker.lost.values()) > POSITIONS * AMBIGUOUS / 4

    run_virtual(body(), seed)


def assert_flat_in_time(world: World, held: dict[TrackerId, int], fired_at_ns: int) -> None:
    """Flat within the rate floor, and a quarantine more for each time that an order was lost."""
    for tracker_id in held:
        tracker = world.tracker(tracker_id)
        assert tracker.exited_at_ns is not None
        took = (tracker.exited_at_ns - fired_at_ns) / NANOSECONDS_PER_SECOND
        losses = sum(len(order.sends) - 1 for order in tracker.exit_orders)
        assert took <= RATE_FLOOR_SECONDS + losses * SETTLED_SECONDS, tracker_id


def assert_each_is_closed_once(
    world: World, broker: AmbiguousBroker, held: dict[TrackerId, int]
) -> None:
    """Every position's orders filled exactly what it held, by the broker's own books."""
    closed: Counter[ClientOrderId | None] = Counter()
    for report in broker.orders.values():
        closed[report.client_order_id] += report.cumulative_quantity
    for tracker_id, quantity in held.items():
        tracker = world.tracker(tracker_id)
        own = [order.client_order_id for order in tracker.exit_orders]
        assert sum(closed[name] for name in own) == quantity, tracker_id
        assert (tracker.open_quantity, tracker.over_exited_quantity) == (0, 0)
    assert set(broker.nets.values()) == {0}
    assert "over_exit" not in world.alarms.codes
    assert "position_halted" not in world.alarms.codes


def assert_largest_first(world: World, broker: AmbiguousBroker, held: dict[TrackerId, int]) -> None:
    """First placements go by the value at stake; those of one second may change places."""
    owners = {first_order_of(world, tracker_id): tracker_id for tracker_id in held}
    went = [held[owners[name]] for name in broker.sent_first if name in owners]
    ranks = {quantity: rank for rank, quantity in enumerate(sorted(went, reverse=True))}

    assert len(went) == POSITIONS
    assert max(abs(ranks[quantity] - place) for place, quantity in enumerate(went)) <= PER_SECOND
