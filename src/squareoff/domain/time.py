"""Time as the core sees it: an argument, in whole nanoseconds, wall and monotonic together."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

NANOSECONDS_PER_SECOND = 1_000_000_000
IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""Indian Standard Time; India has no daylight saving, so a fixed offset is exact."""

IST_OFFSET_SECONDS = 19_800
IST_OFFSET_NS = IST_OFFSET_SECONDS * NANOSECONDS_PER_SECOND
DAY_NS = 86_400 * NANOSECONDS_PER_SECOND
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Now:
    """One instant: `wall_ns` UTC nanoseconds since 1970, `monotonic_ns` for durations.

    Deadlines and quarantines compare monotonic values only, so a clock step moves none of them.
    Monotonic values mean nothing across a restart of the process.
    """

    wall_ns: int
    monotonic_ns: int

    def ist(self) -> datetime:
        """Return the wall clock as an IST datetime."""
        return datetime.fromtimestamp(self.wall_ns / NANOSECONDS_PER_SECOND, IST)


def seconds_to_ns(seconds: float) -> int:
    """Return seconds as whole nanoseconds."""
    return round(seconds * NANOSECONDS_PER_SECOND)


def ist_day_number(wall_ns: int) -> int:
    """Return the day of India in which an instant (UTC ns) lies, counted from 1970."""
    return (wall_ns + IST_OFFSET_NS) // DAY_NS


def ist_midnight_ns(wall_ns: int) -> int:
    """Return when the day of India in which an instant (UTC ns) lies began, UTC ns."""
    return ist_day_begins_ns(ist_day_number(wall_ns))


def ist_day_begins_ns(day_number: int) -> int:
    """Return when a day of India, counted from 1970, begins (UTC ns)."""
    return day_number * DAY_NS - IST_OFFSET_NS


def ist_date(wall_ns: int) -> date:
    """Return the date in India of an instant (UTC ns)."""
    return date.fromordinal(_EPOCH_ORDINAL + ist_day_number(wall_ns))


def iso_from_ns(wall_ns: int) -> str:
    """Return UTC nanoseconds as ISO 8601 text in IST with offset and microseconds."""
    seconds, nanoseconds = divmod(wall_ns, NANOSECONDS_PER_SECOND)
    instant = datetime.fromtimestamp(seconds, IST).replace(microsecond=nanoseconds // 1_000)
    return instant.isoformat(timespec="microseconds")


def ns_from_iso(text: str) -> int:
    """Return ISO 8601 text with offset as UTC nanoseconds (microsecond grain).

    Raises:
        ValueError: the text is no ISO time or carries no offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"a time must carry its offset, was {text!r}")
    return ns_from_datetime(instant)


def ns_from_datetime(instant: datetime) -> int:
    """Return an instant that carries its offset as UTC nanoseconds (microsecond grain)."""
    assert instant.tzinfo is not None, "without an offset the machine's zone would be taken"
    whole = int(instant.replace(microsecond=0).timestamp())
    return whole * NANOSECONDS_PER_SECOND + instant.microsecond * 1_000
