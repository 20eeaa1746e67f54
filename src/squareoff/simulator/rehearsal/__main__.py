"""`python -m squareoff.simulator.rehearsal [power|crashes|kills]`: the campaigns of death.

Without a word all three are run. Each writes a report, also where it is interrupted. Exit status 1
where a promise was broken.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.crash_campaign import CrashCampaign, run_crashes
from squareoff.simulator.rehearsal.kill_campaign import Campaign, CampaignSize, run_campaign
from squareoff.simulator.rehearsal.power_campaign import PowerCampaign, run_power
from squareoff.simulator.rehearsal.reports import report_crashes, report_kills, report_power

EVIDENCE = Path("docs/evidence")
PAIRS = 10_000
_SAID_EVERY = 500
_CLOCK = SystemClock()


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends its children, too
    parts = {"power": _power, "crashes": _crashes, "kills": _kills}
    chosen = [options.part] if options.part else list(parts)
    return max(parts[name](options) for name in chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.rehearsal")
    size = CampaignSize()
    parser.add_argument("part", nargs="?", choices=("power", "crashes", "kills"))
    parser.add_argument("--pairs", type=int, default=PAIRS, help="crashes in recovery, 0 for all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kills", type=int, default=size.kills, help="points of death")
    parser.add_argument("--instants", type=int, default=size.instants, help="deaths at any instant")
    parser.add_argument("--pauses", type=int, default=size.pauses, help="freezes of 5 to 60 s")
    parser.add_argument("--lanes", type=int, default=size.lanes, help="rehearsals side by side")
    parser.add_argument("--seed", type=int, default=size.seed)
    parser.add_argument("--report", type=Path, default=EVIDENCE, help="folder of the reports")
    return parser


def _power(options: argparse.Namespace) -> int:
    campaign = PowerCampaign()
    folder = _folder()
    try:
        asyncio.run(run_power(campaign, folder, _CLOCK, options.seed, _say))
    finally:
        _say(f"report: {report_power(campaign, options.report, _CLOCK.now())}")
    return 1 if campaign.violations else 0


def _crashes(options: argparse.Namespace) -> int:
    campaign = CrashCampaign()
    begun = _CLOCK.now().monotonic_ns

    def hear(shown: CrashCampaign) -> None:
        shown.seconds = (_CLOCK.now().monotonic_ns - begun) / 1e9
        if (shown.singles + shown.pairs) % _SAID_EVERY == 0:
            _say(shown.progress())

    try:
        run_crashes(campaign, options.pairs, options.workers, options.seed, hear)
    finally:
        _say(f"report: {report_crashes(campaign, options.report, _CLOCK.now())}")
    return 1 if campaign.violations else 0


def _kills(options: argparse.Namespace) -> int:
    size = CampaignSize(
        options.kills, options.instants, options.pauses, options.lanes, options.seed
    )
    campaign = Campaign(size)
    folder = _folder()
    try:
        asyncio.run(run_campaign(campaign, folder, _CLOCK, _say))
    finally:
        _say(f"report: {report_kills(campaign, options.report, _CLOCK.now())}")
        _say(f"databases and logs of violated rehearsals: {folder}")
    return 1 if campaign.violations else 0


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="squareoff-rehearsal-"))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
