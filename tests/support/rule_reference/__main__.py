"""Compare engine and reference on many streams: `python -m rule_reference --streams 1000000`."""

import argparse
import sys

from rule_reference.comparison import first_difference
from rule_reference.streams import make_stream


def main() -> int:
    """Play the streams; print each one that parts, with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    differences = 0
    for seed in range(given.first_seed, given.first_seed + given.streams):
        difference = first_difference(make_stream(seed))
        if difference is not None:
            differences += 1
            print(f"seed {seed}: {difference}", flush=True)
    print(f"{given.streams} streams from seed {given.first_seed}, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
