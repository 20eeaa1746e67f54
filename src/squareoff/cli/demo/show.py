"""Run the show: let the market go, do the three deeds, watch until all is closed, then compare.

The deeds: kill the engine while it waits for an answer, start it again, and exit one position by
hand. Everything else happens by the rules. Each wait has a condition and a deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from squareoff.cli.demo.audit import Audit, audit, name_of
from squareoff.cli.demo.board import Board, Screen
from squareoff.cli.demo.clients import Away
from squareoff.cli.demo.evidence import gather_evidence
from squareoff.cli.demo.failure import DemoFailure
from squareoff.cli.demo.scenario import BY_HAND, HELD_ANSWER, KILLED, POSITIONS
from squareoff.cli.demo.stage import START_SECONDS_MAX, Stage
from squareoff.cli.demo.timeline import Moment, Story, tell_story
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND

SHOW_SECONDS_MAX = 150.0
"""From the first print to the last exit; at the default speed it takes about 60 s."""

REFRESH_SECONDS = 0.25
WATCH_SECONDS = 0.02
"""How often the deed's condition is looked at: the held answer leaves 2.5 s for the kill."""

HOLD_AFTER_MARKET_SECONDS = 48.0
"""A restart that takes longer would miss recorded prices (the next rule fires 69 market seconds
after the kill): the replay then waits for it."""

RECORDING_STARTS = datetime(2025, 12, 29, 12, 47, 7, 890_000, IST)
"""When the future's first recorded packet came."""


