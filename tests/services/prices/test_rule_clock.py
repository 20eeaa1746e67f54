"""Time exits come at their time, also on a machine whose clock is set while they wait."""

import asyncio
from dataclasses import replace
from datetime import time
from typing import Any

import pytest

from exit_story.values import TRACKER, held
from service_world.session import ScriptedTimes
from service_world.virtual import START_WALL_NS, VirtualClock, run_virtual
from service_world.world import World, make_world, running
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now
from squareoff.services.prices.rule_clock import RuleClock

HOUR = 3_600.0
IN_90_SECONDS = RuleSet(square_off_at=time(8, 11, 30))
"""Virtual time begins at 08:10 IST."""

ONE_MINUTE = RuleSet(max_holding_minutes=1)


class SteppedClock:
    """Virtual time whose wall clock is ahead by `lead`, seconds."""

    def __init__(self) -> None:
        self.lead = 0.0

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        now = VirtualClock().now()
        return Now(now.wall_ns + round(self.lead * 1e9), now.monotonic_ns)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


class SteppedTimes(ScriptedTimes):
    """The broker's clock, which stays right while ours is set; deaf where `is_away`."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self._clock = clock
        self.is_away = False

    def take(self) -> Any:
        """Return one reading each time, as if a call had just been answered."""
        self.offset_seconds = None if self.is_away else 0.0
        lead_ns = round(self._clock.lead * 1e9)
        return tuple(
            replace(one, sent_ns=one.sent_ns + lead_ns, received_ns=one.received_ns + lead_ns)
            for one in super().take()
        )


def stepped(body: Any, **settings: Any) -> None:
    """Run `body(world, clock, times)` on a machine whose wall clock may be set."""

    async def run() -> None:
        clock = SteppedClock()
        times = SteppedTimes(clock)
        world = await make_world(broker_time=times, clock=clock, **settings)
        async with running(world):
            await body(world, clock, times)

    run_virtual(run())


async def seconds_to_exit(world: World) -> float:
    """Return when the exit is claimed, seconds from the start of virtual time."""
    wanted = PositionStatus.ACTIVE
    await world.until(lambda: world.tracker(TRACKER).status is not wanted, 9 * HOUR)
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("rules", [IN_90_SECONDS, ONE_MINUTE], ids=["square_off", "holding"])
@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("lead", [HOUR, -HOUR, 24 * HOUR, 3.0])
def test_a_clock_that_is_set_brings_no_exit_forward_or_back(
    rules: RuleSet, is_away: bool, lead: float
) -> None:
    """Set 40 s before the time, with the broker's clock to be asked or not: the exit comes then."""
    due = 90.0 if rules is IN_90_SECONDS else 60.0

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        await world.hold(rules=rules)
        await asyncio.sleep(due - 40.0)
        clock.lead, times.is_away = lead, is_away
        assert due <= await seconds_to_exit(world) <= due + 3.0
        assert world.alarms.codes[0] == "clock_jumped"

    stepped(body)


@pytest.mark.parametrize("lead", [HOUR, -HOUR])
def test_the_brokers_clock_holds_beyond_the_minute(lead: float) -> None:
    """With the broker's word a square-off hours ahead comes neither at the step nor late."""

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        await world.hold(rules=RuleSet(square_off_at=time(8, 30)))
        await asyncio.sleep(40.0)
        clock.lead = lead
        assert 1_200 - 1.0 <= await seconds_to_exit(world) <= 1_200 + 3.0

    stepped(body)


def test_a_broker_who_is_away_withholds_no_exit() -> None:
    """A minute after the step the wall clock counts again, right or wrong."""

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        await world.hold(rules=RuleSet(square_off_at=time(8, 30)))
        await asyncio.sleep(40.0)
        clock.lead, times.is_away = HOUR, True
        assert 100 <= await seconds_to_exit(world) <= 105

    stepped(body)


def test_the_square_off_of_the_account_waits_for_its_time() -> None:
    """What closes the whole account goes by the same time."""

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        await world.hold(product_type=ProductType.INTRADAY)
        await asyncio.sleep(40.0)
        clock.lead = HOUR
        assert 90 <= await seconds_to_exit(world) <= 93

    stepped(body, account_rules=AccountRules(square_off_at=time(8, 11, 30)))


