"""Power loss: record what a real engine's database wrote, cut it everywhere, start on what is left.

Every image is opened as the engine would open it: by SQLite, then by the store that brings the
schema up, checks the journal's chain and loads every position. Judged:

1. SQLite finds the file whole (`integrity_check`), and the schema can be brought up.
2. Every order that had left by then has its committed `order_sent`, once per send.
3. The journal is the beginning of the journal that the run ended with; its chain holds.
4. Folding it gives the stored positions.
"""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from squareoff.adapters.sql.database import open_inline_database
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.domain.ids import AccountId
from squareoff.ports import Clock
from squareoff.simulator.rehearsal.ledger_audit import replay_faults
from squareoff.simulator.rehearsal.live_stories import LiveStory
from squareoff.simulator.rehearsal.lost_power import Image, Loss, images
from squareoff.simulator.rehearsal.processes import BrokerProcess, RehearsalFailed, client_ids
from squareoff.simulator.rehearsal.rehearse import Rehearsal, Stage
from squareoff.simulator.rehearsal.system_calls import Event, OrderLeft, read_events, tracer

TRACER_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Recording:
    """One engine's run: what its database wrote, which orders left, and the journal at its end."""

    events: list[Event]
    journal_hashes: list[str]
    client_id: str

    @property
    def orders_left(self) -> list[str]:
        """Client order ids in the order their bytes left."""
        return [event.client_order_id for event in self.events if isinstance(event, OrderLeft)]


@dataclass(slots=True)
class PowerLoss:
    """What the images of one recording showed."""

    images: int = 0
    cuts: set[int] = field(default_factory=set)
    by_loss: Counter[str] = field(default_factory=Counter)
    with_orders: int = 0
    violations: list[str] = field(default_factory=list)


async def record(
    story: LiveStory, folder: Path, clock: Clock, http: aiohttp.ClientSession
) -> Recording:
    """Play a story with every write, sync and order of the engine recorded.

    Raises:
        RehearsalFailed: the story did not end well, or the recording misses an order.
        FileNotFoundError: `strace` is not installed.
    """
    if shutil.which("strace") is None:
        raise FileNotFoundError("strace is not installed")
    own = folder / "engine"
    own.mkdir(parents=True)
    log = folder / "calls.log"
    broker = BrokerProcess(folder, clock, http)
    (client_id,) = client_ids(1)
    await broker.start([client_id])
    try:
        stage = Stage(Rehearsal(story), own, broker, client_id, clock, http)
        outcome = await stage.play(wrapper=tracer(log))
        orders = (await broker.admin("GET", "state?parts=orders"))["orders"]
    finally:
        broker.stop()
    await _wait_written(log, clock)
    if outcome.violations:
        raise RehearsalFailed("; ".join(outcome.violations))
    database = own / "engine.db"
    tags = [order["correlation_id"] for order in orders if order["correlation_id"]]
    recording = Recording(read_events(log, database), _hashes(database), client_id)
    if not Counter(tags) <= Counter(recording.orders_left):  # what left may have got lost
        raise RehearsalFailed(f"recorded {recording.orders_left}, the broker has {tags}")
    return recording


async def _wait_written(log: Path, clock: Clock) -> None:
    """The tracer outlives the engine by a moment."""
    for _ in range(round(TRACER_SECONDS_MAX / _POLL_SECONDS)):
        if _is_whole(log):
            return
        await clock.sleep(_POLL_SECONDS)
    raise RehearsalFailed("the recording has no end")


def _is_whole(log: Path) -> bool:
    lines = log.read_text(encoding="ascii", errors="replace").splitlines()
    return bool(lines) and "+++" in lines[-1]


def _hashes(database: Path) -> list[str]:
    rows = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return [text for (text,) in rows.execute("SELECT entry_hash FROM journal ORDER BY seq")]
    finally:
        rows.close()


async def try_images(
    recording: Recording,
    folder: Path,
    chance: random.Random,
    *,
    every: int = 1,
    heard: Callable[[PowerLoss], None] = lambda _: None,
) -> PowerLoss:
    """Start on every image of a recording and return what was found."""
    shown = PowerLoss()
    database = folder / "engine.db"
    for number, loss, image, left in images(recording.events, chance, every=every):
        _write(image, database)
        found = await _judge(database, recording, left)
        shown.images += 1
        shown.cuts.add(number)
        shown.by_loss[loss.value] += 1
        shown.with_orders += bool(left)
        shown.violations += [_named(number, loss, text) for text in found]
        heard(shown)
    return shown


def _named(number: int, loss: Loss, text: str) -> str:
    return f"cut after event {number}, {loss.value}: {text}"


def _write(image: Image, database: Path) -> None:
    for suffix in ("", "-wal", "-journal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    for path, content in image.items():
        (database.parent / Path(path).name).write_bytes(content)


async def _judge(database: Path, recording: Recording, left: Sequence[str]) -> list[str]:
    try:
        found = _look(database, recording, left)
        if found:
            return found
        return await _start(database, recording.client_id)
    except (sqlite3.DatabaseError, OSError) as error:
        return [f"it does not open: {type(error).__name__}: {error}"]


def _look(database: Path, recording: Recording, left: Sequence[str]) -> list[str]:
    """Judge the rows by SQL."""
    rows = sqlite3.connect(database)
    try:
        (verdict,) = rows.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            return [f"damaged: {verdict}"]
        tables = {name for (name,) in rows.execute("SELECT name FROM sqlite_master")}
        if "journal" not in tables:
            return [f"{sorted(left)} had left and there is no journal"] if left else []
        journal = rows.execute("SELECT kind, client_order_id, entry_hash FROM journal ORDER BY seq")
        entries = journal.fetchall()
    finally:
        rows.close()
    sends = Counter(name for kind, name, _ in entries if kind == "order_sent")
    lost = [name for name, count in Counter(left).items() if sends[name] < count]
    found = [f"order {name} had left and its send is not in the journal" for name in lost]
    hashes = [each for _, _, each in entries]
    if hashes != recording.journal_hashes[: len(hashes)]:
        found.append("the journal is not the beginning of what was written")
    return found


async def _start(database: Path, client_id: str) -> list[str]:
    """Do what a start does before it asks the broker: schema, journal, positions."""
    opened = open_inline_database(f"sqlite:///{database}")
    try:
        await prepare(opened)
        return await replay_faults(SqlStore(opened.runner, AccountId(client_id)))
    finally:
        await opened.close()
