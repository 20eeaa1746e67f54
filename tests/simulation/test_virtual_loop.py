"""The virtual loop: time that jumps, seeded order, deadlines, and processes that can die."""

import asyncio
import random

import pytest

from squareoff.simulator.virtual.incarnation import Incarnation
from squareoff.simulator.virtual.knobs import CrashPlan
from squareoff.simulator.virtual.virtual_loop import Deadlock, Overrun, ProcessKilled, VirtualLoop


def _loop(seed: int = 1, deadline_seconds: float = 1_000.0) -> VirtualLoop:
    return VirtualLoop(random.Random(seed), deadline_seconds)


def test_sleeping_takes_virtual_time_only() -> None:
    """A sleep of an hour ends at once, an hour later on the loop's clock."""
    loop = _loop(deadline_seconds=10_000.0)
    loop.run_until_complete(asyncio.sleep(3_600))

    assert loop.time() == 3_600.0
    loop.close()


def _order(seed: int) -> list[int]:
    loop, seen = _loop(seed), []

    async def main() -> None:
        for number in range(8):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    loop.close()
    return seen


def test_simultaneous_callbacks_run_in_an_order_of_the_seed() -> None:
    """The same seed gives the same order, another seed another; none is lost."""
    assert _order(1) == _order(1)
    assert {tuple(_order(seed)) for seed in range(20)} != {tuple(range(8))}
    assert sorted(_order(5)) == list(range(8))


def test_waiting_for_ever_is_a_deadlock() -> None:
    """Nothing ready and no timer raises instead of hanging."""
    loop = _loop()

    async def main() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock):
        loop.run_until_complete(main())


def test_a_run_past_its_deadline_is_an_overrun() -> None:
    """Virtual time has an end."""
    with pytest.raises(Overrun):
        _loop(deadline_seconds=5.0).run_until_complete(asyncio.sleep(6))


def test_a_killed_process_reaches_nothing_any_more() -> None:
    """After the kill no callback, no `finally` and no `except` of the process has any effect."""
    loop, effects, deaths = _loop(), [], []
    process = Incarnation(1, CrashPlan(at_point=3), lambda _process, where: deaths.append(where))

    async def work() -> None:
        try:
            while True:
                process.reach("tick")
                effects.append("tick")
                await asyncio.sleep(1)
        except Exception:  # noqa: BLE001
            effects.append("caught")
        finally:
            process.check()
            effects.append("finally")

    async def beside() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            process.check()
            effects.append("beside")

    async def main() -> None:
        loop.launch(work(), process.context)
        loop.launch(beside(), process.context)
        await asyncio.sleep(10)
        process.bury()
        await asyncio.sleep(200)

    loop.run_until_complete(main())
    loop.close()

    assert effects == ["tick", "tick"]
    assert deaths == ["point 3: tick"]
    with pytest.raises(ProcessKilled):
        process.check()


def test_a_process_can_die_at_any_callback() -> None:
    """A crash planned at the n-th callback lets exactly the ones before it run."""
    loop, seen = _loop(), []
    process = Incarnation(1, CrashPlan(at_step=3), lambda _process, _where: None)

    async def main() -> None:
        for number in range(5):
            loop.call_later(number, seen.append, number, context=process.context)
        await asyncio.sleep(10)

    loop.run_until_complete(main())
    loop.close()

    assert seen == [0, 1]


def test_a_set_of_tasks_has_one_order_whatever_was_run_before() -> None:
    """A `TaskGroup` cancels from a set; places in memory must not decide who is first."""

    async def body() -> list[int]:
        tasks = {asyncio.ensure_future(asyncio.sleep(0)) for _ in range(50)}
        order = [hash(task) for task in tasks]
        await asyncio.gather(*tasks)
        return order

    def run() -> list[int]:
        loop = VirtualLoop(random.Random(1), 10.0)
        try:
            return loop.run_until_complete(body())
        finally:
            loop.close()

    first = run()
    kept = [object() for _ in range(1_001)]
    assert run() == first
    assert len(set(first)) == 50
    assert len(kept) == 1_001
