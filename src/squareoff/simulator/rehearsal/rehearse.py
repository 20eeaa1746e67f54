"""Play one live story with real processes, with the engine killed and frozen on the way.

The driver only watches and pushes prices: it starts the next life after a death, lets a frozen
process stand still for its time, and ends when every position is EXITED. Then the ledger judges.
"""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from squareoff.ports import Clock
from squareoff.simulator.rehearsal.ledger_audit import audit, audit_replay
from squareoff.simulator.rehearsal.live_stories import (
    ENTRY_PRICE,
    PRODUCT,
    SECURITY_ID,
    SEGMENT,
    LiveStory,
)
from squareoff.simulator.rehearsal.processes import (
    BrokerProcess,
    CallRefused,
    EngineProcess,
    RehearsalFailed,
)

EXITED_SECONDS_MAX = 120.0
"""The engine's own bound is seconds; side by side with many others each start takes longer."""

TICK_SECONDS = 0.25
LIVES_MAX = 8


@dataclass(frozen=True, slots=True)
class Pause:
    """The process stands still for `seconds`: from a point (`name:n`), or from an instant.

    `after_seconds` counts from the firing of the exit.
    """

    seconds: float
    at_point: str = ""
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One play of a story: `kills` are one point per life; `kill_after` is an instant instead."""

    story: LiveStory
    kills: tuple[str, ...] = ()
    kill_after: float | None = None
    pause: Pause | None = None

    @property
    def label(self) -> str:
        """What tells this rehearsal from all others."""
        parts = [self.story.name, *self.kills]
        if self.kill_after is not None:
            parts.append(f"killed after {self.kill_after:.3f} s")
        if self.pause is not None:
            where = self.pause.at_point or f"after {self.pause.after_seconds:.3f} s"
            parts.append(f"frozen {self.pause.seconds:.0f} s at {where}")
        return " / ".join(parts)


@dataclass(slots=True)
class Outcome:
    """What one rehearsal showed; `violations` is empty for a good one."""

    rehearsal: Rehearsal
    violations: list[str] = field(default_factory=list)
    kills: int = 0
    pauses: int = 0
    unplanned_ends: int = 0
    points: list[list[str]] = field(default_factory=list)
    """Per life, the points reached after the story's stage was set."""

    seconds: float = 0.0

    @property
    def went_as_planned(self) -> bool:
        """Say whether every planned kill and pause happened."""
        planned = self.rehearsal
        kills = len(planned.kills) + (planned.kill_after is not None)
        return self.kills == kills and self.pauses == (planned.pause is not None)


