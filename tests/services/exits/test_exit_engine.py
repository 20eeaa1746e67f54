"""`execute_exit` answers on every path, and no input is lost or taken in half."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import TRACKER
from service_world.broker import ScriptedGateway
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running_world
from squareoff.core.state.facts import ExitClaimed
from squareoff.core.state.inputs import WithdrawAsked, Woke
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerRejected,
)
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderRequest, Side
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.services.exits.exit_results import Wait

OTHER = TrackerId("trk-2")


async def leave(
    world: World, wait: Wait = Wait.FILLED, tracker_id: TrackerId = TRACKER, **more: Any
) -> ExitResult:
    """Ask for an exit as a person would."""
    return await world.engine.exit_engine.execute_exit(tracker_id, "by hand", wait=wait, **more)


class _CoarserGrid(ScriptedGateway):
    """An exchange whose price step is larger than the one that the position was taken with."""

    def accept(self, request: OrderRequest) -> OrderReport:
        """Turn away what lies off the grid."""
        report = super().accept(request)
        if request.limit_price is not None and request.limit_price % Decimal("0.50"):
            text = "EXCH: price is not a multiple of the tick size 0.50"
            self.end(report.broker_order_id, BrokerOrderStatus.REJECTED, text)
        return report

    def fill(self, order_id: BrokerOrderId, quantity: int | None = None) -> None:
        """Fill what was not turned away."""
        if not self.orders[order_id].status.is_terminal:
            super().fill(order_id, quantity)


def test_an_exit_off_the_exchanges_grid_goes_out_on_a_coarser_one() -> None:
    """A position that is carried over keeps the tick of its first day; its exit does not fail."""

    async def body() -> None:
        async with running_world(gateway=_CoarserGrid()) as world:
            await world.hold()
            world.tick("150.35")

            await leave(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert [each.status.value for each in world.gateway.orders.values()] == [
                "REJECTED", "REJECTED", "TRADED",
            ]  # fmt: skip

    run_virtual(body())


@pytest.mark.parametrize("reason", ["", "   ", "\n\t"])
def test_a_blank_reason_is_refused(reason: str) -> None:
    """An exit without a reason is refused and nothing is claimed."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            result = await world.engine.exit_engine.execute_exit(TRACKER, reason)

            assert (result.success, result.code) == (False, ExitCode.INVALID_REASON)
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_an_unknown_tracker_is_refused() -> None:
    """An id that names no tracker is refused, with the id in the message."""

    async def body() -> None:
        async with running_world() as world:
            result = await leave(world, tracker_id=TrackerId("nobody"))

            assert result.code is ExitCode.INVALID_TRACKER
            assert "nobody" in (result.error or "")

    run_virtual(body())


def test_an_engine_without_a_router_refuses() -> None:
    """Before the engine is connected an exit is refused and nothing is claimed."""

    async def body() -> None:
        world = await make_world()
        await world.hold()

        result = await leave(world)

        assert result.code is ExitCode.INVALID_ROUTER
        assert world.tracker(TRACKER).intent is None

    run_virtual(body())


def test_a_pending_position_is_not_active() -> None:
    """A position whose entry has not filled cannot be exited."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(entry_order_id="B99")

            assert (await leave(world)).code is ExitCode.NOT_ACTIVE
            assert world.gateway.requests == []

    run_virtual(body())


@pytest.mark.parametrize("seed", range(5))
def test_a_plain_exit_ends_exited_and_is_answered_again(seed: int) -> None:
    """An exit ends at the broker's average price; asked again, it was done already."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            first, second = await leave(world), await leave(world)

            assert (first.code, first.exited_quantity) == (ExitCode.EXITED, 100)
            assert first.success
            assert str(first.exit_price) == "151.50000000"
            assert second.success
            assert second.code is ExitCode.ALREADY_EXITED
            assert len(world.gateway.requests) == 1

    run_virtual(body(), seed)


