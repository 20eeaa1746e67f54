"""What people and programs may ask: every input fault is named, every answer is a value."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import time
from decimal import Decimal as D

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT, TRACKER, new_position
from service_world.virtual import run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.rules.square_off_times import SquareOffTimes
from squareoff.core.state.facts import RulesChanged
from squareoff.domain.errors import (
    CommitOutcomeUnknown,
    DomainError,
    InForceNotStored,
    InvariantBroken,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import (
    ExchangeSegment,
    InstrumentId,
    PositionKey,
    ProductType,
)
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.ports import RememberedAnswer
from squareoff.services.desk.desk import Desk
from squareoff.services.desk.desk_requests import (
    EntryRequest,
    InvalidRequest,
    PositionRequest,
    UnknownTracker,
)
from squareoff.services.desk.views import TrackerView
from squareoff.services.exits.exit_results import Wait

POSITION = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49081",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    entry_price=D("150"),
)
FNO = ExchangeSegment.NSE_FNO
UNLISTED = replace(POSITION, security_id="777", lot_size=25, tick_size=D("0.05"))
ENTRY = EntryRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49081",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    order_type=OrderType.LIMIT,
    limit_price=D("150"),
)

MARKET_ENTRY = replace(ENTRY, order_type=OrderType.MARKET, limit_price=None)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (replace(POSITION, quantity=0), ["quantity"]),
        (replace(POSITION, quantity=-25), ["quantity"]),
        (replace(POSITION, quantity=99), ["quantity"]),
        (replace(POSITION, quantity=10_000_025), ["quantity"]),
        (replace(POSITION, entry_price=D(0)), ["entry_price"]),
        (replace(POSITION, entry_price=D(-5)), ["entry_price"]),
        (replace(POSITION, product_type=ProductType.CNC), ["product_type"]),
        (replace(UNLISTED, lot_size=None), ["security_id", "lot_size"]),
        (replace(UNLISTED, tick_size=None), ["security_id", "tick_size"]),
        (replace(UNLISTED, lot_size=0), ["lot_size"]),
        (replace(UNLISTED, tick_size=D(0)), ["tick_size"]),
        (replace(UNLISTED, tick_size=D("0.00001")), ["tick_size"]),
        (replace(UNLISTED, freeze_quantity=10), ["freeze_quantity"]),
        (replace(UNLISTED, freeze_quantity=-1), ["freeze_quantity"]),
        (replace(POSITION, lot_size=0), ["lot_size"]),
        (replace(POSITION, tick_size=D(0)), ["tick_size"]),
        (replace(POSITION, freeze_quantity=-1), ["freeze_quantity"]),
        (replace(POSITION, security_id="NIFTY"), ["security_id", "lot_size", "tick_size"]),
        (
            replace(POSITION, rules=RuleSet(stop_loss=PriceRule())),
            ["rules.stop_loss"],
        ),
        (
            replace(POSITION, rules=RuleSet(stop_loss=PriceRule(points=D(160)))),
            ["rules.stop_loss.points"],
        ),
        (
            replace(POSITION, rules=RuleSet(target=PriceRule(price=D("160.03")))),
            ["rules.target.price"],
        ),
    ],
)
def test_every_fault_of_a_position_names_its_field(
    request_: PositionRequest, fields: list[str]
) -> None:
    """A bad position is refused with each field named, and nothing is written."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.track(request_)

            assert [fault.field for fault in caught.value.faults] == fields
            assert caught.value.code == "invalid_request"
            assert world.engine.desk.trackers() == ()
            assert world.store.commits == []

    run_virtual(body())


