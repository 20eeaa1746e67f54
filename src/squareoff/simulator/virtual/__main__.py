"""`python -m squareoff.simulator.virtual SEED...`: run seeds and print what they showed.

`FIRST..LAST` is a range; `--outlaw` draws the knobs of outlaw runs; `--trace` always prints the
trace; `--feed-late` lets the feed lag in every seed. Exit status 1 where a seed was violated.
"""

import argparse
import sys
from dataclasses import replace

from squareoff.simulator.virtual.knobs import draw_knobs, parse_knobs
from squareoff.simulator.virtual.run_seed import run_seed


def main(arguments: list[str]) -> int:
    """Run the seeds named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.virtual")
    parser.add_argument("seeds", nargs="+", help="a seed, or FIRST..LAST")
    parser.add_argument("--outlaw", action="store_true", help="requests later than the quarantine")
    parser.add_argument("--trace", action="store_true", help="print the trace of good runs too")
    parser.add_argument("--quiet", action="store_true", help="print violated seeds only")
    parser.add_argument("--knobs", default="", help="run with these knobs, as a report prints them")
    parser.add_argument("--feed-late", type=float, default=0.0, help="seconds the feed may lag")
    options = parser.parse_args(arguments)
    bad = 0
    for seed in _seeds(options.seeds):
        drawn = draw_knobs(seed, outlaw=options.outlaw)
        knobs = parse_knobs(options.knobs) if options.knobs else drawn
        if options.feed_late:
            knobs = replace(knobs, feed_late_seconds=options.feed_late)
        report = run_seed(seed, knobs=knobs)
        bad += not report.is_good
        if not (options.quiet and report.is_good):
            print(report.summary())
            print(f"  knobs: {report.knobs.describe()}")
        if options.trace or not (report.is_good or options.quiet):
            print("\n".join(report.trace.lines))
    return 1 if bad else 0


def _seeds(texts: list[str]) -> list[int]:
    seeds: list[int] = []
    for text in texts:
        first, separator, last = text.partition("..")
        seeds.extend(range(int(first), int(last) + 1) if separator else [int(first)])
    return seeds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
