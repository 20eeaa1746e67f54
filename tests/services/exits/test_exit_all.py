"""Close everything: one durable wish, shorts first, entries ended, nothing forgotten."""

import asyncio
from collections import deque
from decimal import Decimal as D
from typing import Any

import pytest

from exit_story.values import TRACKER, new_position
from service_world.store import LostAfterCommit
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.change import Change
from squareoff.core.state.facts import (
    ExitAllAsked,
    ExitAllEnded,
    ExitBlocked,
    JournalEntry,
    KillSwitchSet,
)
from squareoff.domain.errors import (
    BrokerUnreachable,
    CommitOutcomeUnknown,
    InForceNotStored,
    InvariantBroken,
    StoreUnavailable,
)
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderType, PositionSide, Side
from squareoff.domain.results import ExitCode
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import InvalidRequest
from squareoff.services.exits.exit_all import SHORTS_FIRST_SECONDS
from squareoff.services.exits.exit_results import Wait

SHORT = TrackerId("short")


async def hold_both(world: World) -> None:
    """Hold a long and a short."""
    await world.hold()
    await world.hold(tracker_id=SHORT, side=PositionSide.SHORT, product_type=ProductType.MARGIN)


def sides(world: World) -> list[Side]:
    """Return the sides of all orders that arrived, oldest first."""
    return [request.side for request in world.gateway.requests]


def test_everything_is_closed_shorts_first_and_entries_stay_blocked() -> None:
    """Shorts are bought back before longs are sold; the wish and the switch are one transaction."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            report = await world.engine.desk.exit_all("storm", wait_seconds=20.0)

            assert report.nothing_remains
            assert report.state is not None
            assert report.state.outcome == "closed"
            assert [result.tracker_id for result in report.results] == [SHORT, TRACKER]
            assert {result.code for result in report.results} == {ExitCode.EXITED}
            assert sides(world) == [Side.BUY, Side.SELL]
            facts = [entry.fact for entry in await world.engine.desk.journal()]
            place = facts.index(KillSwitchSet(True, "new", "exit-all: storm"))
            assert isinstance(facts[place + 1], ExitAllAsked)
            assert any(isinstance(fact, ExitAllEnded) for fact in facts)
            assert (await world.engine.desk.kill_switch()).active

    run_virtual(body())


@pytest.mark.parametrize("beyond", [50, -50])
def test_units_of_others_are_told_of_right_after_the_last_close(beyond: int) -> None:
    """Our newest fills excuse what a reading shows beyond our trackers only until it must know."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.desk.exit_all("storm")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            key = world.tracker(TRACKER).key
            world.gateway.hold(key, beyond)  # what somebody else traded meanwhile

            report = await world.engine.desk.exit_all_report()

            assert not report.nothing_remains
            assert report.unknown is not None
            assert [row.net_quantity for row in report.unknown] == [beyond]

    run_virtual(body())


def test_what_was_closed_before_the_wish_is_no_part_of_it() -> None:
    """The answer tells what became of what was held."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            await world.engine.desk.exit(SHORT, "x", Wait.FILLED, 10.0)
            await asyncio.sleep(1.0)
            report = await world.engine.desk.exit_all("storm", wait_seconds=20.0)

            assert [result.tracker_id for result in report.results] == [TRACKER]

    run_virtual(body())


def test_books_that_agree_are_reported_at_once() -> None:
    """Nothing is waited for where the reading shows nothing beyond our trackers."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            await world.engine.desk.exit_all("storm")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until_status(SHORT, PositionStatus.EXITED)
            begun = asyncio.get_running_loop().time()

            assert (await world.engine.desk.exit_all_report()).nothing_remains
            assert asyncio.get_running_loop().time() == begun

    run_virtual(body())


def test_a_stuck_short_holds_longs_up_for_a_bounded_time() -> None:
    """A short that does not fill delays the longs, and no longer than the bound."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            world.gateway.fills = False
            begun = asyncio.get_running_loop().time()
            await world.engine.desk.exit_all("storm")
            assert world.tracker(TRACKER).intent is None
            await world.until(lambda: Side.SELL in sides(world))

            elapsed = asyncio.get_running_loop().time() - begun
            assert SHORTS_FIRST_SECONDS - 1 <= elapsed <= SHORTS_FIRST_SECONDS + 1
            report = await world.engine.desk.exit_all_report()
            assert {row.tracker_id for row in report.remaining} == {SHORT, TRACKER}
            assert not report.nothing_remains

    run_virtual(body())


def test_a_short_whose_claim_could_not_be_written_goes_first_all_the_same() -> None:
    """It is claimed in the next round, a quarter of a second later: no long overtakes it."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            world.store.failures.append(StoreUnavailable("locked"))
            await world.engine.desk.exit_all("storm")
            assert world.store.failures == deque()
            assert world.tracker(SHORT).intent is None
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert sides(world) == [Side.BUY, Side.SELL]

    run_virtual(body())