def test_a_position_is_tracked_with_the_masters_terms() -> None:
    """Where the master knows the instrument its terms count, and the view shows them."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 100)
            view = await world.engine.desk.track(replace(POSITION, lot_size=1, quantity=50))

            assert (view.status, view.quantity) == (PositionStatus.ACTIVE, 50)
            assert view.trading_symbol == INSTRUMENT.trading_symbol
            assert world.engine.desk.tracker(TrackerId(view.id)) == view
            foreign = InstrumentId(ExchangeSegment.NSE_FNO, "777")
            world.gateway.hold(PositionKey(ACCOUNT, foreign, ProductType.INTRADAY), 100)
            unlisted = await world.engine.desk.track(UNLISTED)
            assert unlisted.security_id == "777"

    run_virtual(body())


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (replace(ENTRY, limit_price=None), "limit_price"),
        (replace(ENTRY, order_type=OrderType.MARKET), "limit_price"),
        (replace(ENTRY, limit_price=D("150.02")), "limit_price"),
        (replace(ENTRY, limit_price=D(0)), "limit_price"),
        (replace(ENTRY, quantity=10), "quantity"),
    ],
)
def test_every_fault_of_an_entry_names_its_field(request_: EntryRequest, field: str) -> None:
    """A bad entry is refused and no order is planned."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.enter(request_)

            assert caught.value.field == field
            assert world.gateway.requests == []

    run_virtual(body())


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        (RuleSet(stop_loss=PriceRule()), "rules.stop_loss"),
        (RuleSet(stop_loss=PriceRule(price=D(1), points=D(1))), "rules.stop_loss"),
        (RuleSet(stop_loss=PriceRule(points=D(-10))), "rules.stop_loss.points"),
        (RuleSet(target=PriceRule(price=D("160.03"))), "rules.target.price"),
        (RuleSet(max_holding_minutes=-5), "rules.max_holding_minutes"),
    ],
)
def test_rules_are_checked_before_any_price_is_known(rules: RuleSet, field: str) -> None:
    """An entry at the market has no price yet: all but the side of its rules is checked."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.enter(replace(MARKET_ENTRY, rules=rules))

            assert caught.value.field == field
            assert world.gateway.requests == []

    run_virtual(body())


def test_rules_of_an_entry_without_a_price_can_be_set() -> None:
    """A stop at a price is not held against the price of nothing."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            view = await world.engine.desk.enter(MARKET_ENTRY)
            rules = RuleSet(stop_loss=PriceRule(price=D("140.00")))

            assert (await world.engine.desk.set_rules(TrackerId(view.id), rules)).rules == rules

    run_virtual(body())


@pytest.mark.parametrize("security_id", [" 49081 ", "049081", "00049081"])
def test_one_instrument_has_one_id(security_id: str) -> None:
    """Leading zeros and blanks make no second instrument beside the master's."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 100)
            asked = replace(POSITION, security_id=security_id, lot_size=1, tick_size=D("0.01"))
            view = await world.engine.desk.track(asked)

            assert (view.security_id, view.trading_symbol) == ("49081", INSTRUMENT.trading_symbol)

    run_virtual(body())


@pytest.mark.parametrize("security_id", ["４９０８１", "²", "-5", "4908 1", ""])
def test_an_instrument_s_id_is_of_plain_digits(security_id: str) -> None:
    """What looks like a number and is none at the exchange is refused by field."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.track(replace(UNLISTED, security_id=security_id))

            assert caught.value.field == "security_id"

    run_virtual(body())


@pytest.mark.parametrize("level", ["new", "all"])
def test_no_entry_is_taken_after_the_kill_switch(level: str) -> None:
    """While the switch is thrown an entry is refused at once."""

    async def body() -> None:
        async with running_world() as world:
            await world.engine.desk.set_kill_switch(active=True, level=level, reason="storm")
            with pytest.raises(DomainError) as caught:
                await world.engine.desk.enter(ENTRY)

            assert caught.value.code == "halted"

    run_virtual(body())


@pytest.mark.parametrize(
    ("level", "reason", "field"), [("some", "x", "level"), ("all", " ", "reason")]
)
def test_a_bad_switch_is_refused(level: str, reason: str, field: str) -> None:
    """Level and reason of the kill switch are checked, and nothing is set."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.set_kill_switch(active=True, level=level, reason=reason)

            assert caught.value.field == field
            assert not (await world.engine.desk.kill_switch()).active

    run_virtual(body())


async def told(desk: Desk, tracker_id: str) -> object:
    """Ask for one tracker's view."""
    return desk.tracker(TrackerId(tracker_id))