@pytest.mark.parametrize(
    ("wait", "code"),
    [
        (Wait.CLAIMED, ExitCode.CLAIMED),
        (Wait.ACCEPTED, ExitCode.ACCEPTED),
        (Wait.FILLED, ExitCode.BEING_SETTLED),
    ],
)
def test_each_wait_is_answered_for_a_resting_exit(wait: Wait, code: ExitCode) -> None:
    """What a caller waits for decides the answer while the exit order rests."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()

            result = await leave(world, wait, wait_seconds=3.0)

            assert result.code is code
            assert result.success is code.is_success

    run_virtual(body())


def test_an_exit_in_progress_is_answered_with_the_live_intent() -> None:
    """A second caller is told of the live exit and changes nothing."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            first = await leave(world, Wait.ACCEPTED)

            second = await leave(world, Wait.ACCEPTED)

            assert second.code is ExitCode.EXIT_IN_PROGRESS
            assert second.success
            assert second.intent_id == first.intent_id

    run_virtual(body())


def test_a_second_caller_who_wants_it_filled_waits_with_the_first() -> None:
    """Both hear of the fill; where it does not come in time, the second is told no more than that
    the exit is under way."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            first = asyncio.create_task(leave(world))
            await settle()

            early = await leave(world, wait_seconds=1.0)
            second = asyncio.create_task(leave(world))
            await settle()
            (order_id,) = world.gateway.orders
            world.gateway.fill(order_id)

            assert early.code is ExitCode.EXIT_IN_PROGRESS
            assert (await first).code is ExitCode.EXITED
            assert (await second).code is ExitCode.ALREADY_EXITED
            assert (await second).exit_price == (await first).exit_price

    run_virtual(body())


@pytest.mark.parametrize("wait", list(Wait))
def test_asked_again_a_blocked_exit_still_says_so(wait: Wait) -> None:
    """It is no success: nothing is under way at the broker, and the reason is told again."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.opens_in_seconds = 40.0
            await world.hold()
            first = await leave(world)

            second = await leave(world, wait)

            assert (first.code, first.success) == (ExitCode.BLOCKED, False)
            assert (second.code, second.success) == (ExitCode.BLOCKED, False)
            assert second.intent_id == first.intent_id
            assert second.error == first.error

    run_virtual(body())


@pytest.mark.parametrize("seed", range(8))
def test_fifty_callers_make_one_claim(seed: int) -> None:
    """Exactly one of fifty simultaneous callers claims; one order closes the position."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            results = await asyncio.gather(*(leave(world, Wait.CLAIMED) for _ in range(50)))
            await world.until_status(TRACKER, PositionStatus.EXITED)

            codes = [result.code for result in results]
            assert codes.count(ExitCode.CLAIMED) == 1
            assert set(codes) <= {
                ExitCode.CLAIMED,
                ExitCode.EXIT_IN_PROGRESS,
                ExitCode.ALREADY_EXITED,
            }
            claims = [f for c in world.store.commits for f in c.facts if isinstance(f, ExitClaimed)]
            assert len(claims) == len(world.gateway.requests) == 1

    run_virtual(body(), seed)


def test_a_claim_is_committed_while_somebody_sizes_on_the_key() -> None:
    """The caller learns at once that it is latched; the sizing waits its turn."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            async with world.engine.exit_engine.book.key_lock(tracker.key):
                result = await leave(world, Wait.CLAIMED)
                assert (result.code, result.success) == (ExitCode.CLAIMED, True)
                assert world.tracker(TRACKER).status is PositionStatus.EXITING
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_blocked_exit_says_so_and_goes_on_by_itself() -> None:
    """While the exchange is closed the exit is latched and blocked; it goes on at the open."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.opens_in_seconds = 40.0
            await world.hold()

            result = await leave(world)
            world.calendar.opens_in_seconds = 0.0
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert (result.code, result.success) == (ExitCode.BLOCKED, False)
            assert "goes on by itself" in (result.error or "")
            assert "exit_blocked_market_closed" in world.alarms.codes

    run_virtual(body())


def test_used_up_attempts_need_a_human_who_may_ask_again() -> None:
    """Attempts are bounded; then a person is called, whose new wish resumes the same intent."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(attempts_max=2)) as world:
            await world.hold()
            world.gateway.answers.extend([BrokerRejected("no", code="DH-906", text="try")] * 2)
            await leave(world)
            await world.until(
                lambda: world.tracker(TRACKER).intent.status is IntentStatus.NEEDS_HUMAN  # type: ignore[union-attr]
            )

            resumed = await leave(world)

            assert resumed.code is ExitCode.EXITED
            assert "exit_attempts_exhausted" in world.alarms.codes

    run_virtual(body())