def test_a_short_that_can_never_be_claimed_holds_longs_up_for_a_bounded_time() -> None:
    """Longs wait for the database no longer than for a fill."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            commit = world.store.commit

            async def but_not_of_the_short(change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
                if change.after.tracker_id == SHORT:
                    raise StoreUnavailable("locked")
                return await commit(change, at_ns)

            world.store.commit = but_not_of_the_short  # type: ignore[method-assign]
            begun = asyncio.get_running_loop().time()
            await world.engine.desk.exit_all("storm")
            await world.until(lambda: Side.SELL in sides(world))

            elapsed = asyncio.get_running_loop().time() - begun
            assert SHORTS_FIRST_SECONDS - 1 <= elapsed <= SHORTS_FIRST_SECONDS + 1

    run_virtual(body())


def test_the_claims_of_one_side_are_made_together() -> None:
    """A thousand positions are not claimed one commit after the other."""
    quantities = {"trk-1": 25, "trk-2": 75, "trk-3": 50}

    async def body() -> None:
        async with running_world() as world:
            for name, quantity in quantities.items():
                await world.hold(tracker_id=TrackerId(name), quantity=quantity)
            before = len(world.store.commits)
            world.store.gate = asyncio.Event()
            asking = asyncio.create_task(world.engine.desk.exit_all("storm", wait_seconds=20.0))
            await asyncio.sleep(1.0)
            claimed = {str(change.after.tracker_id) for change in world.store.commits[before:]}
            assert claimed == quantities.keys()
            world.store.gate.set()
            assert (await asking).nothing_remains

    run_virtual(body())


def test_a_claim_of_unknown_outcome_is_not_told_as_refused_for_ever() -> None:
    """Whoever read `store_unavailable` of a position that is closed would close it once more."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.failures.append(LostAfterCommit("the connection broke"))
            world.store.load_errors.append(StoreUnavailable("away"))
            report = await world.engine.desk.exit_all("storm")
            assert [result.code for result in report.results] == [ExitCode.STORE_UNAVAILABLE]
            await world.until_status(TRACKER, PositionStatus.EXITED)

            report = await world.engine.desk.exit_all_report(10.0)
            assert [result.code for result in report.results] == [ExitCode.EXITED]

    run_virtual(body())


def test_a_short_that_is_blocked_holds_no_long_up() -> None:
    """Whatever cannot be closed soon is not waited for."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            actor = world.engine.exit_engine.book.get(SHORT)
            assert actor is not None
            await world.engine.exit_engine.halt(actor, InvariantBroken("defect"))
            report = await world.engine.desk.exit_all("storm")

            assert world.tracker(TRACKER).intent is not None
            (halted,) = [r for r in report.results if r.tracker_id == SHORT]
            assert halted.code is ExitCode.HALTED
            await world.until_status(TRACKER, PositionStatus.EXITED)
            report = await world.engine.desk.exit_all_report()
            assert [row.tracker_id for row in report.remaining] == [SHORT]
            assert "halted by a defect" in report.remaining[0].why

    run_virtual(body())


def test_resting_entries_are_cancelled_and_what_filled_is_closed() -> None:
    """An entry that works at the broker is cancelled; its fills so far are sold."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold(entry_order_type=OrderType.LIMIT, entry_price=D("150.00"))
            world.gateway.hold(new_position().key, 0)
            await world.until(lambda: len(world.gateway.orders) == 1)
            (entry,) = world.gateway.orders
            world.gateway.fill(entry, 25)
            await world.until_status(TRACKER, PositionStatus.ACTIVE)
            world.gateway.fills = True
            report = await world.engine.desk.exit_all("storm", wait_seconds=20.0)

            assert world.gateway.orders[entry].status is BrokerOrderStatus.CANCELLED
            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert [r.exited_quantity for r in report.results] == [25]
            assert report.nothing_remains

    run_virtual(body())