class Show:
    """One run of the demo on a stage."""

    def __init__(self, stage: Stage, board: Board, screen: Screen, started_ns: int) -> None:
        self._stage = stage
        self._board = board
        self._screen = screen
        self._started_ns = started_ns
        self._journal: list[dict[str, object]] = []
        self._deeds: list[Moment] = []
        self._away_seconds = 0.0
        self._is_engine_up = True

    def note(self, text: str) -> None:
        """Put a piece of news on the screen."""
        self._board.news.append((self._seconds(), text))
        self._screen.refresh(self._seconds())

    async def run(self) -> tuple[Audit, Story]:
        """Play it through; return the comparison and the story of the killed exit.

        Raises:
            DemoFailure: something did not happen in time, or a process ended by itself.
        """
        await self._stage.open_positions()
        self.note(f"{len(POSITIONS)} positions at the broker and under watch; the market opens")
        await self._stage.simulator.steer(paused=False)
        try:
            async with asyncio.timeout(SHOW_SECONDS_MAX), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._do_deeds())
                await self._watch()
        except TimeoutError:
            raise DemoFailure(
                f"not all positions were closed within {SHOW_SECONDS_MAX:.0f} s:",
                *self._open_positions(),
            ) from None
        evidence = await gather_evidence(
            self._stage.engine, self._stage.simulator, self._stage.tracker_ids, self._journal
        )
        return audit(evidence, self._away_seconds), tell_story(evidence, KILLED, self._deeds)

    def _seconds(self) -> float:
        elapsed = self._stage.clock.now().monotonic_ns - self._started_ns
        return elapsed / NANOSECONDS_PER_SECOND

    def _open_positions(self) -> list[str]:
        return [
            f"{name_of(position)}: {self._board.trackers[position.name]['status']}"
            for position in POSITIONS
            if position.name in self._board.trackers
            and self._board.trackers[position.name]["status"] != "EXITED"
        ]

    async def _watch(self) -> None:
        """Read both sides and refresh the screen until every position is closed."""
        while self._board.exited_count < len(POSITIONS):
            self._stage.simulator_child.check()
            market = RECORDING_STARTS + timedelta(
                seconds=await self._stage.simulator.market_seconds()
            )
            self._board.market = market.strftime("%H:%M:%S")
            if self._is_engine_up:
                self._stage.engine_child.check()
                await self._read_engine()
            self._screen.refresh(self._seconds())
            await self._stage.clock.sleep(REFRESH_SECONDS)

    async def _read_engine(self) -> None:
        seen = self._journal[-1]["seq"] if self._journal else 0
        assert isinstance(seen, int), "the journal numbers its facts"
        try:
            self._journal += await self._stage.engine.journal_after(seen)
            trackers = await self._stage.engine.trackers()
        except Away:
            return  # killed this very moment; the next look is at the new engine
        names = {tracker_id: name for name, tracker_id in self._stage.tracker_ids.items()}
        before = {name: each["status"] for name, each in self._board.trackers.items()}
        self._board.trackers = {names[key]: each for key, each in trackers.items()}
        self._board.engine = f"live, process {self._stage.engine_child.pid}"
        self._note_changes(before)

    def _note_changes(self, before: dict[str, str]) -> None:
        for position in POSITIONS:
            tracker = self._board.trackers[position.name]
            was, status = before.get(position.name, "ACTIVE"), tracker["status"]
            if was == status:
                continue
            if was == "ACTIVE":
                self.note(f"{name_of(position)}: {tracker['intent']['reason']}")
            if status == "EXITED":
                text = f"{name_of(position)}: EXITED at {tracker['exit_price']}"
                self.note(f"{text}, P&L {tracker['realized_pnl']}")

    async def _do_deeds(self) -> None:
        await self._until(self._is_answer_held, "the exit that is to be interrupted", WATCH_SECONDS)
        await self._kill_and_start_again()
        await self._until(self._is_time_for_hand, "the time of the exit by hand", REFRESH_SECONDS)
        self.note(f"{name_of(BY_HAND)}: exit by hand, through the API")
        tracker_id = self._stage.tracker_ids[BY_HAND.name]
        await self._stage.engine.exit(tracker_id, "closed by hand in the demo")

    async def _is_answer_held(self) -> bool:
        received = (await self._stage.simulator.state("received"))["received"]
        return any(HELD_ANSWER in call["faults"] for call in received)

    async def _is_time_for_hand(self) -> bool:
        return await self._stage.simulator.market_seconds() >= BY_HAND.market_seconds

    async def _kill_and_start_again(self) -> None:
        engine = self._stage.engine_child
        self._is_engine_up = False
        engine.kill_hard()
        self._board.engine = "killed"
        self._deed(f"kill -9 {engine.pid}: the broker has the order, its answer is under way")
        self.note(f"kill -9 of the engine while it waits for the answer to {name_of(KILLED)}")
        killed_ns = self._stage.clock.now().monotonic_ns
        self._stage.start_engine_again()
        self._deed("starts the engine again")
        await self._wait_for_engine(killed_ns)
        self._away_seconds = self._seconds_since(killed_ns)
        self._is_engine_up = True
        self.note(f"the engine is back after {self._away_seconds:.1f} s")

    async def _wait_for_engine(self, killed_ns: int) -> None:
        is_held = False
        hold_after_seconds = HOLD_AFTER_MARKET_SECONDS / self._stage.speed
        while not await self._stage.engine_is_ready():
            if self._seconds_since(killed_ns) > START_SECONDS_MAX:
                raise DemoFailure("the engine did not come back; see engine.log")
            if not is_held and self._seconds_since(killed_ns) > hold_after_seconds:
                is_held = True
                await self._stage.simulator.steer(paused=True)
                self.note("a slow machine: the replay waits for the engine")
            await self._stage.clock.sleep(REFRESH_SECONDS)
        if is_held:
            await self._stage.simulator.steer(paused=False)

    def _seconds_since(self, monotonic_ns: int) -> float:
        return (self._stage.clock.now().monotonic_ns - monotonic_ns) / NANOSECONDS_PER_SECOND

    def _deed(self, text: str) -> None:
        self._deeds.append(Moment(self._stage.clock.now().wall_ns, "demo", text))

    async def _until(
        self, condition: Callable[[], Awaitable[bool]], what: str, pause_seconds: float
    ) -> None:
        """Wait for a condition of the broker's; the deadline of the whole show ends it."""
        deadline = self._stage.clock.now().monotonic_ns + round(
            SHOW_SECONDS_MAX * NANOSECONDS_PER_SECOND
        )
        while not await condition():
            if self._stage.clock.now().monotonic_ns > deadline:
                raise DemoFailure(f"{what} did not come")
            await self._stage.clock.sleep(pause_seconds)
