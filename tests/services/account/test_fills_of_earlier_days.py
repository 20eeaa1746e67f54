"""What our own exits filled on an earlier day is no part of the day that learns of it."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.values import TRACKER
from service_world import virtual
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import running_world
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.instruments import ProductType
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS
from squareoff.services.exits.exit_results import Wait

MINUTE_NS = 60_000_000_000


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("filled", [100, 60])
def test_what_our_own_exit_filled_yesterday_is_no_loss_of_today(
    filled: int, monkeypatch: pytest.MonkeyPatch, *, is_told: bool
) -> None:
    """A resting exit fills after the engine stopped, or its stream tells the fill without a price:
    what it lost counts on its own day, not on that of the start which learns of it. So it does
    after another start."""

    async def body() -> None:
        with monkeypatch.context() as yesterday:
            yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
            async with running_world() as world:
                gateway = world.gateway
                gateway.fills = False
                await world.hold(product_type=ProductType.MARGIN, entry_price=Decimal(170))
                await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
                (order_id,) = gateway.orders
                gateway.publish = lambda report: None
                if is_told:
                    gateway.failures["order_book"] = BrokerUnreachable("away")
                    gateway.failures["trade_book"] = BrokerUnreachable("away")
                    gateway.fill(order_id, filled)
                    world.stream.push(replace(gateway.orders[order_id], average_price=None))
                    await world.until(lambda: world.tracker(TRACKER).exited_quantity == filled)
            if not is_told:
                gateway.fill(order_id, filled)
            gateway.failures.clear()
            (trade,) = gateway.trades
            gateway.trades = [replace(trade, exchange_time_ns=virtual.START_WALL_NS + MINUTE_NS)]
            gateway.end_day(VirtualClock().now().ist().date())
        gateway.fills = True
        early = filled * (trade.price - 170)
        for _ in range(2):
            async with running_world(
                store=world.store, gateway=gateway, account_rules=AccountRules(max_loss=-early)
            ) as restarted:
                ended = await restarted.until_status(TRACKER, PositionStatus.EXITED)
                await asyncio.sleep(5.0)

                status = restarted.engine.desk.status()
                assert ended.realized_pnl == early + (100 - filled) * (trade.price - 170)
                assert status.account.realized_pnl == ended.realized_pnl - early
                assert status.account.fired == ()
                assert not status.kill_switch_active

    run_virtual(body())
