"""The kill campaign: engines killed and frozen at enumerated points, judged by the ledger.

Every outcome is kept from the moment it is known, so that an interrupted campaign still reports
what it has shown.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from squareoff.ports import Clock
from squareoff.simulator.rehearsal import kill_plan
from squareoff.simulator.rehearsal.lanes import play_all
from squareoff.simulator.rehearsal.rehearse import Outcome, Rehearsal

PROGRESS_SECONDS = 10.0
LANES_PER_FROZEN = 2
"""A frozen engine costs no computing: more of them stand side by side."""


@dataclass(frozen=True, slots=True)
class CampaignSize:
    """How much is played; `lanes` run side by side, and twice as many with frozen engines."""

    kills: int = 280
    instants: int = 20
    pauses: int = 110
    lanes: int = 4
    seed: int = 1


@dataclass(slots=True)
class Campaign:
    """What a campaign has shown so far."""

    size: CampaignSize
    outcomes: list[Outcome] = field(default_factory=list)
    planned: int = 0
    seconds: float = 0.0

    @property
    def violations(self) -> list[tuple[str, str]]:
        """Label and text of everything that went wrong."""
        return [(one.rehearsal.label, text) for one in self.outcomes for text in one.violations]

    @property
    def kill_points(self) -> set[str]:
        """The distinct deaths that happened: story and points."""
        return {
            one.rehearsal.label
            for one in self.outcomes
            if one.rehearsal.kills and one.went_as_planned
        }

    @property
    def pauses(self) -> list[Outcome]:
        """The rehearsals in which an engine stood still."""
        return [one for one in self.outcomes if one.pauses]

    def progress(self) -> str:
        """Return one line."""
        return (
            f"{len(self.outcomes)}/{self.planned} rehearsals, "
            f"{sum(one.kills for one in self.outcomes)} kills at {len(self.kill_points)} points, "
            f"{len(self.pauses)} pauses, {len(self.violations)} violations, {self.seconds:.0f} s"
        )


async def run_campaign(
    campaign: Campaign, folder: Path, clock: Clock, say: Callable[[str], None]
) -> None:
    """Play it all; `campaign` fills as it goes."""
    begun = clock.now().monotonic_ns
    size = campaign.size

    def hear(outcome: Outcome) -> None:
        campaign.outcomes.append(outcome)
        campaign.seconds = (clock.now().monotonic_ns - begun) / 1e9
        for text in outcome.violations:
            say(f"VIOLATION {outcome.rehearsal.label}: {text}")

    async def play(name: str, rehearsals: Sequence[Rehearsal], lanes: int) -> list[Outcome]:
        campaign.planned += len(rehearsals)
        return await play_all(rehearsals, folder / name, lanes=lanes, clock=clock, hear=hear)

    async def report() -> None:
        while True:
            await clock.sleep(PROGRESS_SECONDS)
            say(campaign.progress())

    async with asyncio.TaskGroup() as tasks:
        reporting = tasks.create_task(report())
        clean = await play("clean", kill_plan.clean_plays(), size.lanes)
        points = kill_plan.points_of(clean)
        deaths = kill_plan.first_deaths(points) if size.kills else []
        recoveries = await play("recoveries", deaths, size.lanes)
        killed = [
            *kill_plan.kills(points, recoveries, size.kills, size.seed),
            *kill_plan.instants(size.instants, size.seed),
        ]
        frozen = kill_plan.pauses(points, size.pauses, size.seed)
        async with asyncio.TaskGroup() as both:
            both.create_task(play("killed", killed, size.lanes))
            both.create_task(play("frozen", frozen, size.lanes * LANES_PER_FROZEN))
        reporting.cancel()
    say(campaign.progress())
