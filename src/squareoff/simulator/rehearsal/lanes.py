"""Play many rehearsals side by side: lanes share nothing but the cores.

Each lane has a simulator of its own, started anew after some rehearsals so that its books stay
short. A rehearsal that could not be played (a process did not start, a call was not answered on an
overloaded machine) is played once more; failing again it is a finding, never a pass.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from squareoff.ports import Clock
from squareoff.simulator.rehearsal.processes import (
    BrokerProcess,
    CallRefused,
    RehearsalFailed,
    client_ids,
)
from squareoff.simulator.rehearsal.rehearse import Outcome, Rehearsal, Stage

REHEARSALS_PER_SIMULATOR = 25

_UNPLAYED = (
    RehearsalFailed, CallRefused, OSError, aiohttp.ClientError, TimeoutError, sqlite3.Error,
)  # fmt: skip

Hear = Callable[[Outcome], None]


async def play_all(
    rehearsals: Sequence[Rehearsal], folder: Path, *, lanes: int, clock: Clock, hear: Hear
) -> list[Outcome]:
    """Play all and return their outcomes in the order they ended; `hear` is told of each."""
    queue: asyncio.Queue[Rehearsal] = asyncio.Queue()
    again: set[str] = set()
    for rehearsal in rehearsals:
        queue.put_nowait(rehearsal)
    outcomes: list[Outcome] = []

    def heard(outcome: Outcome) -> None:
        outcomes.append(outcome)
        hear(outcome)

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        for number in range(min(lanes, len(rehearsals))):
            lane = _Lane(folder / f"lane-{number}", queue, again, clock, http, heard)
            tasks.create_task(lane.run())
    return outcomes


class _Lane:
    def __init__(
        self,
        folder: Path,
        queue: "asyncio.Queue[Rehearsal]",
        again: set[str],
        clock: Clock,
        http: aiohttp.ClientSession,
        hear: Hear,
    ) -> None:
        self._folder = folder
        self._queue = queue
        self._again = again
        self._clock = clock
        self._http = http
        self._hear = hear
        self._simulators = 0

    async def run(self) -> None:
        """Play what the queue holds."""
        while not self._queue.empty():
            self._simulators += 1
            folder = self._folder / f"sim-{self._simulators}"
            folder.mkdir(parents=True)
            broker = BrokerProcess(folder, self._clock, self._http)
            accounts = client_ids(REHEARSALS_PER_SIMULATOR)
            try:
                await broker.start(accounts)
                await self._play_on(broker, folder, accounts)
            finally:
                broker.stop()

    async def _play_on(self, broker: BrokerProcess, folder: Path, accounts: list[str]) -> None:
        for client_id in accounts:
            if self._queue.empty():
                return
            rehearsal = self._queue.get_nowait()
            own = folder / client_id
            own.mkdir()
            stage = Stage(rehearsal, own, broker, client_id, self._clock, self._http)
            try:
                outcome = await stage.play()
            except _UNPLAYED as error:
                if rehearsal.label not in self._again:
                    self._again.add(rehearsal.label)
                    self._queue.put_nowait(rehearsal)
                    continue
                outcome = Outcome(rehearsal, [f"not played: {type(error).__name__}: {error}"])
            if not outcome.violations:
                shutil.rmtree(own)
            self._hear(outcome)
