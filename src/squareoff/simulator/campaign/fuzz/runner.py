"""Run every kind of fuzz over all cores, and watch that memory stays flat."""

import multiprocessing
import random
import resource
from collections.abc import Callable
from pathlib import Path

from squareoff.simulator.campaign.fuzz.answers import fuzz_answers
from squareoff.simulator.campaign.fuzz.frames import fuzz_frames
from squareoff.simulator.campaign.fuzz.live import fuzz_live
from squareoff.simulator.campaign.fuzz.packets import fuzz_packets
from squareoff.simulator.campaign.fuzz.tally import FuzzTally

Fuzzer = Callable[[random.Random, int, FuzzTally], None]

FUZZERS: dict[str, tuple[Fuzzer, float]] = {
    "order updates": (fuzz_frames, 0.33),
    "REST answers": (fuzz_answers, 0.33),
    "feed packets": (fuzz_packets, 0.33),
    "invalid frames into a live engine": (fuzz_live, 0.01),
}
"""What is fuzzed, and its share of the cases."""

PART = 5_000
GROWTH_BYTES_MAX = 24_000_000
"""Bounded caches fill in the first half; what grows by more than this in the second is a leak."""


def run_part(name: str, seed: int, count: int) -> FuzzTally:
    """Run one part; the same name and seed give the same cases."""
    tally = FuzzTally(name)
    chance = random.Random(f"fuzz {name} {seed}")
    FUZZERS[name][0](chance, count - count // 2, tally)
    before = resident_bytes()
    FUZZERS[name][0](chance, count // 2, tally)
    tally.grown_bytes = max(0, resident_bytes() - before)
    if tally.grown_bytes > GROWTH_BYTES_MAX:
        tally.violate(f"memory grew by {tally.grown_bytes} bytes in {count // 2} cases")
    return tally


def run_fuzz(cases: int, workers: int, seed_base: int) -> list[FuzzTally]:
    """Run so many cases in all; Ctrl-C ends it early with what was done."""
    jobs = [
        (name, seed_base + number, PART)
        for name, (_, share) in FUZZERS.items()
        for number in range(max(1, round(cases * share / PART)))
    ]
    tallies = {name: FuzzTally(name) for name in FUZZERS}
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=None) as pool:
        results = [pool.apply_async(run_part, job) for job in jobs]
        try:
            for job, result in zip(jobs, results, strict=True):
                tallies[job[0]].add(result.get())
        except KeyboardInterrupt:
            print("interrupted: the fuzz holds what was finished", flush=True)
    return list(tallies.values())


def resident_bytes() -> int:
    """Return how much memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
