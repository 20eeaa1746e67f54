"""Whether the time of refusing a token tells how much of it is right."""

from token_timing.sampling import LENGTHS, Sample, guess, samples_of
from token_timing.separation import Z_MAX, is_separated, rank_correlation_z

__all__ = [
    "LENGTHS",
    "Z_MAX",
    "Sample",
    "guess",
    "is_separated",
    "rank_correlation_z",
    "samples_of",
]
