"""Compare engine and reference on many seeds, over all cores, with a report where one is asked for.

`report` lands beside those of earlier runs: each row is one run, so that a million can be made in
parts.
"""

import argparse
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

CHUNK_SEEDS = 200

Check = Callable[[int], str | None]
"""Returns what parts at a seed, None where engine and reference agree."""


def run_seeds(check: Check, noun: str, description: str | None) -> int:
    """Check every seed that the command line asks for; return the exit status."""
    given = _parser(noun, description).parse_args()
    seeds: int = getattr(given, noun)
    chunks = list(_chunks(given.first_seed, seeds))
    differences = 0
    with ProcessPoolExecutor(given.workers) as pool:
        for found in pool.map(partial(_differences, check), chunks):
            for line in found:
                differences += 1
                print(line, flush=True)
    print(f"{seeds} {noun} from seed {given.first_seed}, {differences} differences")
    if given.report is not None:
        _add_row(
            given.report,
            noun,
            f"{given.first_seed} to {given.first_seed + seeds - 1}",
            seeds,
            differences,
        )
    return 1 if differences else 0


def _parser(noun: str, description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{noun}", type=int, default=10_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="Markdown; a row is added to its table")
    return parser


def _chunks(first_seed: int, seeds: int) -> Iterator[range]:
    for first in range(first_seed, first_seed + seeds, CHUNK_SEEDS):
        yield range(first, min(first + CHUNK_SEEDS, first_seed + seeds))


def _differences(check: Check, seeds: range) -> list[str]:
    """Return a line for each seed that parts."""
    found = ((seed, check(seed)) for seed in seeds)
    return [f"seed {seed}: {difference}" for seed, difference in found if difference]


def _add_row(report: Path, noun: str, seeds: str, count: int, differences: int) -> None:
    if not report.exists():
        report.write_text(
            f"# Engine and reference on random {noun}\n\n"
            f"| seeds | {noun} | differences | commit |\n|---|---|---|---|\n"
        )
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    commit = told.stdout.strip() or "unknown"
    with report.open("a") as file:
        file.write(f"| {seeds} | {count:,} | {differences} | {commit} |\n")