def test_a_position_opened_by_a_wrong_clock_is_held_as_long_as_it_is() -> None:
    """Its stamp and the clock are wrong by the same, and the clock is set right meanwhile."""

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        clock.lead = 24 * HOUR
        await asyncio.sleep(5.0)
        await world.hold(rules=ONE_MINUTE)
        await asyncio.sleep(20.0)
        clock.lead = 0.0
        assert 65 <= await seconds_to_exit(world) <= 68

    stepped(body)


def test_the_broker_is_asked_while_there_is_a_doubt() -> None:
    """Comparisons every few seconds bring the answers that settle it."""

    async def body(world: World, clock: SteppedClock, times: SteppedTimes) -> None:
        times.is_away = True
        await asyncio.sleep(40.0)
        clock.lead = HOUR
        asked = world.gateway.calls.count("positions")
        await asyncio.sleep(20.0)
        assert world.gateway.calls.count("positions") - asked >= 6

    stepped(body)


def test_a_clock_of_yesterday_that_is_put_right_ages_no_position() -> None:
    """A restart whose clock is a day behind finds stamps of its future; they are right."""

    async def body() -> None:
        clock = SteppedClock()
        clock.lead = -24 * HOUR
        rule_clock = RuleClock(clock)
        tracker = replace(held(), held_since_ns=START_WALL_NS)
        rule_clock.note(tracker)
        await asyncio.sleep(5.0)
        assert rule_clock.held_ns(tracker, rule_clock.look()) == 5 * 10**9
        clock.lead = 0.0
        rule_clock.look()
        rule_clock.trusted.note_offset(0.0)
        assert rule_clock.held_ns(tracker, rule_clock.look()) == 5 * 10**9

    run_virtual(body())


@pytest.mark.parametrize("slewed", [-0.01, 0.01])
@pytest.mark.parametrize("is_put_right", [False, True])
def test_a_stamp_of_a_wrong_clock_that_is_slewed_is_of_now(
    *, slewed: float, is_put_right: bool
) -> None:
    """What the wall clock is ahead by changes between two looks, by less than a step."""

    async def body() -> None:
        clock = SteppedClock()
        rule_clock = RuleClock(clock)
        rule_clock.look()
        clock.lead = -24 * HOUR
        rule_clock.look()
        clock.lead += slewed
        tracker = replace(held(), held_since_ns=clock.now().wall_ns)
        clock.lead = 0.0 if is_put_right else clock.lead
        rule_clock.note(tracker)
        await asyncio.sleep(5.0)
        held_ns = rule_clock.held_ns(tracker, rule_clock.look())
        assert 5 * 10**9 <= held_ns < 5.1 * 10**9

    run_virtual(body())


@pytest.mark.parametrize("wrong", [-24 * HOUR, 24 * HOUR])
def test_a_stamp_of_right_before_the_clock_was_put_right_is_of_now(wrong: float) -> None:
    """A position is stamped, its commit takes a moment, and in between the clock is put right."""

    async def body() -> None:
        clock = SteppedClock()
        rule_clock = RuleClock(clock)
        rule_clock.look()
        clock.lead = wrong
        await asyncio.sleep(5.0)
        rule_clock.look()
        tracker = replace(held(), held_since_ns=clock.now().wall_ns)
        clock.lead = 0.0
        rule_clock.note(tracker)
        await asyncio.sleep(5.0)
        assert rule_clock.held_ns(tracker, rule_clock.look()) == 5 * 10**9

    run_virtual(body())


def test_holding_time_goes_on_from_what_the_wall_clock_said_at_the_start() -> None:
    """A restart knows only the stamp; a stamp of the future takes nothing away."""

    async def body() -> None:
        rule_clock = RuleClock(VirtualClock())
        early = replace(held(), held_since_ns=START_WALL_NS - 50 * 10**9)
        late = replace(
            held(tracker_id=TrackerId("trk-late")), held_since_ns=START_WALL_NS + 50 * 10**9
        )
        for tracker in (early, late):
            rule_clock.note(tracker)
        await asyncio.sleep(10.0)
        now = rule_clock.look()
        assert rule_clock.held_ns(early, now) == 60 * 10**9
        assert rule_clock.held_ns(late, now) == 10 * 10**9

    run_virtual(body())
