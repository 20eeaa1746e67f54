"""The disk that a power cut leaves behind: what was synced, and any part of what was not.

A file's writes since its last sync may be there or not, in any combination, and each of its sectors
may be old or new (512 bytes, the smallest a disk writes at once). A name that came or went counts
for certain from the sync of its folder; before that it may be either way.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from squareoff.simulator.rehearsal.system_calls import (
    Created,
    Event,
    OrderLeft,
    Removed,
    Resized,
    Synced,
    Wrote,
)

SECTOR_BYTES = 512

Image = dict[str, bytes]
"""Path -> content, as found after the power is back."""


class Loss(Enum):
    """What became of the writes that were not synced."""

    ALL_KEPT = "all kept"
    ALL_LOST = "all lost"
    END_LOST = "the end lost"
    SOME_LOST = "some lost, in any order"
    TORN = "torn at sectors"


@dataclass(slots=True)
class _File:
    """One file; `is_named_surely` once its name is durable."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Wrote | Resized] = field(default_factory=list)
    is_named_surely: bool = False

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending = []


class Disk:
    """The files of one database while the recorded run goes on."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._removed: dict[str, _File] = {}
        self.orders_left: list[str] = []

    def take(self, event: Event) -> None:
        """Let one event happen."""
        match event:
            case Wrote(path) | Resized(path):
                self._file(path).pending.append(event)
            case Synced(path):
                self._sync(path)
            case Created(path):
                self._files[path] = _File()
                self._removed.pop(path, None)
            case Removed(path):
                self._removed[path] = self._files.pop(path)
            case OrderLeft(client_order_id):
                self.orders_left.append(client_order_id)

    def _file(self, path: str) -> _File:
        return self._files.setdefault(path, _File())

    def _sync(self, path: str) -> None:
        file = self._files.get(path)
        if file is not None:
            file.sync()
            return
        # A folder: from now on the names are as they are.
        self._removed = {}
        for each in self._files.values():
            each.is_named_surely = True

    def image(self, loss: Loss, chance: random.Random) -> Image:
        """Return what a power cut at this instant leaves."""
        image = {path: _survived(file, loss, chance) for path, file in self._files.items()}
        for path, file in self._files.items():
            if not file.is_named_surely and self._goes(loss, chance):
                del image[path]
        for path, file in self._removed.items():
            if path not in image and self._goes(loss, chance):
                image[path] = _survived(file, loss, chance)
        return image

    @staticmethod
    def _goes(loss: Loss, chance: random.Random) -> bool:
        """Say whether a change of a name that was not synced is lost."""
        if loss in (Loss.ALL_KEPT, Loss.TORN):
            return False
        return loss is Loss.ALL_LOST or chance.random() < 0.5


def images(
    events: Iterable[Event], chance: random.Random, *, every: int = 1
) -> Iterator[tuple[int, Loss, Image, tuple[str, ...]]]:
    """Yield every image of cuts after each `every`-th event, all losses, without repeats in a row.

    Each is (number of the event, loss, image, orders that had left by then).
    """
    disk, last = Disk(), set[int]()
    for number, event in enumerate(events):
        disk.take(event)
        if number % every:
            continue
        seen = set()
        for loss in Loss:
            image = disk.image(loss, chance)
            mark = hash((tuple(sorted(image.items())), len(disk.orders_left)))
            if mark not in last and mark not in seen:
                seen.add(mark)
                yield number, loss, image, tuple(disk.orders_left)
        last = seen or last


def _survived(file: _File, loss: Loss, chance: random.Random) -> bytes:
    content = bytearray(file.durable)
    for change in _kept(file.pending, loss, chance):
        _apply(content, change)
    return bytes(content)


def _kept(
    pending: list[Wrote | Resized], loss: Loss, chance: random.Random
) -> list[Wrote | Resized]:
    match loss:
        case Loss.ALL_KEPT:
            return pending
        case Loss.ALL_LOST:
            return []
        case Loss.END_LOST:
            return pending[: chance.randint(0, len(pending))]
        case Loss.SOME_LOST:
            return [change for change in pending if chance.random() < 0.5]
        case Loss.TORN:
            return [part for change in pending for part in _torn(change, chance)]


def _torn(change: Wrote | Resized, chance: random.Random) -> Iterator[Wrote | Resized]:
    """Yield those sectors of a write that reached the disk."""
    if isinstance(change, Resized):
        yield change
        return
    begin, end = change.offset, change.offset + len(change.content)
    at = begin
    while at < end:
        border = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if chance.random() < 0.5:
            yield Wrote(change.path, at, change.content[at - begin : border - begin])
        at = border


def _apply(content: bytearray, change: Wrote | Resized) -> None:
    if isinstance(change, Resized):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.content)
    content.extend(bytes(max(0, end - len(content))))
    content[change.offset : end] = change.content
