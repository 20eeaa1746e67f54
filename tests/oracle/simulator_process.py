"""Runs the simulator as a process of its own for the oracle: `simulator_process.py PORT_FILE`."""

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

from squareoff.domain.time import Now
from squareoff.simulator.server import SimulatorOptions, run_simulator


class WallClock:
    """The machine's clock."""

    def now(self) -> Now:
        return Now(time.time_ns(), time.monotonic_ns())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    options = SimulatorOptions(clock=WallClock(), port=0, port_file=Path(sys.argv[1]), seed=11)
    with suppress(KeyboardInterrupt):
        asyncio.run(run_simulator(options))
