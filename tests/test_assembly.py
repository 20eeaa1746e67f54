"""The assembled engine against the broker simulator, over real HTTP and sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from async_body import run_async
from exit_story.values import ACCOUNT
from service_world.store import FaultyStore, memory_store
from service_world.world import Calendar, Master, RecordedAlarms
from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.system import NoCheckpoints, RandomIds, SystemChance, SystemClock
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import NotHeld, PositionRequest
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.gateway import GatewayLive
from squareoff.simulator.embedded import EmbeddedSimulator
from squareoff.simulator.server import SimulatorOptions

SECURITY = {"exchange_segment": "NSE_FNO", "security_id": "49543"}
POSITION = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49543",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=150,
    entry_price=Decimal(26000),
    rules=RuleSet(stop_loss=PriceRule(points=Decimal(50))),
    lot_size=75,
    tick_size=Decimal("0.1"),
)
SHARE = {"exchange_segment": "NSE_EQ", "security_id": "2885"}
DELIVERY = replace(
    POSITION,
    exchange_segment=ExchangeSegment.NSE_EQ,
    security_id="2885",
    product_type=ProductType.CNC,
    quantity=100,
    entry_price=Decimal(1500),
    lot_size=1,
)
DEADLINE_SECONDS = 20.0


@dataclass
class Rehearsal:
    """A running engine and its simulator."""

    simulator: EmbeddedSimulator
    engine: Engine
    alarms: RecordedAlarms
    store: FaultyStore

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's admin without holding up the engine."""
        return await asyncio.to_thread(self.simulator.admin, method, path, body)

    async def price(self, rupees: float) -> None:
        """Push a price into the market."""
        await self.admin("POST", "ticks", [{**SECURITY, "last_price": rupees}])

    async def hold(self) -> TrackerId:
        """Hold 150 units at the broker and track them."""
        await self.price(26000.0)
        row = {**SECURITY, "product_type": "INTRADAY", "net_quantity": 150, "price": 26000.0}
        await self.admin("POST", "positions", row)
        return TrackerId((await self.engine.desk.track(POSITION)).id)

    async def carry(self, product: ProductType = ProductType.CNC) -> TrackerId:
        """Buy a hundred shares for delivery, track them, and let the night pass."""
        await self.share_price(1500.0)
        row = {**SHARE, "product_type": product.value, "net_quantity": 100, "price": 1500.0}
        await self.admin("POST", "positions", row)
        tracker = await self.engine.desk.track(replace(DELIVERY, product_type=product))
        await self.admin("POST", "next_day")
        return TrackerId(tracker.id)

    async def share_price(self, rupees: float) -> None:
        """Push a price of the share."""
        await self.admin("POST", "ticks", [{**SHARE, "last_price": rupees}])

    async def sold(self) -> int:
        """Return what orders of ours sold."""
        return sum(order["filled_quantity"] for order in await self.orders())

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait until the claim holds."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not claim():
                await asyncio.sleep(0.01)

    def status(self, tracker_id: TrackerId) -> PositionStatus:
        """Return where a position stands."""
        return self.engine.desk.tracker(tracker_id).status

    async def orders(self) -> list[Any]:
        """Return the engine's orders at the simulator; those made by hand carry no tag."""
        state = await self.admin("GET", "state")
        return [order for order in state["orders"] if order["correlation_id"]]


@asynccontextmanager
async def rehearsal(
    simulator: EmbeddedSimulator, store: FaultyStore | None = None
) -> AsyncIterator[Rehearsal]:
    """Run an engine against a simulator around the body, with the database of an earlier one."""
    clock, token, alarms = SystemClock(), FixedToken("token"), RecordedAlarms()
    transport = AiohttpTransport(simulator.rest_url)
    settings = RestSettings(account_id=ACCOUNT, order_timeout_seconds=3, read_timeout_seconds=5)
    rest = DhanRestClient(settings, transport, token)
    updates = SocketSettings(simulator.order_update_url, ACCOUNT)
    feed = SocketSettings(simulator.feed_url, ACCOUNT)
    store = store or await memory_store(ACCOUNT)
    ports = Ports(
        store=store,  # type: ignore[arg-type]
        journal=store,  # type: ignore[arg-type]
        gateway=GatewayLive(rest, gateway_seconds=8),
        order_updates=DhanOrderUpdates(updates, transport, token, clock),
        market_feed=DhanMarketFeed(feed, transport, token, clock),
        instruments=Master(),
        calendar=Calendar(),
        clock=clock,
        ids=RandomIds(),
        chance=SystemChance(),
        checkpoints=NoCheckpoints(),
        alerts=(alarms,),
    )
    policy = ExitPolicy(quarantine_seconds=2.0)
    engine = assemble(EngineSettings(ACCOUNT, "live", policy=policy), ports)
    try:
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(engine.supervisor.run())
            run_of = Rehearsal(simulator, engine, alarms, store)
            await run_of.until(lambda: engine.status.view().is_ready)
            try:
                yield run_of
            finally:
                run.cancel()
    finally:
        await rest.close()


def play(story: Callable[[Rehearsal], Any]) -> None:
    """Play one story on a fresh simulator."""

    async def body(simulator: EmbeddedSimulator) -> None:
        async with rehearsal(simulator) as run:
            await story(run)

    with EmbeddedSimulator(SimulatorOptions(clock=SystemClock(), port=0)) as simulator:
        run_async(body(simulator))


def test_a_stop_is_carried_out_at_the_broker() -> None:
    """A tick through the stop closes the position once, at the broker's own average price."""

    async def story(run: Rehearsal) -> None:
        tracker_id = await run.hold()
        await run.price(25949.0)
        await run.until(lambda: run.status(tracker_id) is PositionStatus.EXITED)

        view, orders = run.engine.desk.tracker(tracker_id), await run.orders()
        assert view.exited_quantity == 150
        assert view.exit_price is not None
        assert len(orders) == 1
        assert run.alarms.codes == []

    play(story)


