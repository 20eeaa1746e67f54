"""`execute_exit` answers on every path, and no input is lost or taken in half."""

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import ACCOUNT, TRACKER, asked
from service_world.store import FaultyStore, LostAfterCommit, memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.change import Change
from squareoff.core.exit_protocol import decide
from squareoff.core.facts import ExitClaimed, OrderSent
from squareoff.core.inputs import PermitGranted, RulesSet, Woke
from squareoff.core.pacing import Pacing
from squareoff.core.policy import ExitPolicy
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerRejected,
    CommitOutcomeUnknown,
    LostUpdate,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import BrokerOrderStatus, Side
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus
from squareoff.services import exit_engine as exit_engine_module
from squareoff.services.exit_results import Wait

OTHER = TrackerId("trk-2")


async def leave(
    world: World, wait: Wait = Wait.FILLED, tracker_id: TrackerId = TRACKER, **more: Any
) -> ExitResult:
    """Ask for an exit as a person would."""
    return await world.engine.exit_engine.execute_exit(tracker_id, "by hand", wait=wait, **more)


async def claim_elsewhere(world: World) -> None:
    """Let another process of this database claim the exit first."""
    tracker = world.tracker(TRACKER)
    now = VirtualClock().now()
    decision = decide(tracker, Pacing(), asked("exit-elsewhere"), now, ExitPolicy())
    change = Change(tracker, decision.tracker, decision.facts, decision.alarms)
    await world.store.commit(change, now.wall_ns)


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


@pytest.mark.parametrize(
    "failure",
    [StoreUnavailable("busy"), CommitOutcomeUnknown("reset in COMMIT"), StoreError("corrupt")],
    ids=lambda failure: type(failure).__name__,
)
def test_a_claim_that_cannot_be_committed_changes_nothing(failure: Exception) -> None:
    """A failing store refuses the claim: the state stays as it was and nothing is sent."""

    async def body() -> None:
        async with running_world() as world:
            before = await world.hold()
            world.store.failures.append(failure)

            result = await leave(world)

            assert (result.code, result.success) == (ExitCode.STORE_UNAVAILABLE, False)
            assert world.tracker(TRACKER) == before
            assert world.gateway.requests == []
            assert (await leave(world)).code is ExitCode.EXITED

    run_virtual(body())


