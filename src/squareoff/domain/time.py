"""Time as the core sees it: an argument, in whole nanoseconds, wall and monotonic together."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

NANOSECONDS_PER_SECOND = 1_000_000_000
IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""Indian Standard Time; India has no daylight saving, so a fixed offset is exact."""

IST_OFFSET_SECONDS = 19_800


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
