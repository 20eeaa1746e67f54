"""Whether times rise or fall with how much of a guess was right: by ranks, so by no clock's unit.

The order of the guesses is drawn at random, so without a leak Spearman's coefficient of lengths and
times, times the root of their number, is a standard normal value, whatever load the machine has. It
is separated where two halves of the samples, each by itself, are beyond `Z_MAX` to the same side:
without a leak once in more than 10^12 runs.
"""

from collections.abc import Sequence
from itertools import groupby
from math import sqrt

Z_MAX = 5.0
"""Once in 1.7 million halves without a leak."""


def is_separated(samples: Sequence[tuple[int, int]]) -> bool:
    """Say whether the times tell the lengths."""
    middle = len(samples) // 2
    first, second = rank_correlation_z(samples[:middle]), rank_correlation_z(samples[middle:])
    return min(first, second) > Z_MAX or max(first, second) < -Z_MAX


def rank_correlation_z(samples: Sequence[tuple[int, int]]) -> float:
    """Return how many standard deviations the rank correlation is from none; 0 for equal values."""
    lengths = _ranks([length for length, _ in samples])
    times = _ranks([nanoseconds for _, nanoseconds in samples])
    mean = (len(samples) + 1) / 2
    spread = sum((a - mean) ** 2 for a in lengths) * sum((b - mean) ** 2 for b in times)
    if not spread:
        return 0.0
    shared = sum((a - mean) * (b - mean) for a, b in zip(lengths, times, strict=True))
    return shared / sqrt(spread) * sqrt(len(samples) - 1)


def _ranks(values: Sequence[int]) -> list[float]:
    """Return each value's place from the least, the middle of their places for equal ones."""
    ranks = [0.0] * len(values)
    place = 1
    for _, group in groupby(sorted(range(len(values)), key=values.__getitem__), values.__getitem__):
        equal = list(group)
        for number in equal:
            ranks[number] = place + (len(equal) - 1) / 2
        place += len(equal)
    return ranks