class Stage:
    """One rehearsal in progress, on a lane's simulator and an account of its own."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        folder: Path,
        broker: BrokerProcess,
        client_id: str,
        clock: Clock,
        http: aiohttp.ClientSession,
    ) -> None:
        self._story = rehearsal.story
        self._broker = broker
        self._client_id = client_id
        self._clock = clock
        self._engine = EngineProcess(
            folder,
            broker.port,
            client_id,
            settings=self._story.settings(),
            clock=clock,
            http=http,
        )
        self._outcome = Outcome(rehearsal)
        self._kills = list(rehearsal.kills)
        self._kill_after = rehearsal.kill_after
        self._pause = rehearsal.pause
        self._wrapper: Sequence[str] = ()
        self._resting = self._story.resting_prints
        self._fired_at = 0.0
        self._skipped = 0

    async def play(self, wrapper: Sequence[str] = ()) -> Outcome:
        """Play it to its end, and judge it; `wrapper` are words before the engine's command."""
        begun, self._wrapper = self._now(), wrapper
        try:
            await self._set_up()
            await self._fire()
            await self._drive()
            self._keep_points()
            if wrapper:
                await self._engine.end_politely()
        except RehearsalFailed as failure:
            self._outcome.violations.append(f"not ended: {failure}")
        finally:
            self._engine.stop()
            await self._broker.admin("DELETE", "faults")
        if self._engine.database.exists():
            await self._judge()
        self._outcome.violations += self._engine.secrets_told()
        self._outcome.seconds = self._now() - begun
        return self._outcome

    def _now(self) -> float:
        return self._clock.now().monotonic_ns / 1e9

    # --- before ---

    async def _set_up(self) -> None:
        story = self._story
        await self._print(ENTRY_PRICE)
        if not story.by_entry:
            await self._trade_in_app(story.sign * sum(story.quantities))
        stop_at = self._pause.at_point if self._pause else ""
        self._start(stop_at)
        await self._engine.wait_ready()
        for quantity in story.quantities:
            await self._open(quantity)
        if story.by_entry:
            await self._wait_held()
        if story.hand_close:
            await self._trade_in_app(-story.sign * story.hand_close)
        self._skipped = len(self._engine.points())

    async def _trade_in_app(self, net_quantity: int) -> None:
        body = {
            "dhan_client_id": self._client_id,
            "exchange_segment": SEGMENT,
            "security_id": SECURITY_ID,
            "product_type": PRODUCT,
            "net_quantity": net_quantity,
            "price": ENTRY_PRICE,
        }
        await self._broker.admin("POST", "positions", body)

    async def _open(self, quantity: int) -> None:
        story = self._story
        body: dict[str, Any] = {
            "exchange_segment": SEGMENT,
            "security_id": SECURITY_ID,
            "product_type": PRODUCT,
            "side": story.side,
            "quantity": quantity,
        }
        if not story.asked:
            body["rules"] = {"stop_loss": {"points": "50"}}
        if story.by_entry:
            await self._engine.api("POST", "/entries", body | {"order_type": "MARKET"})
        else:
            await self._engine.api("POST", "/trackers", body | {"entry_price": ENTRY_PRICE})

    async def _wait_held(self) -> None:
        for _ in range(round(EXITED_SECONDS_MAX / TICK_SECONDS)):
            await self._print(ENTRY_PRICE)
            if await self._statuses() == {"ACTIVE"}:
                return
            await self._clock.sleep(TICK_SECONDS)
        raise RehearsalFailed("the entry was not filled")

    # --- the exit ---

    async def _fire(self) -> None:
        rules = [
            {
                "where": {"method": method, "path": path, "match": self._match()},
                "what": what,
                "how_often": {"times": 1},
            }
            for method, path, what in self._story.faults
        ]
        if rules:
            await self._broker.admin("POST", "faults", rules)
        self._fired_at = self._now()
        await self._print_firing()
        if self._story.asked:
            await self._ask()

    def _match(self) -> dict[str, str]:
        return {"dhanClientId": self._client_id}

    async def _ask(self) -> None:
        """A person asks for the exit, and asks again when the engine died under the call."""
        try:
            for one in (await self._engine.api("GET", "/trackers"))["items"]:
                body = {"reason": "asked by a person", "wait": "claimed"}
                await self._engine.api("POST", f"/trackers/{one['id']}/exit", body)
        except (CallRefused, OSError, aiohttp.ClientError, TimeoutError):
            return

    async def _drive(self) -> None:
        """Watch until everything is EXITED and every planned blow has fallen, or time is up."""
        pause = self._pause.seconds if self._pause else 0.0
        deadline = self._now() + EXITED_SECONDS_MAX + pause
        done_since = None
        while self._now() < deadline:
            await self._clock.sleep(TICK_SECONDS)
            await self._print_firing()
            if self._engine.is_frozen():
                await self._stand_still()
            elif self._engine.ended_with() is not None:
                await self._next_life()
                done_since = None
            elif self._strike_now() or not await self._engine.is_ready():
                continue
            elif await self._is_done():
                # A point after the last commit is reached in the same breath as what is shown.
                done_since = done_since or self._now()
                if self._now() - done_since > 1.0:
                    return
        raise RehearsalFailed(f"{await self._statuses()} at the end; {self._engine.log_tail()}")

    async def _is_done(self) -> bool:
        statuses = await self._statuses()
        if self._story.asked and "ACTIVE" in statuses:
            await self._ask()
        return statuses == {"EXITED"}

    async def _statuses(self) -> set[str]:
        try:
            shown = (await self._engine.api("GET", "/trackers"))["items"]
        except (CallRefused, OSError, aiohttp.ClientError, TimeoutError):
            return set()
        return {one["status"] for one in shown}

    def _strike_now(self) -> bool:
        """Kill or freeze at the planned instant."""
        elapsed = self._now() - self._fired_at
        if self._kill_after is not None and elapsed >= self._kill_after:
            self._kill_after = None
            self._engine.signal(signal.SIGKILL)
            return True
        pause = self._pause
        if pause and not pause.at_point and elapsed >= pause.after_seconds:
            self._engine.signal(signal.SIGSTOP)
            return True
        return False

    async def _stand_still(self) -> None:
        """Leave it frozen for its time while the market goes on, then let it run."""
        assert self._pause is not None, "nothing else freezes it"
        until = self._now() + self._pause.seconds
        while self._now() < until:
            await self._print_firing()
            await self._clock.sleep(1.0)
        self._outcome.pauses += 1
        self._pause = replace(self._pause, at_point="-")  # once only
        self._engine.signal(signal.SIGCONT)

    async def _next_life(self) -> None:
        self._keep_points()
        if self._engine.ended_with() == -signal.SIGKILL:
            self._outcome.kills += 1
        else:
            self._outcome.unplanned_ends += 1
        if self._engine.starts >= LIVES_MAX:
            raise RehearsalFailed(f"ended by itself again; {self._engine.log_tail()}")
        self._start()

    def _start(self, stop_at: str = "") -> None:
        kill_at = self._kills.pop(0) if self._kills else ""
        self._engine.start(kill_at=kill_at, stop_at=stop_at, wrapper=self._wrapper)

    def _keep_points(self) -> None:
        self._outcome.points.append(self._engine.points()[self._skipped :])
        self._skipped = 0

    async def _print_firing(self) -> None:
        available = self._story.available
        if self._resting > 0:
            self._resting -= 1
            available = 0
        await self._print(self._story.firing_price, available)

    async def _print(self, price: str, available: int | None = None) -> None:
        tick: dict[str, Any] = {
            "exchange_segment": SEGMENT,
            "security_id": SECURITY_ID,
            "last_price": price,
        }
        if available is not None:
            tick["available_quantity"] = available
        await self._broker.admin("POST", "ticks", tick)

    # --- after ---

    async def _judge(self) -> None:
        state = await self._broker.admin("GET", "state?parts=orders,trades")
        database, quantity = self._engine.database, sum(self._story.quantities)
        found = audit(state["orders"], state["trades"], database, self._client_id, quantity)
        self._outcome.violations += found
        self._outcome.violations += await audit_replay(database, self._client_id)
