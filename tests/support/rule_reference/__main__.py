"""Compare engine and reference on many streams: `python -m rule_reference --streams 1000000`."""

import sys

from rule_reference.comparison import first_difference
from rule_reference.streams import make_stream
from seed_runs import run_seeds


def check(seed: int) -> str | None:
    """Return what parts on the stream of a seed."""
    return first_difference(make_stream(seed))


if __name__ == "__main__":
    sys.exit(run_seeds(check, "streams", __doc__))