def test_an_entry_that_never_filled_ends_cancelled() -> None:
    """Nothing was held, so nothing is sold."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold(entry_order_type=OrderType.LIMIT, entry_price=D("150.00"))
            world.gateway.hold(new_position().key, 0)
            await world.until(lambda: len(world.gateway.orders) == 1)
            report = await world.engine.desk.exit_all("storm", wait_seconds=20.0)

            assert world.tracker(TRACKER).status is PositionStatus.CANCELLED
            assert sides(world) == [Side.BUY]
            assert report.nothing_remains

    run_virtual(body())


@pytest.mark.parametrize("pause", [0.0, 0.3, 2.0])
def test_a_crash_in_the_middle_is_gone_on_with(pause: float) -> None:
    """The next process closes what the last one had not claimed yet."""

    async def body() -> None:
        world = await make_world()
        async with running(world):
            await hold_both(world)
            world.gateway.fills = False
            await world.engine.desk.exit_all("storm")
            await asyncio.sleep(pause)
        world.gateway.publish = lambda report: None
        for order_id in tuple(world.gateway.orders):
            world.gateway.fill(order_id)
        world.gateway.fills = True
        reborn = await make_world(store=world.store, gateway=world.gateway)
        async with running(reborn):
            await reborn.until_status(TRACKER, PositionStatus.EXITED)
            await reborn.until_status(SHORT, PositionStatus.EXITED)
            await asyncio.sleep(1.0)

            report = await reborn.engine.desk.exit_all_report()
            assert report.state is not None
            assert (report.state.outcome, report.nothing_remains) == ("closed", True)
            assert sorted(sides(world)) == [Side.BUY, Side.SELL]

    run_virtual(body())


def test_lifting_the_switch_ends_the_wish() -> None:
    """Claimed exits go on; what comes under watch afterwards is not closed."""

    async def body() -> None:
        async with running_world() as world:
            await hold_both(world)
            world.gateway.fills = False
            await world.engine.desk.exit_all("storm")
            await world.engine.desk.set_kill_switch(active=False, level="new", reason="calm")
            await asyncio.sleep(10.0)

            report = await world.engine.desk.exit_all_report()
            assert report.state is not None
            assert report.state.outcome == "lifted"
            assert world.tracker(SHORT).status is PositionStatus.EXITING
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_an_exit_whose_block_is_committed_after_the_release_goes_on() -> None:
    """It was decided under the switch, so the release found nothing to wake."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            switch = world.engine.desk.set_kill_switch
            await switch(active=True, level="all", reason="storm")
            gate = world.store.gate = asyncio.Event()
            claim = asyncio.ensure_future(
                world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
            )
            for _ in range(5):
                await settle()
                if isinstance(world.store.commits[-1].facts[-1], ExitBlocked):
                    break
                gate.set()
                gate = world.store.gate = asyncio.Event()
            assert isinstance(world.store.commits[-1].facts[-1], ExitBlocked)
            assert world.tracker(TRACKER).intent.block_reason is None
            await switch(active=False, level="all", reason="over")
            world.store.gate = None
            gate.set()
            await claim

            await world.until(lambda: world.gateway.requests != [], 2.0)
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_stricter_switch_is_not_loosened() -> None:
    """Under level `all` the exits are latched, and wait for the switch to be lifted."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            await desk.set_kill_switch(active=True, level="all", reason="stop")
            report = await desk.exit_all("storm", wait_seconds=2.0)

            assert (await desk.kill_switch()).level == "all"
            assert world.gateway.requests == []
            assert "the kill switch stands at level all" in report.remaining[0].why

    run_virtual(body())


def test_what_no_tracker_knows_is_told_with_what_to_do() -> None:
    """The broker's other positions are part of what remains, with the command to adopt them."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, -50)
            report = await world.engine.desk.exit_all("storm", wait_seconds=5.0)

            assert report.remaining == ()
            assert report.unknown is not None
            (unknown,) = report.unknown
            assert unknown.net_quantity == -50
            assert "squareoff track --segment NSE_FNO --security-id 49081" in unknown.how
            assert "--side SHORT --quantity 50" in unknown.how
            assert not report.nothing_remains

    run_virtual(body())


