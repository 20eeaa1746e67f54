"""The disk after a power cut: what is certain, what is not, and what a tear is."""

import random

from squareoff.simulator.rehearsal.lost_power import Disk, Loss, images
from squareoff.simulator.rehearsal.system_calls import (
    Created,
    Event,
    OrderLeft,
    Removed,
    Resized,
    Synced,
    Wrote,
)

FILE, FOLDER = "/d/a.db", "/d"
_NAMED: list[Event] = [Created(FILE), Synced(FOLDER)]


def _disk(*events: Event) -> Disk:
    disk = Disk()
    for event in events:
        disk.take(event)
    return disk


def test_what_was_synced_survives_every_loss() -> None:
    """Content and name are certain after their syncs."""
    disk = _disk(*_NAMED, Wrote(FILE, 0, b"abc"), Synced(FILE))

    for loss in Loss:
        assert disk.image(loss, random.Random(1)) == {FILE: b"abc"}


def test_what_was_not_synced_may_be_lost() -> None:
    """The kinds of loss differ in what they keep."""
    disk = _disk(*_NAMED, Wrote(FILE, 0, b"abc"), Synced(FILE), Wrote(FILE, 1, b"X"))

    assert disk.image(Loss.ALL_KEPT, random.Random(1)) == {FILE: b"aXc"}
    assert disk.image(Loss.ALL_LOST, random.Random(1)) == {FILE: b"abc"}


def test_later_writes_may_survive_earlier_ones() -> None:
    """Order on the disk is nobody's promise without a sync between."""
    disk = _disk(*_NAMED, Wrote(FILE, 0, b"a"), Wrote(FILE, 1, b"b"))

    seen = {disk.image(Loss.SOME_LOST, random.Random(seed))[FILE] for seed in range(40)}
    assert seen == {b"", b"a", b"ab", b"\x00b"}


def test_a_write_tears_at_sectors_only() -> None:
    """Each 512 bytes are old or new as a whole."""
    disk = _disk(*_NAMED, Wrote(FILE, 0, bytes(1024)), Synced(FILE), Wrote(FILE, 0, b"x" * 1024))

    seen = {disk.image(Loss.TORN, random.Random(seed))[FILE] for seed in range(40)}
    halves = (bytes(512), b"x" * 512)
    assert seen == {first + second for first in halves for second in halves}


def test_names_are_certain_only_after_the_folder_was_synced() -> None:
    """A new file may be missing, a removed one may be back."""
    fresh = _disk(Created(FILE), Wrote(FILE, 0, b"a"), Synced(FILE))
    assert fresh.image(Loss.ALL_LOST, random.Random(1)) == {}
    gone = _disk(*_NAMED, Wrote(FILE, 0, b"a"), Synced(FILE), Removed(FILE))
    assert gone.image(Loss.ALL_LOST, random.Random(1)) == {FILE: b"a"}
    gone.take(Synced(FOLDER))
    assert gone.image(Loss.ALL_LOST, random.Random(1)) == {}


def test_a_file_can_be_cut_and_stretched() -> None:
    """Truncation is a change like any other."""
    disk = _disk(*_NAMED, Wrote(FILE, 0, b"abcd"), Resized(FILE, 2), Resized(FILE, 3))

    assert disk.image(Loss.ALL_KEPT, random.Random(1)) == {FILE: b"ab\x00"}


def test_images_name_the_orders_that_had_left() -> None:
    """An order counts from the event with which it left."""
    events: list[Event] = [*_NAMED, Wrote(FILE, 0, b"a"), Synced(FILE), OrderLeft("sqx-1")]

    left = {number: orders for number, _, _, orders in images(events, random.Random(1))}
    assert left[4] == ("sqx-1",)
    assert all(orders == () for number, orders in left.items() if number < 4)
