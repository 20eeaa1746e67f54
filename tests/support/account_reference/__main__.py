"""Compare engine and reference on many days: `python -m account_reference --days 100000`."""

import sys

from account_reference.comparison import first_difference
from account_reference.days import make_day
from seed_runs import run_seeds


def check(seed: int) -> str | None:
    """Return what parts on the day of a seed."""
    return first_difference(make_day(seed))


if __name__ == "__main__":
    sys.exit(run_seeds(check, "days", __doc__))
