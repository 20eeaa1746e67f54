"""Count the shares of earlier days into readings of the positions.

Answers for: which keys need the holdings, and what they had before the sales of today. That is
noted while nothing is sold; a process that starts later has the journal, where every exit of today
tells what was seen as it was sized.

Invariants:
1. Only keys of CNC and MTF in a cash segment get anything added, and only where a tracker or a
   caller asks for them: holdings that nobody watches stay unseen.
2. A key of which more may be held than can be shown is `unsure`.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal

import structlog

from squareoff.core.exits.delivery import (
    Delivered,
    day_trades,
    delivered_before_sales,
    shown_quantity,
)
from squareoff.core.state.facts import ExitSized
from squareoff.domain.errors import SquareoffError
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import BrokerPosition, Holding, net_quantity
from squareoff.domain.time import ist_day_number, seconds_to_ns
from squareoff.ports import Clock, Journal
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.position_journal import entries_of

_log = structlog.get_logger("squareoff.delivered_shares")

ENDED_SECONDS = 60.0
"""So long after its end a tracker's key is still shown in full: over-exits are looked for."""

NOTED_SECONDS = 60.0
"""The most that the holdings showed within this time before the first sale counts: longer than the
positions lag behind a sale by which the holdings may have fallen already, and short enough that
figures of the night are forgotten."""

DAY_BEGINS_SECONDS = 6 * 3600
"""Past midnight the positions may still be those of the evening: the day begins at 06:00 IST."""

_NOTES_MAX = 1_000

Rows = tuple[BrokerPosition, ...]


class DeliveredShares:
    """What the demat account adds to the positions of one account."""

    def __init__(self, book: PositionBook, journal: Journal, clock: Clock) -> None:
        self._book = book
        self._journal = journal
        self._clock = clock
        self._notes: dict[PositionKey, deque[tuple[int, int]]] = {}
        self._seen: dict[PositionKey, tuple[int, int]] = {}

    def keys(self) -> frozenset[PositionKey]:
        """Return the keys whose trackers need the holdings."""
        since_ns = self._clock.now().wall_ns - seconds_to_ns(ENDED_SECONDS)
        return frozenset(
            key
            for key in self._book.position_keys()
            if key.is_delivered
            and any(not each.has_ended_before(since_ns) for each in self._book.on_key(key))
        )

    async def counted_in(
        self, rows: Rows, holdings: tuple[Holding, ...] | None, keys: Collection[PositionKey]
    ) -> tuple[Rows, frozenset[PositionKey]]:
        """Return the rows with the delivered shares of `keys`, and the keys that are unsure.

        Args:
            holdings: None where they could not be read.
        """
        unsure = set()
        doubtful = _ids_of_two_exchanges(keys)
        for key in sorted(keys):
            is_readable = holdings is not None and key.instrument_id.security_id not in doubtful
            shown = shown_quantity(holdings or (), key) if is_readable else None
            delivered = await self._delivered(key, rows, shown)
            rows = _with_delivered(rows, key, delivered.quantity)
            if not delivered.is_sure:
                unsure.add(key)
        return rows, frozenset(unsure)

    async def _delivered(self, key: PositionKey, rows: Rows, shown: int | None) -> Delivered:
        day = day_trades(rows, key)
        if day.sold == 0 and shown is not None:
            self._note(key, shown)
        noted = self._noted(key)
        proved = 0
        if noted is None and day.net < 0:
            proved = max(0, await self._seen_today(key) - day.bought)
        return delivered_before_sales(shown, day, noted=noted, proved=proved)

    def _note(self, key: PositionKey, shown: int) -> None:
        now_ns = self._clock.now().wall_ns
        notes = self._notes.setdefault(key, deque(maxlen=_NOTES_MAX))
        notes.append((now_ns, shown))
        while abs(now_ns - notes[0][0]) > seconds_to_ns(NOTED_SECONDS):
            notes.popleft()

    def _noted(self, key: PositionKey) -> int | None:
        today = self._day(self._clock.now().wall_ns)
        found = (shown for at_ns, shown in self._notes.get(key, ()) if self._day(at_ns) == today)
        return max(found, default=None)

    async def _seen_today(self, key: PositionKey) -> int:
        """Return the most that an exit of today was sized on, whatever process sized it."""
        today = self._day(self._clock.now().wall_ns)
        day, seen = self._seen.get(key, (None, 0))
        if day != today:
            try:
                seen = await self._seen_at_sizing(key, today)
            except SquareoffError as error:
                _log.warning("delivered_shares_not_recovered", key=str(key), error=str(error))
                return 0
            self._seen[key] = today, seen
        return seen

    async def _seen_at_sizing(self, key: PositionKey, day: int) -> int:
        seen = 0
        for tracker in self._book.on_key(key):
            async for entry in entries_of(self._journal, tracker.tracker_id):
                if isinstance(entry.fact, ExitSized) and self._day(entry.time_ns) == day:
                    seen = max(seen, entry.fact.broker_net_quantity or 0)
        return seen

    @staticmethod
    def _day(wall_ns: int) -> int:
        return ist_day_number(wall_ns - seconds_to_ns(DAY_BEGINS_SECONDS))


def _ids_of_two_exchanges(keys: Iterable[PositionKey]) -> frozenset[str]:
    """Return the security ids that two instruments share: a row of all exchanges is of one."""
    names = Counter(each.security_id for each in {key.instrument_id for key in keys})
    return frozenset(name for name, count in names.items() if count > 1)


def _with_delivered(rows: Rows, key: PositionKey, quantity: int) -> Rows:
    """Return the rows with `quantity` added to the key's row, or as a row of its own."""
    if quantity == 0:
        return rows
    instrument_id, product = key.instrument_id, key.product_type
    flat = BrokerPosition(instrument_id, product, 0, 0, 0, Decimal(0), Decimal(0))
    own = next((row for row in rows if row.is_on(key)), flat)
    net = net_quantity(rows, key) + quantity
    others = tuple(row for row in rows if not row.is_on(key))
    return (*others, replace(own, net_quantity=net, delivered_quantity=quantity))
