"""`python -m squareoff.simulator.campaign.fuzz`: fuzz what comes from the broker, and report."""

import argparse
import os
import sys

from squareoff.simulator.campaign.fuzz.runner import run_fuzz

DEFAULT_CASES = 100_000


def main(arguments: list[str]) -> int:
    """Run the fuzz; return 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.campaign.fuzz")
    parser.add_argument("--cases", type=int, default=DEFAULT_CASES, help="over all kinds together")
    parser.add_argument("--seed-base", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    tallies = run_fuzz(options.cases, options.workers, options.seed_base)
    for tally in tallies:
        print("\n".join(tally.as_lines()))
        print("\n".join(tally.violations))
    return 1 if any(tally.violations for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
