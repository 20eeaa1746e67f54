"""Judge a soak by records: the feed's own, the broker's ledger, and the engine's file by raw SQL.

1. Nothing lost: every print that crossed a stop fired the position that was there.
2. Nothing more: no position was closed that no print crossed.
3. The ledger is the book: per instrument the broker holds what the engine believes to hold.
4. The journal's chain holds and its fold gives the stored rows.
5. No secret, each a canary, is in an answer, a log, the database or the process list.
6. Claims are durable in time, and memory, descriptors and tasks stay as they are.
"""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from squareoff.simulator.soak.driving import Fired, SoakRecord
from squareoff.simulator.soak.watching import (
    CLAIM,
    COMMIT,
    Sample,
    quantile_bound,
    slope_per_hour,
    times_of,
    value_of,
)

CLAIM_SECONDS_MAX = 0.010
SLOPE_BYTES_MAX = 1 << 20
WARM_UP_SHARE = 0.5
"""Of the run, before memory is looked at: caches fill, every code path runs once, and the prices
kept for charts, which are bounded, fill for twelve minutes and again in the twelve after."""

GROWTH_MAX = 10.0
"""Of tasks or descriptors in an hour, by the line through all samples: exits come and go."""

_FINAL = ("EXITED", "CANCELLED", "UNTRACKED")
_PRICE_UNITS = 10_000

Note = dict[str, Any]
Trade = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: `broken` promises, and figures that missed their bound."""

    broken: list[str]
    missed: list[str]
    figures: dict[str, Any]


def judge(record: SoakRecord, notes: list[Note], trades: list[Trade], database: Path) -> Verdict:
    """Judge one soak; the engine has ended."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as rows:
        rows.row_factory = sqlite3.Row
        trackers = [dict(row) for row in rows.execute("SELECT * FROM trackers")]
        intents = [dict(row) for row in rows.execute("SELECT * FROM exit_intents")]
    rows.close()
    crossings = crossings_by_tracker(record.fired, notes)
    broken = lost_and_false(crossings, intents)
    broken += ledger_faults(trades, trackers)
    broken += [f"{name} was not closed in the end" for name in record.unsettled]
    figures = _figures(record, notes, crossings, intents)
    return Verdict(broken, _missed(figures), figures)


def crossings_by_tracker(fired: list[Fired], notes: list[Note]) -> dict[str, Note]:
    """Return the print that crossed each position's stop, for those that were sent."""
    waiting: dict[int, list[Fired]] = defaultdict(list)
    for each in fired:
        waiting[each.security_id].append(each)
    crossings = [note for note in notes if "crossed" in note]
    return {waiting[each["crossed"]].pop(0).tracker_id: each for each in crossings}


def lost_and_false(crossings: dict[str, Note], intents: list[Note]) -> list[str]:
    """Return which crossings fired nothing, and which exits nothing crossed for."""
    claims = {intent["tracker_id"]: intent for intent in intents}
    found = []
    for tracker_id, crossing in crossings.items():
        claim = claims.get(tracker_id)
        price = round(crossing["price"] * _PRICE_UNITS)
        if claim is None:
            found.append(f"lost: {tracker_id} did not fire at {crossing['price']}")
        elif claim["trigger_price"] != price:
            found.append(f"{tracker_id} fired at {claim['trigger_price']}, not at {price}")
    false = sorted(set(claims) - set(crossings))
    return found + [f"false: {tracker_id} was closed, nothing crossed" for tracker_id in false]


def ledger_faults(trades: list[Trade], trackers: list[Note]) -> list[str]:
    """Return where the broker holds something else than the engine believes."""
    found = []
    net: dict[str, int] = defaultdict(int)
    for trade in trades:
        name = _name(trade)
        net[name] += trade["quantity"] if trade["side"] == "BUY" else -trade["quantity"]
        if net[name] < 0:
            found.append(f"double exit: {name} went to {net[name]}")
    believed: dict[str, int] = defaultdict(int)
    for tracker in trackers:
        if tracker["status"] not in _FINAL:
            believed[_name(tracker)] += tracker["quantity"]
    return found + [
        f"{name}: the broker holds {net[name]}, the engine {believed[name]}"
        for name in sorted(net.keys() | believed.keys())
        if net[name] != believed[name]
    ]


def _name(row: Note) -> str:
    return f"{row['exchange_segment']}:{row['security_id']}"