def test_an_answer_that_is_lost_makes_no_second_order() -> None:
    """The broker acts and its answer is lost: the order is found and the position closes once."""

    async def story(run: Rehearsal) -> None:
        tracker_id = await run.hold()
        lost = {"where": {"method": "POST", "path": "/orders"}, "what": {"drop_after": True}}
        await run.admin("POST", "faults", [{**lost, "how_often": {"nth": 1}}])
        result = await run.engine.desk.exit(tracker_id, "by hand", Wait.FILLED, 15.0)

        assert result.code is ExitCode.EXITED
        assert len(await run.orders()) == 1

    play(story)


def test_an_order_behind_an_internal_error_is_not_sent_twice() -> None:
    """Refused with `DH-910` though taken, and slow at the exchange: it is found, and one order."""

    async def story(run: Rehearsal) -> None:
        slow = {"exchange_delay_ms": 2_000, "alert_transit": False}
        await run.admin("POST", "conduct", slow)
        tracker_id = await run.hold()
        place = {"method": "POST", "path": "/orders"}
        broken = {"where": place, "what": {"error": "DH-910", "status": 400, "act": True}}
        await run.admin("POST", "faults", [{**broken, "how_often": {"nth": 1}}])
        result = await run.engine.desk.exit(tracker_id, "by hand", Wait.FILLED, 15.0)

        assert result.code is ExitCode.EXITED
        assert len(await run.orders()) == 1

    play(story)


def test_a_position_closed_in_the_app_is_closed_externally() -> None:
    """What a person closed in the broker's app is never sold a second time."""

    async def story(run: Rehearsal) -> None:
        tracker_id = await run.hold()
        by_hand = {**SECURITY, "product_type": "INTRADAY", "net_quantity": -150, "price": 26001.0}
        await run.admin("POST", "positions", by_hand)
        result = await run.engine.desk.exit(tracker_id, "by hand", Wait.FILLED, 15.0)

        assert result.code is ExitCode.CLOSED_EXTERNALLY
        assert await run.orders() == []

    play(story)


SALES = pytest.mark.parametrize("after_sale", ["stay", "available_falls", "all_fall"])
"""What a sale does to the holdings on the same day: no source says which."""


@SALES
@pytest.mark.parametrize("product", [ProductType.CNC, ProductType.MTF])
def test_delivered_shares_are_sold_once_when_their_stop_fires(
    product: ProductType, after_sale: str
) -> None:
    """Carried overnight they are no position any more; the stop of the next day closes them."""

    async def story(run: Rehearsal) -> None:
        await run.admin("POST", "conduct", {"holdings_after_sale": after_sale})
        tracker_id = await run.carry(product)
        await run.share_price(1449.0)
        await run.until(lambda: run.status(tracker_id) is PositionStatus.EXITED)
        await asyncio.sleep(1.5)  # a comparison, and the watch for an over-exit

        assert await run.sold() == 100
        assert len(await run.orders()) == 1
        assert run.alarms.codes == []

    play(story)


@SALES
def test_a_partly_sold_delivery_is_sold_to_its_end_after_a_restart(after_sale: str) -> None:
    """Forty went, the process died and the order with it: the next process sells the sixty."""

    async def body(simulator: EmbeddedSimulator) -> None:
        async with rehearsal(simulator) as run:
            await run.admin("POST", "conduct", {"holdings_after_sale": after_sale})
            tracker_id = await run.carry()
            first = {"where": {"method": "POST", "path": "/orders"}, "how_often": {"nth": 1}}
            await run.admin("POST", "faults", [{**first, "what": {"partial_fill": 40}}])
            await run.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
            await run.until(lambda: run.engine.desk.tracker(tracker_id).exited_quantity == 40)
        (order,) = await run.orders()
        await run.admin("POST", f"orders/{order['order_id']}/cancel")
        async with rehearsal(simulator, run.store) as later:
            await later.until(lambda: later.status(tracker_id) is PositionStatus.EXITED)
            await asyncio.sleep(1.5)

            assert await later.sold() == 100
            assert later.alarms.codes == []

    with EmbeddedSimulator(SimulatorOptions(clock=SystemClock(), port=0)) as simulator:
        run_async(body(simulator))


def test_delivered_shares_wait_for_holdings_that_can_be_read() -> None:
    """A failure is no empty demat account: nothing is sold, nor taken for gone, until it ends."""

    async def story(run: Rehearsal) -> None:
        failing = {"where": {"path": "/holdings"}, "what": {"error": "DH-908", "status": 500}}
        await run.admin("POST", "faults", [failing])
        tracker_id = await run.carry()
        await run.engine.desk.reconcile()
        await run.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await run.until(lambda: "exit_blocked_positions_unreadable" in run.alarms.codes)
        assert await run.orders() == []

        await run.admin("DELETE", "faults")
        await run.until(lambda: run.status(tracker_id) is PositionStatus.EXITED)
        assert await run.sold() == 100

    play(story)


def test_a_holding_of_earlier_days_is_taken_under_watch() -> None:
    """An empty demat account holds nothing; what was delivered is held."""

    async def story(run: Rehearsal) -> None:
        with pytest.raises(NotHeld):
            await run.engine.desk.track(DELIVERY)
        row = {**SHARE, "product_type": "CNC", "net_quantity": 100, "price": 1500.0}
        await run.admin("POST", "positions", row)
        await run.admin("POST", "next_day")
        tracker_id = TrackerId((await run.engine.desk.track(DELIVERY)).id)

        assert run.status(tracker_id) is PositionStatus.ACTIVE

    play(story)
