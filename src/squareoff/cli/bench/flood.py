"""What a flood of API calls costs an exit, and how long a halt takes to be heard in it (T11).

The engine serves its API as `squareoff run` does, in its own process; a second one floods it. Exits
are timed in turns, a while in the calm and a while in the flood, so that both see the same machine.
During both a person halts again and again, with a token of his own and a connection of his own.
"""

import asyncio
import json
import logging
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from rich.console import Console

from squareoff.cli.bench.one_exit import FirstByte, time_exit
from squareoff.cli.bench.percentiles import percentile
from squareoff.cli.bench.stage import Stage, instrument_ids, open_stage
from squareoff.cli.loops import run_until_told
from squareoff.cli.output import print_json
from squareoff.domain.instruments import InstrumentId
from squareoff.web.app import create_app
from squareoff.web.roles import Role
from squareoff.web.server import ApiServer

HOST = "127.0.0.1"
TURN_SECONDS = 30.0
WARM_UP_SECONDS_MAX = 5.0
HALT_EVERY_SECONDS = 1.0
EXITS_PER_SECOND_MAX = 3.0
"""Each stands near its stop for 0.3 s and more: three a second are never reached."""


@dataclass(slots=True)
class Side:
    """What was measured in the calm, or in the flood: seconds."""

    exits: list[float] = field(default_factory=list)
    halts: list[float] = field(default_factory=list)

    def figures(self, name: str) -> dict[str, float | int]:
        """Return the figures under their documented names."""
        return {
            f"{name}_exits": len(self.exits),
            f"{name}_p50_seconds": percentile(self.exits, 0.50),
            f"{name}_p99_seconds": percentile(self.exits, 0.99),
            f"{name}_halts": len(self.halts),
            f"{name}_halt_seconds_max": max(self.halts),
        }


@dataclass(slots=True)
class FloodReport:
    """Both sides, and how the calls of the flood were answered."""

    calm: Side = field(default_factory=Side)
    flood: Side = field(default_factory=Side)
    answers: Counter[str] = field(default_factory=Counter)
    flood_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the figures under their documented names."""
        found: dict[str, Any] = self.calm.figures("calm") | self.flood.figures("flood")
        found["p50_ratio"] = found["flood_p50_seconds"] / found["calm_p50_seconds"]
        found["p99_ratio"] = found["flood_p99_seconds"] / found["calm_p99_seconds"]
        found["flood_seconds"] = self.flood_seconds
        found["calls_per_second"] = self.answers.total() / self.flood_seconds
        found["answers"] = dict(sorted(self.answers.items()))
        return found


def run(seconds: float, calls_per_second: float, *, as_json: bool) -> None:
    """Run the benchmark on the engine's own event loop and print its figures.

    Args:
        seconds: how long to flood in all; as long is measured in the calm.
        calls_per_second: the calls of the flood.

    Raises:
        SquareoffError, TimeoutError: a part did not start, or an exit did not end.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    report = FloodReport()
    run_until_told(_measure(seconds, calls_per_second, report))
    _show(report, as_json=as_json)


async def _measure(seconds: float, calls_per_second: float, report: FloodReport) -> None:
    turn_seconds = min(seconds, TURN_SECONDS)
    turns = max(1, round(seconds / turn_seconds))
    warm_up_seconds = min(seconds, WARM_UP_SECONDS_MAX)
    longest = warm_up_seconds + 2 * turns * turn_seconds
    instruments = round(longest * EXITS_PER_SECOND_MAX)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="squareoff-bench-")))
        first_byte = FirstByte()
        stage = await stack.enter_async_context(open_stage(folder, instruments, first_byte.note))
        person = await stack.enter_async_context(_served(stage))
        exits = _Exits(stage, first_byte, iter(instrument_ids(instruments)), person)
        await exits.time_for(warm_up_seconds, Side())
        callers = await stack.enter_async_context(_callers(person, calls_per_second))
        for _ in range(turns):
            await exits.time_for(turn_seconds, report.calm)
            async with asyncio.TaskGroup() as tasks:
                flooding = tasks.create_task(callers.call_for(turn_seconds))
                await exits.time_for(turn_seconds, report.flood)
            report.answers += flooding.result()
            report.flood_seconds += turn_seconds