@pytest.mark.parametrize(
    "ask",
    [
        lambda desk: told(desk, "nobody"),
        lambda desk: desk.set_rules("nobody", RuleSet()),
        lambda desk: desk.journal(tracker_id="nobody"),
    ],
)
def test_an_unknown_tracker_is_told(ask: Callable[[Desk], Awaitable[object]]) -> None:
    """Every question about an id that never was names it."""

    async def body() -> None:
        async with running_world() as world:
            with pytest.raises(UnknownTracker) as caught:
                await ask(world.engine.desk)

            assert caught.value.code == "tracker_not_found"
            assert "nobody" in str(caught.value)

    run_virtual(body())


async def closed(world: World) -> None:
    """Hold and close the default position."""
    await world.hold()
    await world.engine.desk.exit(TRACKER, "x", Wait.FILLED, 8.0)


def test_rules_are_checked_changed_and_then_settled() -> None:
    """New rules are checked against the position; those of a closed one cannot change."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            rules = RuleSet(stop_loss=PriceRule(points=D(10)))
            view = await world.engine.desk.set_rules(TRACKER, rules)
            assert (view.rules, view.stop_level) == (rules, D("140.00"))
            with pytest.raises(InvalidRequest):
                await world.engine.desk.set_rules(TRACKER, RuleSet(target=PriceRule(points=D(0))))
            await world.engine.desk.exit(TRACKER, "x", Wait.FILLED, 8.0)
            with pytest.raises(DomainError) as caught:
                await world.engine.desk.set_rules(TRACKER, RuleSet())

            assert caught.value.code == "not_active"
            changes = [
                f for c in world.store.commits for f in c.facts if isinstance(f, RulesChanged)
            ]
            assert len(changes) == 1

    run_virtual(body())


def test_rules_of_a_halted_position_are_refused() -> None:
    """A position that is halted says so instead of keeping its old rules in silence."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await world.engine.exit_engine.halt(actor, InvariantBroken("defect"))
            with pytest.raises(DomainError) as caught:
                await world.engine.desk.set_rules(TRACKER, RuleSet(max_holding_minutes=5))

            assert caught.value.code == "halted"

    run_virtual(body())


def test_an_exit_at_level_all_is_latched_and_goes_out_by_itself() -> None:
    """At level `all` an exit is claimed and blocked with an alarm; lifting sends it at once."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            await desk.set_kill_switch(active=True, level="all", reason="storm")
            result = await desk.exit(TRACKER, "x", Wait.FILLED, 8.0)

            assert (result.code, world.gateway.requests) == (ExitCode.BLOCKED, [])
            assert result.intent_id is not None
            assert world.alarms.codes == ["exit_blocked_kill_switch"]
            await asyncio.sleep(100.0)
            assert world.gateway.requests == []
            await desk.set_kill_switch(active=False, level="new", reason="calm")
            lifted_at = asyncio.get_running_loop().time()
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert asyncio.get_running_loop().time() - lifted_at < 3.0
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_alarms_are_listed_and_acknowledged_once() -> None:
    """An alarm is acknowledged durably; one that never was is told."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.calendar.opens_in_seconds = 60.0
            await world.engine.desk.exit(TRACKER, "x", Wait.FILLED, 8.0)
            desk = world.engine.desk
            (alarm,) = await desk.alarms()
            seen = await desk.acknowledge_alarm(alarm.seq)
            again = await desk.acknowledge_alarm(alarm.seq)

            assert alarm.acknowledged_at_ns is None
            assert seen.acknowledged_at_ns == again.acknowledged_at_ns is not None
            with pytest.raises(DomainError) as caught:
                await desk.acknowledge_alarm(9_999)
            assert caught.value.code == "alarm_not_found"

    run_virtual(body())


def test_the_journal_is_read_by_tracker_and_number() -> None:
    """Entries come in order, of one tracker where asked, and the head is the newest."""

    async def body() -> None:
        async with running_world() as world:
            await closed(world)
            desk = world.engine.desk
            entries = await desk.journal(tracker_id=TRACKER)

            assert [e.seq for e in entries] == sorted(e.seq for e in entries)
            assert await desk.journal_head() == (await desk.journal())[-1].seq
            assert await desk.journal(after_seq=await desk.journal_head()) == ()

    run_virtual(body())


