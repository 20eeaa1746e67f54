"""The main job end to end against the broker simulator, from the first process to the report."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from squareoff.adapters.system import SystemClock
from squareoff.cli.demo.audit import Audit
from squareoff.cli.demo.board import WIDTH, Board, Screen
from squareoff.cli.demo.clients import Away
from squareoff.cli.demo.closing_report import print_report, report_as_json
from squareoff.cli.demo.failure import DemoFailure
from squareoff.cli.demo.picture import save_picture
from squareoff.cli.demo.processes import Children, program
from squareoff.cli.demo.scenario import KILLED
from squareoff.cli.demo.show import Show
from squareoff.cli.demo.stage import ANY_PORTS, TOKEN_FILE, WELL_KNOWN_PORTS, Stage, open_stage
from squareoff.cli.demo.timeline import Story
from squareoff.cli.output import print_json
from squareoff.domain.time import NANOSECONDS_PER_SECOND

INTERRUPTED_STATUS = 130
"""128 + SIGINT, as shells count."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command was told."""

    folder: Path
    speed: float
    keep_running: bool
    picture: Path | None
    as_json: bool


def perform(options: DemoOptions) -> None:
    """Play it to the end, and end the command with 0 if everything agrees.

    Raises:
        typer.Exit: something differs, failed, or was interrupted.
    """
    console = _console(is_error=options.as_json)
    children = Children()
    try:
        is_well = asyncio.run(_run(console, options, children))
    except (DemoFailure, Away) as error:
        console.print(Text(f"The demo failed: {error}", style="bold red"))
        console.print(f"The logs are in {options.folder.name}/.", highlight=False)
        raise typer.Exit(1) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; both processes are ended.")
        raise typer.Exit(INTERRUPTED_STATUS) from None
    finally:
        children.kill_all()
    if not is_well:
        raise typer.Exit(1)


def _console(*, is_error: bool) -> Console:
    """Return where the show goes: standard error, where standard output is for a script."""
    console = Console(highlight=False, stderr=is_error)
    if console.is_terminal:
        return console
    return Console(highlight=False, stderr=is_error, width=WIDTH)


async def _run(console: Console, options: DemoOptions, children: Children) -> bool:
    """Run the demo; return whether nothing differed."""
    _let_terminate_cancel()
    clock = SystemClock()
    started_ns = clock.now().monotonic_ns
    console.print(_TITLE)
    async with AsyncExitStack() as stack:
        with console.status("starting the simulator and the engine"):
            ports = WELL_KNOWN_PORTS if options.keep_running else ANY_PORTS
            opening = open_stage(children, options.folder, options.speed, ports)
            stage = await stack.enter_async_context(opening)
        console.print(
            f"simulator process {stage.simulator_child.pid} at {stage.simulator.address}, "
            f"engine process {stage.engine_child.pid} at {stage.engine.address}\n"
            f"{_dashboard_text(stage)}\n"
        )
        board = Board()
        with Screen(console, board) as screen:
            try:
                result, story = await Show(stage, board, screen, started_ns).run()
            except ExceptionGroup as group:
                raise _first_of(group) from group
        _print_end(console, options, result, story)
        if options.as_json:
            print_json(report_as_json(result))
        seconds = (clock.now().monotonic_ns - started_ns) / NANOSECONDS_PER_SECOND
        console.print(f"\n{_verdict(result)} {seconds:.0f} s.")
        if options.keep_running and not result.differences:
            await _keep_running(console, stage)
    return not result.differences


_STAYS_UP = """
Everything stays up:
  dashboard   {engine}/  (log in with the token in the file below)
  engine      {engine}  (API under /api/v1)
  simulator   {simulator}  (admin under /admin)
  token file  {folder}/{token}
  logs        {folder}/engine.log, {folder}/simulator.log
Ask the engine from another shell:
  cd {folder} && {squareoff} positions
Ctrl-C here stops both."""

_TITLE = Text.assemble(
    ("squareoff demo", "bold"),
    ": live engine, DhanHQ-compatible simulator, recorded market data, real sockets",
)


def _dashboard_text(stage: Stage) -> str:
    token = os.path.relpath(stage.folder / TOKEN_FILE)
    return f"dashboard at {stage.engine.address}/, its token in {token}"


def _print_end(console: Console, options: DemoOptions, result: Audit, story: Story) -> None:
    print_report(console, result, KILLED, story)
    if options.picture is not None:
        record = Console(record=True, file=StringIO(), width=WIDTH, highlight=False)
        record.print(Text("$ make demo", style="bold"))
        print_report(record, result, KILLED, story)
        save_picture(record, options.picture)


def _verdict(result: Audit) -> str:
    if result.differences:
        return f"{len(result.differences)} differences; the demo took"
    return "Engine and broker agree on everything; the demo took"


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return the first failure of a group, for one message that a person can read."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _let_terminate_cancel() -> None:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: the children are ended first."""
    task = asyncio.current_task()
    assert task is not None, "called from a task"
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _keep_running(console: Console, stage: Stage) -> None:
    """Leave everything up until Ctrl-C, or until one of the processes ends."""
    console.print(_where_to_look(stage), soft_wrap=True)
    while True:
        stage.simulator_child.check()
        stage.engine_child.check()
        await stage.clock.sleep(1.0)


def _where_to_look(stage: Stage) -> str:
    return _STAYS_UP.format(
        engine=stage.engine.address,
        simulator=stage.simulator.address,
        folder=os.path.relpath(stage.folder),
        token=TOKEN_FILE,
        squareoff=os.path.relpath(program()[0], stage.folder),
    )
