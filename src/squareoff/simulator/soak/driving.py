"""Drive a soak: keep the positions up, let some fire, let faults befall, and look at the engine.

The driver sees only what a user sees (API, metrics, the process) and decides nothing about right or
wrong; that is `judging`.
"""

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock
from squareoff.simulator.rehearsal.processes import (
    BrokerProcess,
    CallRefused,
    EngineProcess,
    RehearsalFailed,
    client_ids,
)
from squareoff.simulator.soak.feed_process import FeedProcess
from squareoff.simulator.soak.tape import ENTRY, FIRST_SECURITY_ID, SEGMENT, STOP
from squareoff.simulator.soak.watching import Sample, look_at

QUANTITY = 10
PRODUCT = "INTRADAY"
STEP_SECONDS = 0.25
LOOK_SECONDS = 5.0
QUIET_SECONDS = 2.0
"""Around a fault that cuts the feed no print crosses: whether it arrived could not be known."""

SETTLE_SECONDS_MAX = 120.0
SETTINGS = (
    "[timeouts]\norder_seconds = 3.0\n[settle]\nquarantine_seconds = 5.0\n"
    "[reconcile]\nin_flight_seconds = 1.0\n"
)


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """How long and how much; `fire_every` and `fault_every` are seconds."""

    seconds: float = 3_600.0
    positions: int = 500
    rate: int = 20_000
    burst_rate: int = 40_000
    fire_every: float = 36.0
    fault_every: float = 60.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Fired:
    """A position whose stop a print was told to cross."""

    security_id: int
    tracker_id: str
    told_at: float


@dataclass(slots=True)
class SoakRecord:
    """What happened, as the driver saw it."""

    plan: SoakPlan
    samples: list[Sample] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    opened: int = 0
    metrics: str = ""
    unsettled: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Say = Callable[[str], None]


