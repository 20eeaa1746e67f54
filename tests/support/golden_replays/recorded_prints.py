"""The recorded files as lists of prices, read plainly from their text (see docs/simulator.md)."""

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from golden_replays.plain_rules import Print

INDIA = timezone(timedelta(hours=5, minutes=30))


@lru_cache(maxsize=4)
def prints_of(path: Path, tick: Fraction, day: str | None) -> list[Print]:
    """Return every price of a file (or of one day of it), oldest first, on the grid."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    found = [Print(when, round(Fraction(price) / tick) * tick) for when, price in _prices(rows)]
    if day is not None:
        found = [each for each in found if each.received.date().isoformat() == day]
    return sorted(found, key=lambda each: each.received)


def _prices(rows: list[list[str]]) -> Iterator[tuple[datetime, str]]:
    head, columns = rows[0], {name: place for place, name in enumerate(rows[0])}
    if len(head) == 2:
        for time, price in rows:
            yield _instant(time), price
    elif "ltp" in columns:
        for row in rows[1:]:
            if row[columns["type"]] == "full":
                yield _instant(row[0]), row[columns["ltp"]]
    elif "last_price" in columns:
        for row in rows[1:]:
            yield _instant(row[0]), row[columns["last_price"]]
    else:
        for time, first, high, low, last, _ in rows[1:]:
            between = (low, high) if Fraction(last) >= Fraction(first) else (high, low)
            for number, price in enumerate((first, *between, last)):
                yield _instant(time) + timedelta(seconds=15 * number), price


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text + ":00" if text[-3] == "+" else text)
    return instant.astimezone(INDIA) if instant.tzinfo else instant.replace(tzinfo=INDIA)
