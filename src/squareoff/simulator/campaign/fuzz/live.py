"""Invalid frames into a live engine with armed positions: nothing fires, nothing is sent.

Every frame is invalid by a check of its own: text that is no order alert, packets that hold no
price of anything. Between the first and the last of them no exit may be claimed and no order
planned or sent; afterwards the engine must bring every exit to its end as if nothing had been.
"""

import json
import random

from squareoff.simulator.campaign.fuzz.mutations import mutated_bytes
from squareoff.simulator.campaign.fuzz.packets import prices_in
from squareoff.simulator.campaign.fuzz.samples import samples
from squareoff.simulator.campaign.fuzz.tally import FuzzTally
from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.network import VirtualConnection
from squareoff.simulator.virtual.plans import draw_plans
from squareoff.simulator.virtual.run_seed import run_seed
from squareoff.simulator.virtual.workload import Workload
from squareoff.simulator.virtual.world import World

FRAMES_PER_RUN = 1_000
QUIET_SECONDS = (4.6, 5.9)
"""After the last position was opened and before the first rule can fire. No price is printed then:
whatever moves a stop is one of the frames."""

_ON_THE_WAY_SECONDS = 0.3

_FORBIDDEN = "('exit_claimed', 'exit_sized', 'order_planned', 'order_sent', 'stop_moved')"


def fuzz_live(chance: random.Random, count: int, tally: FuzzTally) -> None:
    """Try so many frames, in as many runs as that takes."""
    for first in range(0, count, FRAMES_PER_RUN):
        noise = _Noise(chance, min(FRAMES_PER_RUN, count - first))
        knobs = Knobs(chaos_seconds=12.0, position_count=3)
        report = run_seed(chance.randrange(10**6), knobs=knobs, script=noise)
        tally.cases += noise.delivered
        tally.outcomes["left the engine as it was"] += noise.delivered
        for line in (*noise.faults, *report.violations):
            tally.violate(f"seed {report.seed}: {line}")


class _Noise:
    """Fulfils `run_seed.Script`: the drawn positions, and the invalid frames of one run."""

    draw = staticmethod(draw_plans)

    def __init__(self, chance: random.Random, count: int) -> None:
        self._chance = chance
        self._count = count
        self.delivered = 0
        self.faults: list[str] = []

    def begin(self, world: World, workload: Workload) -> None:
        """Put the frames on the world's clock, and a look at the journal before and after."""
        begin, end = QUIET_SECONDS
        workload.hold_still(begin - _ON_THE_WAY_SECONDS, end)
        rows_before: list[int] = []
        world.later(begin, lambda: rows_before.append(_rows(world)))
        world.later(end, lambda: self._look(world, rows_before[0]))
        for _ in range(self._count):
            at = self._chance.uniform(begin + 0.01, end - 0.1)
            world.later(at, lambda: self._deliver(world.connections()))

    def _deliver(self, connections: list[VirtualConnection]) -> None:
        if not connections:
            return
        connection = self._chance.choice(connections)
        is_feed = connection.name == "feed"
        frame = _bad_packet(self._chance) if is_feed else _bad_update(self._chance)
        connection.deliver(frame)
        self.delivered += 1

    def _look(self, world: World, rows_before: int) -> None:
        found = world.auditor.database.execute(
            f"SELECT kind FROM journal WHERE seq > ? AND kind IN {_FORBIDDEN}",
            (rows_before,),
        ).fetchall()
        self.faults += [f"{kind} was journalled amid invalid frames" for (kind,) in found]
        if not self.delivered:
            self.faults.append("no frame was delivered: was the engine connected?")


def _rows(world: World) -> int:
    (count,) = world.auditor.database.execute(
        "SELECT COALESCE(MAX(seq), 0) FROM journal"
    ).fetchone()
    return int(count)


def _bad_packet(chance: random.Random) -> bytes:
    while True:
        frame = mutated_bytes(chance.choice(samples().packets), chance)
        if frame and not prices_in(frame) and frame[0] != _DISCONNECT:
            return frame


_DISCONNECT = 50
"""A packet that ends the connection is no noise: reconnecting is what it asks for."""


def _bad_update(chance: random.Random) -> str:
    while True:
        raw = mutated_bytes(chance.choice(samples().updates), chance)
        text = raw.decode("utf-8", "replace")
        if not _is_alert(text):
            return text


def _is_alert(text: str) -> bool:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(str(name).lower() == "data" for name in content)
