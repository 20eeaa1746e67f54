"""Failing commits, lost updates, defects and cancelled callers leave no exit without a driver."""

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import ACCOUNT, TRACKER, asked
from service_world.store import FaultyStore, LostAfterCommit, memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.exits.exit_protocol import decide
from squareoff.core.state.change import Change
from squareoff.core.state.facts import AlarmRaised, OrderSent, fact_kind
from squareoff.core.state.inputs import PermitGranted, RulesSet
from squareoff.core.state.pacing import Pacing
from squareoff.core.state.policy import READING_LAG_SECONDS, ExitPolicy
from squareoff.domain.errors import (
    BrokerRejected,
    CommitOutcomeUnknown,
    LostUpdate,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.ids import TrackerId
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import OrderState, PositionStatus
from squareoff.services.exits import exit_engine as exit_engine_module
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.rate_budget import HORIZONS
from squareoff.services.positions.warm_positions import REFRESH_SECONDS

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


def test_a_claim_that_cannot_be_committed_gives_its_permits_back() -> None:
    """Kept, they would hold up the exits of every other position."""

    async def body() -> None:
        async with running_world() as world:
            await asyncio.sleep(READING_LAG_SECONDS)
            await world.hold(rules=RuleSet(stop_loss=PriceRule(price=Decimal("149.00"))))
            world.tick("149.60")
            await asyncio.sleep(REFRESH_SECONDS * 1.5)
            world.store.failures.append(StoreUnavailable("busy"))

            assert (await leave(world)).code is ExitCode.STORE_UNAVAILABLE
            assert world.gateway.requests == []
            world.engine.metrics.render()
            used = world.engine.metrics.registry.get_sample_value(
                "squareoff_budget_used", {"horizon": HORIZONS[0]}
            )
            assert used == 0.0

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


@pytest.mark.parametrize("failures_after", [0, 1])
def test_a_send_whose_commit_cannot_be_read_back_is_settled(failures_after: int) -> None:
    """An order whose `OrderSent` was committed unseen is settled and sent, never left in flight."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()

            def on_checkpoint(name: str) -> None:
                if name == f"before_commit_{fact_kind(OrderSent)}":
                    world.checkpoints.reach = lambda name: None  # type: ignore[method-assign]
                    world.store.failures.append(LostAfterCommit("reset in COMMIT"))
                    world.store.failures.extend([StoreUnavailable("busy")] * failures_after)
                    world.store.load_errors.append(StoreUnavailable("away"))

            world.checkpoints.reach = on_checkpoint  # type: ignore[method-assign]
            await leave(world)

            await world.until_status(TRACKER, PositionStatus.EXITED)
            order = world.tracker(TRACKER).orders[0]
            assert len(world.gateway.requests) == 1
            assert [send.outcome.value for send in order.sends] == ["ABSENT", "ACCEPTED"]

    run_virtual(body())


def test_an_alarm_whose_commit_cannot_be_read_back_is_told() -> None:
    """The position is in a person's hands by then, and no later decision says so again."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(attempts_max=2)) as world:
            await world.hold()
            world.gateway.answers.extend([BrokerRejected("no", code="DH-906", text="try")] * 2)

            def on_checkpoint(name: str) -> None:
                if name == f"before_commit_{fact_kind(AlarmRaised)}":
                    world.checkpoints.reach = lambda name: None  # type: ignore[method-assign]
                    world.store.failures.append(LostAfterCommit("reset in COMMIT"))
                    world.store.load_errors.append(StoreUnavailable("away"))

            world.checkpoints.reach = on_checkpoint  # type: ignore[method-assign]
            await leave(world)
            await asyncio.sleep(60.0)

            assert world.alarms.codes == ["exit_attempts_exhausted"]

    run_virtual(body())


def test_a_lost_claim_takes_over_the_state_and_drives_it() -> None:
    """Where another process claimed first, its claim is told to the caller and driven on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await claim_elsewhere(world)

            result = await leave(world, Wait.ACCEPTED)
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
            assert world.engine.status.view().is_ready

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


def test_an_opening_that_cannot_be_read_back_is_under_watch_once_the_store_answers() -> None:
    """Told that it failed, a person would take the same position under watch a second time."""

    async def body() -> None:
        async with running_world() as world:
            world.store.failures.append(LostAfterCommit("reset in COMMIT"))
            world.store.load_errors.extend([StoreUnavailable("away")] * 3)

            tracker = await world.hold()

            assert world.tracker(TRACKER) == tracker
            assert (await leave(world)).code is ExitCode.EXITED

    run_virtual(body())


def test_an_opening_that_was_not_written_is_refused_once_the_store_answers() -> None:
    """An error of an opening means that nothing is under watch, now or after a restart."""

    async def body() -> None:
        async with running_world() as world:
            world.store.failures.append(CommitOutcomeUnknown("reset in COMMIT"))
            world.store.load_errors.extend([StoreUnavailable("away")] * 3)

            with pytest.raises(StoreUnavailable, match="nothing was committed"):
                await world.hold()

            assert world.engine.exit_engine.book.get(TRACKER) is None

    run_virtual(body())
