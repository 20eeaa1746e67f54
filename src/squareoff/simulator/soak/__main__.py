"""`python -m squareoff.simulator.soak`: run a soak, judge it, and write the report where asked.

Exit status 1 where a promise was broken, or a figure missed its bound and `--strict` was given.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

import aiohttp

from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.ledger_audit import audit_replay
from squareoff.simulator.soak.driving import Soak, SoakPlan, SoakRecord
from squareoff.simulator.soak.judging import Verdict, judge
from squareoff.simulator.soak.reporting import report_soak

_CLOCK = SystemClock()


async def run_soak(plan: SoakPlan, folder: Path) -> tuple[SoakRecord, Verdict]:
    """Run one soak in a folder and judge it."""
    async with aiohttp.ClientSession() as http:
        soak = Soak(plan, folder, _CLOCK, http, _say)
        try:
            engine = await soak.run()
            trades = await soak.broker.admin("GET", "state?parts=trades")
            notes = soak.feed.notes()
        finally:
            soak.stop()
    verdict = judge(soak.record, notes, trades["trades"], engine.database)
    verdict.broken.extend(await audit_replay(engine.database, engine.client_id))
    verdict.broken.extend(engine.secrets_told())
    return soak.record, verdict


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends its children, too
    plan = SoakPlan(
        seconds=options.seconds,
        positions=options.positions,
        rate=options.rate,
        burst_rate=options.burst_rate,
        fire_every=options.fire_every,
        fault_every=options.fault_every,
        seed=options.seed,
    )
    folder = Path(tempfile.mkdtemp(prefix="squareoff-soak-"))
    record, verdict = asyncio.run(run_soak(plan, folder))
    for name, value in verdict.figures.items():
        _say(f"{name}: {value}")
    for text in verdict.broken:
        _say(f"BROKEN: {text}")
    for text in verdict.missed:
        _say(f"missed: {text}")
    for text in record.complaints[:5]:
        _say(f"complaint: {text}")
    _say(f"database and logs: {folder}")
    if options.report is not None:
        _say(f"report: {report_soak(record, verdict, options.report, _CLOCK.now())}")
    return 1 if verdict.broken or (options.strict and verdict.missed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.soak")
    plan = SoakPlan()
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="how long")
    parser.add_argument("--positions", type=int, default=plan.positions)
    parser.add_argument("--rate", type=int, default=plan.rate, help="packets a second")
    parser.add_argument("--burst-rate", type=int, default=plan.burst_rate)
    parser.add_argument("--fire-every", type=float, default=plan.fire_every, help="seconds")
    parser.add_argument("--fault-every", type=float, default=plan.fault_every, help="seconds")
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--report", type=Path, help="folder of soak.md and soak.json")
    parser.add_argument("--strict", action="store_true", help="fail on a missed figure")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
