"""Who gets the next permit, whatever comes, waits, is cancelled, fails or is given back."""

import asyncio
import random
from decimal import Decimal

import pytest

from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.domain.rules import Urgency
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.circuit_breaker import BreakerState, Endpoint
from squareoff.services.orders.permit_queue import GATHER_SECONDS_MAX, PermitQueue, WriteFlight
from squareoff.services.orders.rate_budget import RateBudget, RateLimits, WriteKind

Rank = tuple[int, int, Decimal]


def queue_of(**limits: int) -> PermitQueue:
    """Return a queue with these limits."""
    return PermitQueue(RateBudget(RateLimits(**limits)), clock=VirtualClock(), metrics=Metrics())


def now() -> float:
    """Return virtual seconds."""
    return asyncio.get_running_loop().time()


async def lose_all(queue: PermitQueue, kind: WriteKind) -> None:
    """Let writes of this kind fail until their breaker opens."""
    while queue.breaker_state() is BreakerState.CLOSED:
        await queue.permit(Urgency.STOP, kind=kind)
        queue.end_failed(queue.begin(kind))


class Crowd:
    """Many writers at once; notes the order of their permits and who waited meanwhile."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.queue = queue_of(per_second=3, per_minute=100)
        self.waiting: list[Rank] = []
        self.faults: list[str] = []
        self.grants: list[float] = []

    async def write(self, number: int) -> None:
        """Come at some time, wait, write or give back, end somehow; some lose patience."""
        await asyncio.sleep(self.chance.uniform(0.0, 8.0))
        urgency = self.chance.choice([Urgency.STOP, Urgency.TARGET, Urgency.TIME])
        kind = self.chance.choice([WriteKind.PLACE, WriteKind.CANCEL])
        rank = (urgency.value, kind.value, Decimal(-number))
        self.waiting.append(rank)
        patience = 3.0 if self.chance.random() < 0.2 else 400.0
        try:
            async with asyncio.timeout(patience):
                await self.queue.permit(urgency, Decimal(number), kind)
        except TimeoutError:
            self.waiting.remove(rank)
            return
        self.waiting.remove(rank)
        self.note(rank)
        if self.chance.random() < 0.1:
            self.queue.give_back(kind)
            return
        self.grants.append(now())
        flight = self.queue.begin(kind)
        await asyncio.sleep(self.chance.uniform(0.0, 0.3))
        self.end(flight)

    def note(self, rank: Rank) -> None:
        """Find anybody who should have gone before, apart from those of the same instant."""
        at = now()
        better = [other for other in self.waiting if other < rank]
        if better:
            asyncio.get_running_loop().call_soon(self.check, rank, better, at)

    def check(self, rank: Rank, better: list[Rank], at: float) -> None:
        """Those may have been granted at the same instant and not have run yet."""
        if self.queue.breaker_state() is BreakerState.CLOSED and now() > at:
            self.faults += [f"{rank} before {other}" for other in better if other in self.waiting]

    def end(self, flight: WriteFlight) -> None:
        """Answered mostly, at times failed or refused for rate."""
        draw = self.chance.random()
        if draw < 0.2:
            self.queue.end_failed(flight)
        elif draw < 0.25:
            self.queue.end_rate_limited(flight)
        else:
            self.queue.end_answered(flight)


@pytest.mark.parametrize("seed", range(20))
def test_everybody_goes_in_order_and_within_the_limit(seed: int) -> None:
    """In a crowd with failures, cancels and returns nobody waits for ever or goes out of turn."""

    async def body() -> None:
        crowd = Crowd(seed)
        async with asyncio.TaskGroup() as tasks:
            for number in range(60):
                tasks.create_task(crowd.write(number))

        assert crowd.faults == []
        assert crowd.queue.waiting() == 0
        for start in crowd.grants:
            assert sum(start <= each < start + 1.0 for each in crowd.grants) <= 3

    run_virtual(body(), seed)


def test_a_class_that_is_held_back_holds_up_no_other() -> None:
    """While placements wait for their breaker, later cancels and modifies go."""

    async def body() -> None:
        queue = queue_of(per_second=100)
        await lose_all(queue, WriteKind.PLACE)
        placing = asyncio.get_running_loop().create_task(queue.permit(Urgency.KILL_SWITCH))
        await settle()
        began = now()
        await queue.permit(Urgency.TIME, kind=WriteKind.MODIFY)
        await queue.permit(Urgency.TIME, kind=WriteKind.CANCEL)

        assert now() == began
        assert not placing.done()
        await placing

    run_virtual(body())


def test_exits_fired_together_are_gathered_before_the_first_goes() -> None:
    """The largest of many goes first even where it comes last; a few wait for nobody."""

    async def body() -> None:
        for count, delay in ((8, 0.0), (9, GATHER_SECONDS_MAX)):
            queue, went = queue_of(per_second=1), list[int]()
            began = now()

            async def ask(risk: int, queue: PermitQueue = queue, went: list[int] = went) -> None:
                await queue.permit(Urgency.STOP, Decimal(risk))
                went.append(risk)

            queue.expect_exits(count)
            asking = asyncio.get_running_loop().create_task(ask(1))
            await settle()
            assert queue.take_now(Urgency.STOP, 1) == 0
            later = asyncio.get_running_loop().create_task(ask(2))
            await asyncio.wait([asking, later], return_when=asyncio.FIRST_COMPLETED)

            assert went == ([1] if delay == 0.0 else [2])
            assert now() - began == pytest.approx(delay)
            asking.cancel()
            later.cancel()

    run_virtual(body())


def test_the_gathering_ends_when_all_are_there() -> None:
    """Nobody waits longer than for the last of those that were fired together."""

    async def body() -> None:
        queue, went = queue_of(per_second=1), list[int]()

        async def ask(risk: int) -> None:
            await asyncio.sleep(risk / 100)
            await queue.permit(Urgency.STOP, Decimal(risk))
            went.append(risk)

        queue.expect_exits(10)
        asking = [asyncio.get_running_loop().create_task(ask(risk)) for risk in range(10)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)

        assert went == [9]
        assert now() == pytest.approx(0.09)
        for task in asking:
            task.cancel()

    run_virtual(body())


def test_who_is_cancelled_right_after_its_grant_gives_its_place_back() -> None:
    """The permit was granted and its asker never ran: the next one need not wait for it."""

    async def body() -> None:
        queue = queue_of(per_second=1)
        await queue.permit(Urgency.STOP)
        waiting = asyncio.get_running_loop().create_task(queue.permit(Urgency.STOP))
        await settle()
        queue.give_back(WriteKind.PLACE)  # grants the waiting one
        waiting.cancel()
        await settle()
        assert queue.budget_used()[0] == 0
        await queue.permit(Urgency.STOP)

        assert now() == 0.0

    run_virtual(body())


def test_reads_have_a_breaker_that_holds_nothing() -> None:
    """Failing reads are shown as such, and no write waits for them."""

    async def body() -> None:
        queue = queue_of()
        for _ in range(20):
            queue.note_read(False)
        assert queue.breaker_state(Endpoint.READS) is BreakerState.OPEN
        assert queue.breaker_state() is BreakerState.CLOSED
        await queue.permit(Urgency.STOP)
        queue.note_read(True)

        assert now() == 0.0
        assert queue.breaker_state(Endpoint.READS) is BreakerState.CLOSED

    run_virtual(body())


def test_the_oldest_exit_is_known_and_entries_do_not_count() -> None:
    """What waits is told by urgency; only exits make the wait that people hear of."""

    async def body() -> None:
        queue = queue_of(per_second=1)
        await queue.permit(Urgency.STOP)
        loop = asyncio.get_running_loop()
        entry = loop.create_task(queue.permit(Urgency.ENTRY))
        await asyncio.sleep(2.0)
        assert queue.oldest_exit_wait_seconds() == 0.0
        target = loop.create_task(queue.permit(Urgency.TARGET))
        await asyncio.sleep(3.0)

        assert queue.oldest_exit_wait_seconds() == pytest.approx(3.0)
        assert (queue.waiting(), queue.waiting(Urgency.TARGET)) == (2, 1)
        entry.cancel()
        target.cancel()
        await settle()
        assert queue.waiting() == 0

    run_virtual(body())
