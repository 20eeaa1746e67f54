"""Compare engine and reference on many days: `python -m account_reference --days 100000`."""

import argparse
import sys

from account_reference.comparison import first_difference
from account_reference.days import make_day


def main() -> int:
    """Play the days; print each one that parts, with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=10_000)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    differences = 0
    for seed in range(given.first_seed, given.first_seed + given.days):
        difference = first_difference(make_day(seed))
        if difference is not None:
            differences += 1
            print(f"seed {seed}: {difference}", flush=True)
    print(f"{given.days} days from seed {given.first_seed}, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