@pytest.mark.parametrize(
    ("side", "net", "told"),
    [
        pytest.param(PositionSide.LONG, 25, None, id="part of a long was sold by hand"),
        pytest.param(PositionSide.LONG, 0, None, id="all of a long was sold by hand"),
        pytest.param(PositionSide.LONG, 150, 50, id="more of a long was bought by hand"),
        pytest.param(PositionSide.LONG, -50, -50, id="a long was turned by hand"),
        pytest.param(PositionSide.SHORT, -25, None, id="part of a short was bought back"),
        pytest.param(PositionSide.SHORT, -150, -50, id="more of a short was sold by hand"),
        pytest.param(PositionSide.SHORT, 50, 50, id="a short was turned by hand"),
    ],
)
def test_only_what_the_broker_holds_is_told_as_unknown(
    side: PositionSide, net: int, told: int | None
) -> None:
    """Nobody is sent to close what is not there: that would open a position on the other side."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold(side=side)
            await world.engine.desk.set_kill_switch(active=True, level="all", reason="stop")
            world.gateway.hold(tracker.key, net)
            report = await world.engine.desk.exit_all("storm")

            assert [row.tracker_id for row in report.remaining] == [TRACKER]
            assert report.unknown is not None
            assert [row.net_quantity for row in report.unknown] == ([] if told is None else [told])
            assert not report.nothing_remains

    run_virtual(body())


def test_positions_that_cannot_be_read_are_not_nothing() -> None:
    """Without the broker's word nobody says that nothing remains."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.failures["positions"] = BrokerUnreachable("away")
            report = await world.engine.desk.exit_all("storm", wait_seconds=2.0)

            assert (report.unknown, report.nothing_remains) == (None, False)

    run_virtual(body())


def test_a_blank_reason_changes_nothing() -> None:
    """The wish needs a reason; without one the switch stays off."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest):
                await world.engine.desk.exit_all(" ")

            assert not (await world.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_store_that_is_away_holds_entries_back_and_says_so() -> None:
    """The wish that could not be stored is refused; entries are stopped all the same."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.down = StoreUnavailable("away")
            with pytest.raises(InForceNotStored, match="closes nothing: ask again"):
                await world.engine.desk.exit_all("storm")

            assert (await world.engine.desk.kill_switch()).active
            assert world.gateway.requests == []

    run_virtual(body())


def test_a_wish_whose_commit_was_not_answered_is_carried_out_if_it_is_stored() -> None:
    """What is durable is not left for a surprise at the next start."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.record_failures.append(CommitOutcomeUnknown("the connection broke"))
            with pytest.raises(InForceNotStored, match="may be stored and go on"):
                await world.engine.desk.exit_all("storm")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            report = await world.engine.desk.exit_all_report(10.0)
            assert report.state is not None
            assert (report.state.reason, report.state.outcome) == ("storm", "closed")

    run_virtual(body())


@pytest.mark.parametrize("moment", ["record", "commit"])
def test_a_wish_goes_on_without_who_asked_for_it(moment: str) -> None:
    """Whoever asked is gone before the wish is told as stored, or before its first claim is."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.hold(tracker_id=TrackerId("other"))
            await asyncio.sleep(1.0)  # nothing looks for a wish any more
            may_answer = asyncio.Event()
            store_now = getattr(world.store, moment)

            async def answer_late(*change: Any) -> Any:
                stored = await store_now(*change)
                await may_answer.wait()
                return stored

            setattr(world.store, moment, answer_late)
            wish = asyncio.create_task(world.engine.desk.exit_all("storm"))
            await settle()
            wish.cancel()
            await asyncio.wait([wish])
            may_answer.set()
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until_status(TrackerId("other"), PositionStatus.EXITED)

            assert wish.cancelled()
            report = await world.engine.desk.exit_all_report(10.0)
            assert report.state is not None
            assert (report.state.reason, report.state.outcome) == ("storm", "closed")

    run_virtual(body())


def test_a_person_s_exit_that_was_given_up_goes_on_once() -> None:
    """The wish wakes an exit in a person's hands when it is spoken, not in every round."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.desk.exit(TRACKER, "x", Wait.CLAIMED, 0.0)
            await settle()
            report = await world.engine.desk.exit_all("storm", wait_seconds=10.0)

            assert len(world.gateway.requests) == 1
            assert [r.reason for r in report.results] == ["x"]

    run_virtual(body())


def test_a_wish_beside_a_release_that_is_being_stored_holds_no_exit_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person lifts level `all` while the database is slow; what closes everything comes before
    that is stored, and does not throw the switch at that level anew."""

    async def body() -> None:
        async with running_world() as world:
            desk = world.engine.desk
            await world.hold()
            await desk.set_kill_switch(active=True, level="all", reason="looking at it")
            may_store, store_now = asyncio.Event(), world.store.record

            async def store_later(*record: Any) -> Any:
                await may_store.wait()
                return await store_now(*record)

            monkeypatch.setattr(world.store, "record", store_later)
            release = asyncio.create_task(
                desk.set_kill_switch(active=False, level="new", reason="go on")
            )
            await settle()
            wish = asyncio.create_task(desk.exit_all("storm"))
            await settle()
            may_store.set()
            await release
            await wish

            switch = await desk.kill_switch()
            assert (switch.active, switch.level, switch.reason) == (True, "new", "exit-all: storm")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())
