"""Make a violated run smaller: leave out fault classes, crashes and positions while it still fails.

The invariant that was violated must stay the same, so that another defect is not taken for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.run_report import RunReport

RUNS_MAX = 60
"""Some seconds per violation; what is left by then is small enough to read."""


def shrink(seed: int, knobs: Knobs, run: Callable[[int, Knobs], RunReport]) -> Knobs:
    """Return the smallest knobs found that violate the same invariant."""
    wanted = _invariants(run(seed, knobs))
    if not wanted:
        return knobs
    left, smallest = RUNS_MAX, knobs
    is_shrinking = True
    while is_shrinking and left > 0:
        is_shrinking = False
        for candidate in _smaller(smallest):
            left -= 1
            if wanted & _invariants(run(seed, candidate)):
                smallest, is_shrinking = candidate, True
                break
            if left <= 0:
                break
    return smallest


def _invariants(report: RunReport) -> set[str]:
    return {line.partition(":")[0] for line in report.violations}


def _smaller(knobs: Knobs) -> Iterator[Knobs]:
    """Yield knobs with one thing less, the largest things first."""
    if knobs.crashes:
        yield replace(knobs, crashes=())
        yield replace(knobs, crashes=knobs.crashes[:-1])
    for half in _halves(knobs.rates):
        yield replace(knobs, rates=half)
    if knobs.events:
        yield replace(knobs, events={})
    if knobs.conduct:
        yield replace(knobs, conduct={})
    for name in knobs.rates:
        yield replace(knobs, rates={n: r for n, r in knobs.rates.items() if n != name})
    for name in knobs.events:
        yield replace(knobs, events={n: c for n, c in knobs.events.items() if n != name})
    for name in knobs.conduct:
        yield replace(knobs, conduct={n: v for n, v in knobs.conduct.items() if n != name})
    if knobs.thin_market:
        yield replace(knobs, thin_market=False)
    if knobs.position_count > 1:
        yield replace(knobs, position_count=knobs.position_count - 1)


def _halves(rates: dict[str, float]) -> Iterator[dict[str, float]]:
    names = sorted(rates)
    if len(names) > 1:
        middle = len(names) // 2
        yield {name: rates[name] for name in names[:middle]}
        yield {name: rates[name] for name in names[middle:]}