def test_a_claim_whose_commit_took_place_goes_on() -> None:
    """A claim that was committed though its answer was lost is read back and driven."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.failures.append(LostAfterCommit("reset in COMMIT"))

            assert (await leave(world)).code is ExitCode.EXITED

    run_virtual(body())


def test_a_claim_that_cannot_be_read_back_is_driven_by_the_next_caller() -> None:
    """A durable claim that its caller was not sure of is never left without a driver."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.failures.append(LostAfterCommit("reset in COMMIT"))
            world.store.load_errors.append(StoreUnavailable("away"))

            first = await leave(world)
            await leave(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert first.code is ExitCode.STORE_UNAVAILABLE
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_claim_that_cannot_be_read_back_is_driven_without_any_caller() -> None:
    """Doubt about a commit resolves itself as soon as the store is back."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.failures.append(LostAfterCommit("reset in COMMIT"))
            world.store.load_errors.append(StoreUnavailable("away"))

            await leave(world)

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_send_whose_commit_cannot_be_read_back_is_settled() -> None:
    """An order whose `OrderSent` was committed unseen is settled and sent, never left in flight."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            def on_checkpoint(name: str) -> None:
                if name == "before_commit_OrderSent" and not world.store.failures:
                    world.checkpoints.reach = lambda name: None  # type: ignore[method-assign]
                    world.store.failures.append(LostAfterCommit("reset in COMMIT"))
                    world.store.load_errors.append(StoreUnavailable("away"))

            world.checkpoints.reach = on_checkpoint  # type: ignore[method-assign]
            await leave(world)

            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_lost_claim_takes_over_the_state_and_drives_it() -> None:
    """Where another process claimed first, its claim is told to the caller and driven on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await claim_elsewhere(world)

            result = await leave(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert result.code is ExitCode.EXIT_IN_PROGRESS
            assert result.intent_id == "exit-elsewhere"

    run_virtual(body())


def test_an_input_that_lost_its_update_is_decided_on_the_stored_state() -> None:
    """An input that meets a changed row is decided anew; listeners hear of the taken state."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await claim_elsewhere(world)
            heard: list[PositionStatus] = []
            world.engine.exit_engine.on_change(lambda tracker: heard.append(tracker.status))

            rules = RuleSet(stop_loss=PriceRule(points=Decimal(10)))
            await world.engine.exit_engine.tell(actor, RulesSet(rules))

            assert actor.tracker.rules == rules
            assert PositionStatus.EXITING in heard
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_updates_that_are_lost_for_ever_halt_the_position() -> None:
    """A row that can never be written halts its position instead of spinning."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            world.store.failures = deque([LostUpdate("constraint")] * 1000)

            await world.engine.exit_engine.tell(actor, RulesSet(RuleSet(max_holding_minutes=5)))

            assert actor.is_halted
            assert "position_halted" in world.alarms.codes

    run_virtual(body())


def test_an_input_waits_for_the_store_and_is_not_lost() -> None:
    """While the store is away an input is tried again until it is committed."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            world.store.failures.extend([StoreUnavailable("busy")] * 7)

            await world.engine.exit_engine.tell(actor, RulesSet(RuleSet(max_holding_minutes=5)))

            assert actor.tracker.rules.max_holding_minutes == 5

    run_virtual(body())


def break_decisions_of(
    monkeypatch: pytest.MonkeyPatch, tracker_id: TrackerId, error: Exception, event: type
) -> None:
    """Put a defect into the core for one tracker and one kind of input."""

    def broken(tracker: Any, pacing: Any, told: Any, now: Any, policy: Any) -> Any:
        if tracker.tracker_id == tracker_id and isinstance(told, event):
            raise error
        return decide(tracker, pacing, told, now, policy)

    monkeypatch.setattr(exit_engine_module, "decide", broken)


@pytest.mark.parametrize(
    "error", [AssertionError("defect"), KeyError("defect"), ZeroDivisionError("defect")]
)
def test_a_defect_halts_one_position_while_others_exit(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A defect in one position's decisions halts it with an alarm; every other exit goes on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.hold(tracker_id=OTHER)
            break_decisions_of(monkeypatch, TRACKER, error, PermitGranted)

            results = await asyncio.gather(leave(world), leave(world, tracker_id=OTHER))

            assert [result.code for result in results] == [ExitCode.HALTED, ExitCode.EXITED]
            assert world.alarms.codes.count("position_halted") == 1
            assert (await leave(world)).code is ExitCode.HALTED

    run_virtual(body())


def test_a_defect_in_the_claim_is_answered_and_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect while claiming is answered with `halted`, and the engine lives on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            break_decisions_of(monkeypatch, TRACKER, AssertionError("defect"), type(asked()))

            result = await leave(world)

            assert result.code is ExitCode.HALTED
            assert "position_halted" in world.alarms.codes
            assert world.engine.supervisor.status().is_ready

    run_virtual(body())


def test_a_caller_who_is_cancelled_in_the_commit_leaves_a_driven_exit() -> None:
    """A claim that is durable though its caller has gone is carried on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.gate = asyncio.Event()
            caller = asyncio.get_running_loop().create_task(leave(world))
            await settle()
            caller.cancel()
            await settle()
            world.store.gate.set()

            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert caller.cancelled()

    run_virtual(body())


def test_a_cancelled_caller_of_tell_leaves_memory_as_committed() -> None:
    """Memory follows the database also where the one who told an input is cancelled."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            world.store.gate = asyncio.Event()
            told = RulesSet(RuleSet(max_holding_minutes=5))
            caller = asyncio.get_running_loop().create_task(
                world.engine.exit_engine.tell(actor, told)  # type: ignore[arg-type]
            )
            await settle()
            caller.cancel()
            await settle()
            world.store.gate.set()
            await settle()

            assert actor.tracker == await world.store.load(TRACKER)

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


def test_an_open_whose_commit_took_place_is_in_the_book() -> None:
    """A tracker that was committed though its answer was lost is watched."""

    async def body() -> None:
        async with running_world() as world:
            world.store.failures.append(LostAfterCommit("reset in COMMIT"))

            await world.hold()

            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_nothing_is_sent_before_its_commit() -> None:
    """Every send finds its `OrderSent` committed (I3)."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            committed: list[bool] = []

            def on_write(operation: str) -> None:
                facts = [fact for change in world.store.commits for fact in change.facts]
                committed.append(any(isinstance(fact, OrderSent) for fact in facts))

            world.gateway.on_write = on_write
            await leave(world)

            assert committed == [True]

    run_virtual(body())


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


def test_an_order_of_a_taken_state_is_known_to_the_book() -> None:
    """Orders that come in with another process's state are indexed: their reports find an owner."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        world = await make_world(store=store)
        other = await make_world(store=FaultyStore(store._inner), gateway=world.gateway)
        async with running(world):
            await world.hold()
            async with running(other):
                world.gateway.fills = False
                await leave(other, Wait.ACCEPTED)
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await world.engine.exit_engine.tell(actor, RulesSet(RuleSet(max_holding_minutes=9)))
            order = actor.tracker.orders[0]

            assert world.engine.exit_engine.book.owner_of(
                None, order.broker_orders[0].broker_order_id
            )
            assert order.state in (OrderState.WORKING, OrderState.ACCEPTED)
            assert "unknown_own_order" not in world.alarms.codes

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