def test_a_position_closed_by_hand_is_closed_externally() -> None:
    """A position that a person closed in the app ends with their price and sends nothing."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 100)

            result = await leave(world)

            assert result.code is ExitCode.CLOSED_EXTERNALLY
            assert result.success
            assert world.gateway.requests == []

    run_virtual(body())


@pytest.mark.parametrize("seed", range(12))
def test_a_later_decision_keeps_its_wake_up(seed: int) -> None:
    """However follow-ups are ordered, the newest decision's wake-up stands."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, Wait.ACCEPTED)
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            waiters = [
                asyncio.get_running_loop().create_task(leave_waiting(world)) for _ in range(20)
            ]
            await settle(3)
            order = world.gateway.orders[next(iter(world.gateway.orders))]
            world.gateway.publish = lambda report: None
            for quantity in range(1, 20):
                world.gateway.fill(order.broker_order_id, 1)
                report = world.gateway.orders[order.broker_order_id]
                assert report.cumulative_quantity == quantity
                world.stream.push(report)
                asyncio.get_running_loop().create_task(
                    world.engine.exit_engine.tell(actor, Woke())  # type: ignore[arg-type]
                )
            await settle()

            assert actor.wake_handle is not None
            assert not actor.wake_handle.cancelled()
            for waiter in waiters:
                waiter.cancel()

    async def leave_waiting(world: World) -> None:
        actor = world.engine.exit_engine.book.get(TRACKER)
        assert actor is not None
        await actor.wait_until(lambda: False)

    run_virtual(body(), seed)


def test_an_unknown_send_is_settled_by_the_books() -> None:
    """A send without an answer whose order exists is found, counted, and never made again."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            def vanish(operation: str) -> None:
                world.gateway.accept(world.gateway.requests[-1])

            world.gateway.on_write = vanish
            world.gateway.publish = lambda report: None
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            result = await leave(world, Wait.FILLED, wait_seconds=4.0)
            world.gateway.fill(next(iter(world.gateway.orders)))
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert result.code is ExitCode.BEING_SETTLED
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_an_external_cancel_of_the_exit_order_does_not_cancel_the_position() -> None:
    """An exit order that the broker cancels is replaced; the position stays an exit under way."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, Wait.ACCEPTED)
            world.gateway.fills = True
            world.gateway.end(next(iter(world.gateway.orders)), BrokerOrderStatus.CANCELLED)

            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)

            assert tracker.exited_quantity == 100

    run_virtual(body())


async def withdraw(world: World) -> None:
    """Take the exit back as a person would."""
    actor = world.engine.exit_engine.book.get(TRACKER)
    assert actor is not None
    await world.engine.exit_engine.tell(actor, WithdrawAsked("a slip of the hand", "mira"))


def test_a_withdrawn_stop_does_not_fire_again_by_itself() -> None:
    """The order is cancelled, the price stays beyond the stop, and only the target still fires."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            stop, target = PriceRule(price=Decimal(140)), PriceRule(price=Decimal(180))
            await world.hold(rules=RuleSet(stop_loss=stop, target=target))
            world.tick("139.95")
            await world.until(lambda: len(world.gateway.orders) == 1)
            await withdraw(world)
            await world.until_status(TRACKER, PositionStatus.ACTIVE)
            for price in ("139.90", "138.00", "139.95"):
                world.tick(price)
                await asyncio.sleep(1.0)
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            assert world.tracker(TRACKER).rules == RuleSet(target=target)

            world.gateway.fills = True
            world.tick("180.00")
            await asyncio.sleep(1.0)
            world.tick("180.05")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_caller_learns_that_the_exit_was_withdrawn() -> None:
    """Whoever waits for the fill is told `withdrawn`; asked again, the exit is a new one."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            leaving = asyncio.get_running_loop().create_task(leave(world))
            await world.until(lambda: len(world.gateway.orders) == 1)
            await withdraw(world)
            await world.until_status(TRACKER, PositionStatus.ACTIVE)
            result = await leaving

            assert result.code in (ExitCode.WITHDRAWN, ExitCode.BLOCKED)
            assert not result.success
            world.gateway.fills = True
            assert (await leave(world)).code is ExitCode.EXITED

    run_virtual(body())