class Soak:
    """One soak in progress."""

    def __init__(
        self, plan: SoakPlan, folder: Path, clock: Clock, http: aiohttp.ClientSession, say: Say
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._say = say
        self._chance = random.Random(plan.seed)
        self._account = client_ids(1)[0]
        self.broker = BrokerProcess(folder, clock, http)
        self.feed = FeedProcess(folder, clock)
        self._folder, self._http = folder, http
        self.record = SoakRecord(plan)
        self._held: dict[int, str] = {}
        self._firing: dict[int, Fired] = {}
        self._bought: set[int] = set()
        self._quiet_until = 0.0
        self._wake_at: float | None = None
        self._begun_ns = 0

    async def run(self) -> EngineProcess:
        """Play it; the engine is stopped at the end and its folder is left to be judged."""
        plan = self._plan
        await self.broker.start([self._account])
        config = {"instruments": plan.positions, "rate": plan.rate, "seed": plan.seed}
        await self.feed.start(config | {"burst_rate": plan.burst_rate})
        await self._list_instruments()
        self.engine = EngineProcess(
            self._folder,
            self.broker.port,
            self._account,
            settings=SETTINGS,
            clock=self._clock,
            http=self._http,
            feed_url=f"ws://127.0.0.1:{self.feed.port}/feed",
        )
        self.engine.start()
        await self.engine.wait_ready()
        for number in range(plan.positions):
            await self._open(FIRST_SECURITY_ID + number)
        self._say(f"{plan.positions} positions are under watch")
        self._begun_ns = self._clock.now().monotonic_ns
        await self._play()
        await self._settle()
        self.record.metrics = await self.engine.metrics()
        await self.engine.end_politely()
        return self.engine

    def stop(self) -> None:
        """End all processes."""
        self.feed.stop()
        if hasattr(self, "engine"):
            self.engine.stop()
        self.broker.stop()

    def _now(self) -> float:
        return (self._clock.now().monotonic_ns - self._begun_ns) / NANOSECONDS_PER_SECOND

    async def _list_instruments(self) -> None:
        limits = dict.fromkeys(("second", "minute", "hour", "day"), 0)
        kinds = ("order", "data", "quote", "other")
        await self.broker.admin("POST", "conduct", {"rate_limits": dict.fromkeys(kinds, limits)})
        names = [_name(FIRST_SECURITY_ID + number) for number in range(self._plan.positions)]
        await self.broker.admin(
            "POST", "instruments", [n | {"previous_close": ENTRY} for n in names]
        )
        await self.broker.admin("POST", "ticks", [n | {"last_price": ENTRY} for n in names])

    async def _open(self, security_id: int) -> None:
        """Buy, where that is not done yet, and put the position under watch."""
        name = _name(security_id)
        if security_id not in self._bought:
            held = {"product_type": PRODUCT, "net_quantity": QUANTITY, "price": str(ENTRY)}
            account = {"dhan_client_id": self._account}
            await self.broker.admin("POST", "positions", name | held | account)
            self._bought.add(security_id)
        body: dict[str, Any] = name | {
            "product_type": PRODUCT,
            "side": "LONG",
            "quantity": QUANTITY,
            "entry_price": str(ENTRY),
            "rules": {"stop_loss": {"price": str(STOP)}},
        }
        answer = await self.engine.api("POST", "/trackers", body)
        self._held[security_id] = str(answer["id"])
        self._bought.discard(security_id)
        self.record.opened += 1

    async def _play(self) -> None:
        plan, faults = self._plan, FAULTS
        fire_at, fault_at, look_at_second = plan.fire_every, plan.fault_every, 0.0
        while (now := self._now()) < plan.seconds:
            if self._wake_at is not None and now >= self._wake_at:
                self._wake_at = None
                self.engine.signal(signal.SIGCONT)
            if now >= fault_at and self._is_awake:
                fault_at += plan.fault_every
                await self._befall(faults[len(self.record.faults) % len(faults)])
            elif now >= fire_at:
                fire_at += plan.fire_every
                self._fire(fault_at)
            elif now >= look_at_second and self._is_awake:
                look_at_second = now + LOOK_SECONDS
                await self._look()
            if self._is_awake:
                await self._reopen()
            await self._clock.sleep(STEP_SECONDS)
        self.engine.signal(signal.SIGCONT)

    @property
    def _is_awake(self) -> bool:
        """Say whether the engine runs; whoever asks a stopped one waits for it in vain."""
        return self._wake_at is None

    def _fire(self, fault_at: float) -> None:
        now = self._now()
        if now < self._quiet_until or fault_at - now < QUIET_SECONDS or not self._held:
            return
        security_id = self._chance.choice(sorted(self._held))
        fired = Fired(security_id, self._held.pop(security_id), now)
        self.record.fired.append(fired)
        self._firing[security_id] = fired
        self.feed.tell({"cross": security_id, "near": self._chance.random() < 0.5})

    async def _look(self) -> None:
        metrics = await self.engine.metrics()
        self.record.samples.append(look_at(self.engine.process_id, self._now(), metrics))
        if len(self.record.samples) % 12 == 0:
            newest = self.record.samples[-1]
            self._say(
                f"{newest.seconds:.0f} s: {len(self.record.fired)} fired, "
                f"{len(self._firing)} on their way, {newest.resident_bytes >> 20} MiB, "
                f"{newest.descriptors} descriptors, {newest.tasks} tasks"
            )

    async def _reopen(self) -> None:
        """Take up anew what was closed."""
        for security_id, fired in list(self._firing.items()):
            if self._now() - fired.told_at < QUIET_SECONDS:
                continue
            try:
                answer = await self.engine.api("GET", f"/trackers/{fired.tracker_id}")
                if answer["status"] == "EXITED":
                    await self._open(security_id)
                    del self._firing[security_id]
            except CallRefused as error:
                self.record.complaints.append(str(error))

    async def _settle(self) -> None:
        """Let what fired come to its end."""
        await self.broker.admin("DELETE", "faults")
        end = self._now() + SETTLE_SECONDS_MAX
        while self._firing and self._now() < end:
            await self._reopen()
            await self._clock.sleep(STEP_SECONDS)
        self.record.unsettled = [fired.tracker_id for fired in self._firing.values()]

    async def _befall(self, fault: str) -> None:
        self._say(f"{self._now():.0f} s: {fault}")
        self.record.faults.append((self._now(), fault))
        match fault:
            case "feed cut" | "feed ended by 800" | "feed cut, then 429":
                kind, value = _CUTS[fault]
                self._quiet_until = self._now() + QUIET_SECONDS
                self.feed.tell({"fault": kind, "value": value})
            case "feed silent":
                self.feed.tell({"fault": "silence", "value": 40})
            case "garbage in the feed":
                self.feed.tell({"fault": "garbage", "value": 200})
            case "order stream cut":
                body = {"disconnect": "order_update", "how": "reset"}
                await self.broker.admin("POST", "sockets", body)
            case "slow broker":
                slow = {"where": {"path": "/*"}, "what": {"answer_delay_ms": 800}}
                await self.broker.admin("POST", "faults", slow | {"until": {"seconds": 15}})
            case "lost answers":
                lost = {"where": {"method": "POST", "path": "/orders"}}
                what = {"what": {"drop_after": "hold"}, "until": {"seconds": 15}}
                await self.broker.admin("POST", "faults", lost | what)
            case "engine stopped for 2 s":
                self.engine.signal(signal.SIGSTOP)
                self._wake_at = self._now() + 2.0
            case _:
                raise RehearsalFailed(f"no such fault: {fault}")


_CUTS = {
    "feed cut": ("reset", 0),
    "feed ended by 800": ("reason", 800),
    "feed cut, then 429": ("refuse", 1),
}
FAULTS: Sequence[str] = (
    "feed cut",
    "order stream cut",
    "garbage in the feed",
    "engine stopped for 2 s",
    "slow broker",
    "feed ended by 800",
    "lost answers",
    "feed silent",
    "feed cut, then 429",
)


def _name(security_id: int) -> dict[str, Any]:
    return {"exchange_segment": SEGMENT, "security_id": str(security_id)}
