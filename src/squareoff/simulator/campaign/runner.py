"""Run seeds in chunks, in this process or over all cores, until enough exits or time is spent.

Invariants:
1. Chunk `n` is the same runs whoever runs it: `seed_base + n * CHUNK` and the seeds that follow.
2. Every `OUTLAW_EVERY`-th seed is a run beyond the bound, where only detection is asked for.
3. The first run of every chunk is run twice, and must give the same trace.
4. What was finished is in the tally, however the campaign ends.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult

from squareoff.adapters.garbage_collection import look_less_often
from squareoff.adapters.system import SystemClock
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.simulator.campaign.matrix import impossible_hits
from squareoff.simulator.campaign.tally import Tally
from squareoff.simulator.virtual.knobs import Knobs, draw_knobs
from squareoff.simulator.virtual.run_report import RunReport
from squareoff.simulator.virtual.run_seed import run_seed

CHUNK = 20
OUTLAW_EVERY = 20


@dataclass(frozen=True, slots=True)
class Goal:
    """When a campaign is done: so many faulted exits, or so many seconds; 0 is no bound."""

    exits: int = 0
    seconds: float = 0.0
    seed_base: int = 0


Progress = Callable[[Tally, float], None]


def knobs_of(seed: int) -> Knobs:
    """Return the knobs that a campaign runs a seed with."""
    return draw_knobs(seed, outlaw=seed % OUTLAW_EVERY == OUTLAW_EVERY - 1)


def run_one(seed: int, knobs: Knobs) -> RunReport:
    """Run one seed; a harness that raises is a violation too, so that a campaign goes on, and so is
    a fault that struck in a state of which the matrix says that it cannot."""
    try:
        report = run_seed(seed, knobs=knobs)
        report.violations += [
            f"matrix: {fault_class} struck in {state!r}, where it cannot"
            for state, fault_class, _ in impossible_hits(report.cells)
        ]
    except Exception as error:  # noqa: BLE001 - reported with its seed as a violation of the run
        return RunReport(seed, knobs, violations=[f"harness: {error!r}"])
    return report


def run_chunk(first_seed: int) -> Tally:
    """Run one chunk of seeds."""
    tally = Tally()
    for seed in range(first_seed, first_seed + CHUNK):
        knobs = knobs_of(seed)
        report = run_one(seed, knobs)
        tally.take(report)
        if seed == first_seed:
            again = run_one(seed, knobs)
            tally.replayed_runs += 1
            if again.trace_hash != report.trace_hash:
                again.violations.append("determinism: the same seed gave another trace")
                tally.violate(again)
    return tally


def run_campaign(goal: Goal, workers: int, on_progress: Progress) -> tuple[Tally, float]:
    """Run chunks until the goal is met; return the tally and the seconds it took.

    Ctrl-C ends it early: what was finished so far is returned.
    """
    tally, begun = Tally(), _seconds()
    chunks = _chunks(goal, tally, begun)
    try:
        if workers == 1:
            _prepare_worker()
            for first_seed in chunks:
                tally.add(run_chunk(first_seed))
                on_progress(tally, _seconds() - begun)
        else:
            _run_over(workers, chunks, tally, lambda: on_progress(tally, _seconds() - begun))
    except KeyboardInterrupt:
        print("interrupted: the report holds what was finished", flush=True)
    return tally, _seconds() - begun


def _chunks(goal: Goal, tally: Tally, begun: float) -> Iterator[int]:
    """Yield the first seed of chunk after chunk, until the tally has what the goal asks for."""
    first_seed = goal.seed_base
    while True:
        if goal.exits and tally.faulted_exits >= goal.exits:
            return
        if goal.seconds and _seconds() - begun >= goal.seconds:
            return
        yield first_seed
        first_seed += CHUNK


def _run_over(workers: int, chunks: Iterator[int], tally: Tally, tell: Callable[[], None]) -> None:
    """Keep every worker busy with one chunk more than it runs, so that a stop is soon."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_prepare_worker) as pool:
        running: list[AsyncResult[Tally]] = []
        is_open = True
        while is_open or running:
            while is_open and len(running) < workers * 2:
                first_seed = next(chunks, None)
                if first_seed is None:
                    is_open = False
                    break
                running.append(pool.apply_async(run_chunk, (first_seed,)))
            done = running.pop(0).get() if running else Tally()
            tally.add(done)
            tell()


def _seconds() -> float:
    return SystemClock().now().monotonic_ns / NANOSECONDS_PER_SECOND


def _prepare_worker() -> None:
    """Warm up, and keep what will live for ever out of the garbage collector's sight."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_one(0, knobs_of(0))
    look_less_often()
