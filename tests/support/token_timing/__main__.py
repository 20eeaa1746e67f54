"""Time refusals of tokens: `python -m token_timing --samples 100000 --report FILE`.

Exit status 1 where the engine's times tell how much of a guess is right, or where those of a
comparison that leaks do not, so that nothing would be proved.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.evidence import headed, origin, table
from squareoff.web.roles import Role, Tokens
from token_timing.sampling import LENGTHS, TOKEN, Sample, samples_of
from token_timing.separation import Z_MAX, is_separated, rank_correlation_z


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    timed = {
        name: samples_of(refuse, given.samples, given.seed) for name, refuse in REFUSALS.items()
    }
    found = {name: is_separated(samples) for name, samples in timed.items()}
    text = "\n".join(_report(timed, found)) + "\n"
    print(text)
    if given.report is not None:
        given.report.write_text(text, encoding="utf-8")
    return 0 if EXPECTED.items() <= found.items() else 1


def leaking(given: str) -> bool:
    """Compare as nobody should: up to the first character that differs."""
    return len(given) == len(TOKEN) and all(a == b for a, b in zip(given, TOKEN, strict=True))


_tokens = Tokens({Role.ADMIN: TOKEN})
REFUSALS: Mapping[str, Callable[[str], object]] = {
    "the comparison of the engine": lambda given: _tokens.role_of(f"Bearer {given}"),
    "plain equality": lambda given: given == TOKEN,
    "a comparison that leaks": leaking,
}
EXPECTED = {"the comparison of the engine": False, "a comparison that leaks": True}
"""Whether a clock sees plain equality is the machine's matter."""


def _report(timed: Mapping[str, list[Sample]], found: Mapping[str, bool]) -> list[str]:
    count = len(next(iter(timed.values())))
    rows = [
        f"{count:,} wrong tokens in random order, of which the first 0 to {LENGTHS[-1]} characters "
        "were right, refused by the engine, and for comparison by plain equality and by a loop "
        "that ends at the first character that differs.",
        "Separated is what has a rank correlation of length and time beyond "
        f"{Z_MAX:g} standard deviations to the same side in both halves of the samples.",
        "",
        "```\nPYTHONPATH=src:tests/support python -m token_timing --samples "
        f"{count} --report docs/evidence/token-timing.md\n```",
    ]
    lines = headed("Time of refusing a token", origin(SystemClock().now()), rows)
    for name, samples in timed.items():
        times = [
            (str(length), f"{median(time for each, time in samples if each == length):.0f}")
            for length in LENGTHS
        ]
        middle = len(samples) // 2
        halves = [rank_correlation_z(half) for half in (samples[:middle], samples[middle:])]
        told = " and ".join(f"{z:+.2f}" for z in halves)
        lines += [f"## {name.capitalize()}", "", *table(("right characters", "median ns"), times)]
        verdict = "separated" if found[name] else "not separated"
        lines += ["", f"Standard deviations of the two halves: {told}: {verdict}.", ""]
    return lines[:-1]


if __name__ == "__main__":
    sys.exit(main())