@dataclass(frozen=True, slots=True)
class _Person:
    """Whoever halts: a token and a connection of his own; and a token that others misuse."""

    port: int
    token: str
    misused_token: str

    async def halt(self) -> float:
        """Halt what is new and lift it again; return the seconds until the halt was answered."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._set(active=True)
        taken = loop.time() - began
        await self._set(active=False)
        return taken

    async def _set(self, *, active: bool) -> None:
        """Call until it is answered: where connections run short the oldest idle one is cut."""
        url = f"http://{HOST}:{self.port}/api/v1/kill-switch"
        headers = {"Authorization": f"Bearer {self.token}"}
        body = {"active": active, "level": "new", "reason": "halt in a flood"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with session.post(url, json=body) as answer:
                        assert answer.status == 200, await answer.text()
                        return


@dataclass(frozen=True, slots=True)
class _Exits:
    stage: Stage
    first_byte: FirstByte
    instrument_ids: Iterator[InstrumentId]
    person: _Person

    async def time_for(self, seconds: float, side: Side) -> None:
        """Time exits one after the other, and halts beside them, for so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._halt_until(until, side))
            while loop.time() < until:
                taken = await time_exit(self.stage, self.first_byte, next(self.instrument_ids))
                side.exits.append(taken)

    async def _halt_until(self, until: float, side: Side) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            side.halts.append(await self.person.halt())
            await asyncio.sleep(HALT_EVERY_SECONDS)


@asynccontextmanager
async def _served(stage: Stage) -> AsyncIterator[_Person]:
    """Serve the engine's API in this loop, as `squareoff run` does."""
    tokens = {role: secrets.token_urlsafe(32) for role in (Role.ADMIN, Role.READ)}
    server = ApiServer(create_app(stage.engine.desk, tokens=tokens), HOST, 0)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.run())
        yield _Person(server.port, tokens[Role.ADMIN], tokens[Role.READ])
        server.stop()
        await serving


@dataclass(frozen=True, slots=True)
class _Callers:
    process: asyncio.subprocess.Process

    async def call_for(self, seconds: float) -> Counter[str]:
        """Flood for so long; return how many calls were answered how."""
        told, heard = self.process.stdin, self.process.stdout
        assert told is not None and heard is not None, "both are pipes"
        told.write(f"{seconds}\n".encode())
        return Counter(json.loads(await heard.readline()))


@asynccontextmanager
async def _callers(person: _Person, calls_per_second: float) -> AsyncIterator[_Callers]:
    words = ("-m", "squareoff.cli.bench.flood_callers", str(person.port), str(calls_per_second))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdin is not None, "is a pipe"
        process.stdin.write(f"{person.misused_token}\n".encode())
        yield _Callers(process)
    finally:
        process.kill()
        await process.wait()


def _show(report: FloodReport, *, as_json: bool) -> None:
    figures = report.as_json()
    if as_json:
        print_json(figures)
        return
    console = Console(highlight=False)
    for name in ("p50", "p99"):
        console.print(
            f"{name}: {figures[f'flood_{name}_seconds'] * 1e3:.2f} ms from tick to first byte in "
            f"the flood, {figures[f'{name}_ratio']:.2f} x the calm's "
            f"{figures[f'calm_{name}_seconds'] * 1e3:.2f} ms"
        )
    console.print(
        f"the slowest of {figures['flood_halts']} halts in the flood took "
        f"{figures['flood_halt_seconds_max'] * 1e3:.0f} ms"
    )
    console.print(
        f"({figures['calm_exits']} and {figures['flood_exits']} exits; "
        f"{figures['calls_per_second']:.0f} calls a second for {figures['flood_seconds']:.0f} s, "
        f"answered {figures['answers']})"
    )
