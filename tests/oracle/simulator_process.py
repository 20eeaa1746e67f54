"""Runs the simulator as a process of its own for the oracle: `simulator_process.py PORT_FILE`."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from squareoff.adapters.system import SystemClock
from squareoff.simulator.server import SimulatorOptions, run_simulator

if __name__ == "__main__":
    options = SimulatorOptions(clock=SystemClock(), port=0, port_file=Path(sys.argv[1]), seed=11)
    with suppress(KeyboardInterrupt):
        asyncio.run(run_simulator(options))