def test_answers_are_remembered_under_their_key() -> None:
    """The first answer under an idempotency key stands."""

    async def body() -> None:
        async with running_world() as world:
            desk = world.engine.desk
            first = RememberedAnswer("hash", 201, "{}")
            await desk.trail.remember_answer("key", first)
            await desk.trail.remember_answer("key", RememberedAnswer("hash", 500, "[]"))

            assert await desk.trail.recall_answer("key") == first
            assert await desk.trail.recall_answer("other") is None

    run_virtual(body())


def test_a_store_that_is_away_refuses_a_new_position() -> None:
    """Nothing is tracked that could not be committed."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 100)
            world.store.failures.append(StoreUnavailable("busy"))
            with pytest.raises(StoreUnavailable):
                await world.engine.desk.track(POSITION)

            assert world.engine.desk.trackers() == ()

    run_virtual(body())


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), CommitOutcomeUnknown("broken")])
@pytest.mark.parametrize("level", ["new", "all"])
def test_a_halt_that_cannot_be_stored_is_told_as_in_force(level: str, failure: StoreError) -> None:
    """The switch holds from the call on; the refusal says so, and a release says nothing so."""

    async def body() -> None:
        async with running_world() as world:
            desk = world.engine.desk
            world.store.down = failure
            with pytest.raises(InForceNotStored, match=f"holds in this engine at level {level}"):
                await desk.set_kill_switch(active=True, level=level, reason="storm")
            assert (await desk.kill_switch()).active
            with pytest.raises(type(failure)):
                await desk.set_kill_switch(active=False, level="new", reason="over")

            assert (await desk.kill_switch()).active

    run_virtual(body())


@pytest.mark.parametrize("first", PositionSide)
def test_two_entries_at_once_take_one_side(first: PositionSide) -> None:
    """The second waits for the commit of the first, and is refused on the other side."""

    async def body() -> None:
        async with running_world() as world:
            desk = world.engine.desk
            second = PositionSide.SHORT if first is PositionSide.LONG else PositionSide.LONG
            world.store.gate = asyncio.Event()
            asking = []
            for side in (first, second):
                asking.append(asyncio.ensure_future(desk.enter(replace(ENTRY, side=side))))
                await settle()
            world.store.gate.set()
            taken, refused = await asyncio.gather(*asking, return_exceptions=True)

            assert isinstance(refused, DomainError)
            assert refused.code == "opposite_side"
            assert isinstance(taken, TrackerView)
            assert [(view.id, view.side) for view in desk.trackers()] == [(taken.id, first)]

    run_virtual(body())


def test_an_index_cannot_be_held() -> None:
    """Index values are refused by segment."""

    async def body() -> None:
        async with running_world() as world:
            request = replace(UNLISTED, exchange_segment=ExchangeSegment.IDX_I)
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.track(request)

            assert caught.value.field == "exchange_segment"

    run_virtual(body())


def test_an_intraday_position_gets_its_segments_square_off_time() -> None:
    """Tracked or entered, without a time of its own: the time stands in its rules, for all to see;
    what carries forward gets none."""

    async def body() -> None:
        async with running_world(square_off=SquareOffTimes({FNO: time(15, 15)})) as world:
            carried = replace(POSITION, product_type=ProductType.MARGIN)
            own = RuleSet(square_off_at=time(14, 0))
            for product in (ProductType.INTRADAY, ProductType.MARGIN):
                world.gateway.hold(replace(new_position(), product_type=product).key, 100)
            half = replace(POSITION, quantity=50)
            views = [
                await world.engine.desk.track(each)
                for each in (half, replace(half, rules=own), carried)
            ]
            views.append(await world.engine.desk.enter(ENTRY))

            times = [view.rules.square_off_at for view in views]
            assert times == [time(15, 15), time(14, 0), None, time(15, 15)]
            changed = await world.engine.desk.set_rules(TrackerId(views[0].id), POSITION.rules)
            assert changed.rules.square_off_at == time(15, 15), "new rules leave it its time"

    run_virtual(body())
