"""Power loss over several recorded runs: every cut, every kind of loss."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from squareoff.ports import Clock
from squareoff.simulator.rehearsal.live_stories import LIVE_STORIES, MANY_POSITIONS, LiveStory
from squareoff.simulator.rehearsal.power_loss import PowerLoss, record, try_images

RECORDED: Sequence[LiveStory] = (
    LIVE_STORIES["long"],
    LIVE_STORIES["sliced by freeze quantity"],
    LIVE_STORIES["never arrived"],
    LIVE_STORIES["chased"],
    MANY_POSITIONS,
)
CUTS_PER_STORY = 250
"""A longer recording is cut after every n-th event: its commits are alike, and there are many."""

_SAID_EVERY = 500


@dataclass(slots=True)
class PowerCampaign:
    """What the images have shown so far, by story."""

    shown: dict[str, PowerLoss] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """Everything that went wrong."""
        return [
            f"{name}: {text}" for name, shown in self.shown.items() for text in shown.violations
        ]


async def run_power(
    campaign: PowerCampaign, folder: Path, clock: Clock, seed: int, say: Callable[[str], None]
) -> None:
    """Record and cut every story; `campaign` fills as it goes.

    Raises:
        FileNotFoundError: `strace` is not installed.
        RehearsalFailed: a story could not be recorded.
    """
    begun = clock.now().monotonic_ns
    async with aiohttp.ClientSession() as http:
        for story in RECORDED:
            own = folder / f"power-{story.name.replace(' ', '-')}"
            recording = await record(story, own, clock, http)
            say(f"{story.name}: {len(recording.events)} writes, syncs and orders recorded")

            def hear(shown: PowerLoss, name: str = story.name) -> None:
                campaign.shown[name] = shown
                campaign.seconds = (clock.now().monotonic_ns - begun) / 1e9
                if shown.images % _SAID_EVERY == 0:
                    say(f"{name}: {shown.images} images, {len(shown.violations)} violations")

            chance = random.Random(f"power {seed} {story.name}")
            every = max(1, len(recording.events) // CUTS_PER_STORY)
            await try_images(recording, own, chance, every=every, heard=hear)
