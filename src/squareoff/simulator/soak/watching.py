"""What a soak sees of the engine's process while it runs: memory, descriptors, tasks, processor."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CLAIM, COMMIT = "squareoff_trigger_to_claim_seconds", "squareoff_commit_seconds"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look; `seconds` since the start of the soak, `processor_seconds` of the process."""

    seconds: float
    resident_bytes: int
    descriptors: int
    threads: int
    tasks: int
    processor_seconds: float


def look_at(process_id: int, seconds: float, metrics: str) -> Sample:
    """Look at a living process; `metrics` are the engine's own."""
    root = Path(f"/proc/{process_id}")
    stat = (root / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        seconds=seconds,
        resident_bytes=int((root / "statm").read_text().split()[1]) * _PAGE_BYTES,
        descriptors=len(os.listdir(root / "fd")),
        threads=int(stat[17]),
        tasks=round(value_of(metrics, "squareoff_tasks")),
        processor_seconds=(int(stat[11]) + int(stat[12])) / _TICKS_PER_SECOND,
    )


def value_of(metrics: str, name: str) -> float:
    """Return the sum of all values of a metric, 0 where there is none."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


def times_of(metrics: str, histogram: str) -> dict[float, int]:
    """Return a histogram of seconds: at most -> how many."""
    found = re.findall(rf'^{histogram}_bucket{{le="(\S+)"}} (\S+)$', metrics, re.MULTILINE)
    return {float(bound): round(float(count)) for bound, count in found}


def quantile_bound(times: dict[float, int], share: float) -> float | None:
    """Return the least bound that so large a share is within; None where nothing was timed."""
    total = max(times.values(), default=0)
    if not total:
        return None
    return min(bound for bound, count in times.items() if count >= share * total)


def slope_per_hour(points: list[tuple[float, float]]) -> float | None:
    """Return the slope of the line of least squares, per hour of the first; None for too few."""
    if len(points) < 3:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread * 3_600
