"""Power cut at recorded writes of a real engine: no order that had left is ever missing (C7).

`strace` records what the engine's SQLite wrote, synced and sent; images of its files are made as a
power cut would leave them, and each is started on.
"""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from async_body import run_async
from missing_services import skip_or_fail
from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.live_stories import LIVE_STORIES
from squareoff.simulator.rehearsal.lost_power import Loss
from squareoff.simulator.rehearsal.power_loss import Recording, record, try_images
from squareoff.simulator.rehearsal.system_calls import Synced, Wrote
from throwaway.programs import ServerMissing

IMAGES_WANTED = 500
RECORD_SECONDS_MAX = 300.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record one exit of a real engine, once for this file."""
    if shutil.which("strace") is None:
        skip_or_fail(ServerMissing("strace", "strace"))
    folder = tmp_path_factory.mktemp("recording")

    async def make() -> Recording:
        async with aiohttp.ClientSession() as http:
            return await record(LIVE_STORIES["long"], folder, SystemClock(), http)

    return run_async(make(), RECORD_SECONDS_MAX)


@pytest.mark.xdist_group("power_loss")
def test_no_image_has_lost_an_order_that_had_left(recording: Recording, tmp_path: Path) -> None:
    """Cut after every write and sync, with every kind of loss: it opens, and nothing is missing."""
    shown = run_async(try_images(recording, tmp_path, random.Random(1)), RECORD_SECONDS_MAX)

    print(f"{shown.images} images of {len(shown.cuts)} cuts, {dict(shown.by_loss)}")
    assert shown.violations == []
    assert shown.images >= IMAGES_WANTED
    assert set(shown.by_loss) == {loss.value for loss in Loss}
    assert shown.with_orders > 100


@pytest.mark.xdist_group("power_loss")
def test_without_the_syncs_the_images_show_the_loss(recording: Recording, tmp_path: Path) -> None:
    """A log whose syncs never happened loses orders: the judge above can see it."""
    wal = next(e.path for e in recording.events if isinstance(e, Wrote) and "-wal" in e.path)
    unsynced = replace(recording, events=[e for e in recording.events if e != Synced(wal)])

    shown = run_async(try_images(unsynced, tmp_path, random.Random(1), every=9), RECORD_SECONDS_MAX)

    assert any("its send is not in the journal" in text for text in shown.violations)
