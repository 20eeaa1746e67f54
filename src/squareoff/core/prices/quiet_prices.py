"""Prices that concern nobody, kept where they come in.

Most prices reach no level, are nobody's new best price, and are as credible as the one before them.
The feed is told between which prices that holds for each instrument; it keeps such a price as the
newest one, publishes nothing, and tells it when asked.

Invariants:
1. A price that the watch would refuse, or that it would act on, is never quiet.
2. Whatever is not known to be quiet is published.
"""

from typing import Protocol

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick


class QuietPrices(Protocol):
    """One instrument at the feed. Closed at first, and by the feed at each new connection."""

    @property
    def is_dropped(self) -> bool:
        """Whether the feed no longer watches the instrument; it may do so anew, under another."""
        ...

    def open(self, *, above: int, below: int, earliest_ns: int, latest_ns: int) -> None:
        """Keep from now on what is priced strictly between `above` and `below` (price units) and
        was traded from `earliest_ns` to `latest_ns` (UTC), in the order of trading."""
        ...

    def close(self) -> None:
        """Publish every price from now on."""
        ...

    def newest(self) -> Tick | None:
        """Return the newest tick kept since the last one that was published, None for none."""
        ...

    def forget(self) -> None:
        """Hold the newest tick no longer: it is of a connection that ended."""
        ...


class QuietFeed(Protocol):
    """A feed that keeps quiet prices."""

    @property
    def quiet_count(self) -> int:
        """How many ticks were kept since the start."""
        ...

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Return what is kept of an instrument, None where the feed does not watch it."""
        ...

    def quiet_received_ns(self) -> int | None:
        """Return the monotonic instant at which the newest kept tick came, None for none."""
        ...


class LoudFeed:
    """Fulfils `QuietFeed` for a feed that publishes every price."""

    @property
    def quiet_count(self) -> int:
        """None is kept."""
        return 0

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Return None: nothing is kept."""
        return None

    def quiet_received_ns(self) -> int | None:
        """Return None: nothing is kept."""
        return None


LOUD_FEED = LoudFeed()