def _figures(
    record: SoakRecord, notes: list[Note], crossings: dict[str, Note], intents: list[Note]
) -> dict[str, Any]:
    times = times_of(record.metrics, CLAIM)
    commits = times_of(record.metrics, COMMIT)
    seconds = [note for note in notes if "second" in note]
    warm = [s for s in record.samples if s.seconds >= WARM_UP_SHARE * record.plan.seconds]
    slope = slope_per_hour([(s.seconds, float(s.resident_bytes)) for s in warm])
    return {
        "seconds": record.plan.seconds,
        "positions": record.plan.positions,
        "faults": len(record.faults),
        "exits": len(intents),
        "prints_that_crossed": len(crossings),
        "packets_sent": seconds[-1]["packets"] if seconds else 0,
        "packets_per_second": _pace(seconds, is_burst=False),
        "packets_per_second_in_bursts": _pace(seconds, is_burst=True),
        "packets_held_back": seconds[-1]["held_back"] if seconds else 0,
        "ticks_taken_in": round(value_of(record.metrics, "squareoff_ticks_total")),
        "feed_connections": seconds[-1]["connections"] if seconds else 0,
        "claims_timed": max(times.values(), default=0),
        "claims_within_10_ms": times.get(CLAIM_SECONDS_MAX, 0),
        "claim_p50_at_most_seconds": quantile_bound(times, 0.50),
        "claim_p99_at_most_seconds": quantile_bound(times, 0.99),
        "commit_p50_at_most_seconds": quantile_bound(commits, 0.50),
        "commit_p99_at_most_seconds": quantile_bound(commits, 0.99),
        "receipt_p50_seconds": _receipt_seconds(crossings, intents, 0.50),
        "receipt_p99_seconds": _receipt_seconds(crossings, intents, 0.99),
        "resident_bytes_slope_per_hour": None if slope is None else round(slope),
        "resident_bytes_last": record.samples[-1].resident_bytes if record.samples else None,
        "descriptors": _range([s.descriptors for s in warm]),
        "threads": _range([s.threads for s in warm]),
        "tasks": _range([s.tasks for s in warm]),
        "tasks_slope_per_hour": slope_per_hour([(s.seconds, float(s.tasks)) for s in warm]),
        "descriptors_slope_per_hour": slope_per_hour(
            [(s.seconds, float(s.descriptors)) for s in warm]
        ),
        "processor_share": _processor_share(warm),
        "complaints": len(record.complaints),
    }


def _pace(seconds: list[Note], *, is_burst: bool) -> int | None:
    """Return the median of the packets that were really sent in a second."""
    sent = [
        (later["packets"] - earlier["packets"]) / (later["second"] - earlier["second"])
        for earlier, later in pairwise(seconds)
        if earlier["burst"] is later["burst"] is is_burst
    ]
    return round(median(sent)) if sent else None


def _receipt_seconds(crossings: dict[str, Note], intents: list[Note], share: float) -> float | None:
    """Return how long a print was on its way, until the engine took it from the socket."""
    ways = sorted(
        (intent["trigger_received_time_ns"] - crossings[intent["tracker_id"]]["sent_ns"]) / 1e9
        for intent in intents
        if intent["tracker_id"] in crossings and intent["trigger_received_time_ns"]
    )
    return round(ways[min(len(ways) - 1, int(share * len(ways)))], 6) if ways else None


def _range(values: list[int]) -> str:
    return f"{min(values)} to {max(values)}" if values else ""


def _processor_share(samples: list[Sample]) -> float | None:
    """Return how much of one processor the engine used."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    spent = last.processor_seconds - first.processor_seconds
    return round(spent / (last.seconds - first.seconds), 3)


def _missed(figures: dict[str, Any]) -> list[str]:
    """Return which figures missed their bound."""
    found = []
    p99 = figures["claim_p99_at_most_seconds"]
    if p99 is None or p99 > CLAIM_SECONDS_MAX:
        found.append(f"tick to durable claim: p99 is at most {p99} s, wanted 0.01 s")
    slope = figures["resident_bytes_slope_per_hour"]
    if slope is None or slope > SLOPE_BYTES_MAX:
        found.append(f"memory grows by {slope} bytes an hour, wanted at most {SLOPE_BYTES_MAX}")
    for name in ("tasks", "descriptors"):
        growth = figures[f"{name}_slope_per_hour"]
        if growth is None or growth > GROWTH_MAX:
            found.append(f"{name} grow by {growth} an hour")
    return found
