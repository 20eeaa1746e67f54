"""Take positions under watch that somebody else opened at the broker, by `adopt_rules`.

Invariants:
1. What was ours is not taken for a stranger's: the broker's positions lag its fills, so nothing is
   taken where an exit of ours closed units so lately that the reading may lack them.
2. Only a net that spaced readings agree on is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from squareoff.core.opening import NewPosition
from squareoff.core.square_off_times import SquareOffTimes
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import BrokerPosition, PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now, ist_day_number, seconds_to_ns
from squareoff.ports import Clock, IdSource, InstrumentSource
from squareoff.services.broker_reads import (
    FAST_READINGS_MAX,
    LAG_SECONDS,
    READING_SPACING_SECONDS,
)
from squareoff.services.exit_engine import ExitEngine

_log = structlog.get_logger("squareoff.adoption")


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A position that nobody watches: its net, since when it is read so (monotonic ns), and how
    often it was read in all."""

    net_quantity: int
    since_ns: int
    readings: int


class Adoption:
    """Opens trackers for positions of the broker that nobody watches."""

    def __init__(
        self,
        engine: ExitEngine,
        account_id: AccountId,
        *,
        rules: RuleSet,
        square_off: SquareOffTimes,
        instruments: InstrumentSource,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._engine = engine
        self._account_id = account_id
        self._rules = rules
        self._square_off = square_off
        self._instruments = instruments
        self._clock = clock
        self._ids = ids
        self._sightings: dict[PositionKey, _Sighting] = {}

    @property
    def wants_reading(self) -> bool:
        """Say whether a further reading soon may settle something."""
        return any(each.readings < FAST_READINGS_MAX for each in self._sightings.values())

    async def review(self, rows: Iterable[BrokerPosition], began: Now) -> int:
        """Look at one reading of the positions, and take what has become sure under watch.

        Args:
            rows: a reading that no fill of ours has overtaken.
            began: when it was asked for.

        Shares of earlier days are left alone, and so is a sale of them.

        Returns:
            How many were taken.
        """
        sightings: dict[PositionKey, _Sighting] = {}
        taken = 0
        for row in rows:
            key = PositionKey(self._account_id, row.instrument_id, row.product_type)
            if row.open_quantity == 0 or self._is_known(key) or self._may_be_ours(key, began):
                continue
            sighting = self._sighting_of(key, row.open_quantity, began.monotonic_ns)
            read_for_ns = began.monotonic_ns - sighting.since_ns
            if read_for_ns >= seconds_to_ns(READING_SPACING_SECONDS) and await self._adopt(row):
                taken += 1
            else:
                sightings[key] = sighting
        self._sightings = sightings
        return taken

    def _is_known(self, key: PositionKey) -> bool:
        return any(self._speaks_for(tracker) for tracker in self._engine.book.on_key(key))

    def _speaks_for(self, tracker: PositionTracker) -> bool:
        """A position that a person let go today is theirs: it is not taken under watch again."""
        if tracker.status is not PositionStatus.UNTRACKED:
            return not tracker.status.is_final
        ended = ist_day_number(tracker.exited_at_ns or 0)
        return ended == ist_day_number(self._clock.now().wall_ns)

    def _may_be_ours(self, key: PositionKey, began: Now) -> bool:
        """Say whether the reading may show what we have just closed; after a restart only the
        trackers tell."""
        lag_ns = seconds_to_ns(LAG_SECONDS)
        book = self._engine.book
        return book.closed_since(key, began.monotonic_ns - lag_ns) > 0 or any(
            (tracker.exited_at_ns or 0) >= began.wall_ns - lag_ns for tracker in book.on_key(key)
        )

    def _sighting_of(self, key: PositionKey, net: int, began_ns: int) -> _Sighting:
        known = self._sightings.get(key)
        if known is None:
            return _Sighting(net, began_ns, 1)
        since_ns = known.since_ns if known.net_quantity == net else began_ns
        return _Sighting(net, since_ns, known.readings + 1)

    async def _adopt(self, row: BrokerPosition) -> bool:
        """Take one position under watch; one of an unknown instrument stays a stranger's."""
        instrument = self._instruments.get(row.instrument_id)
        if instrument is None:
            return False  # without lot and tick no exit could be priced
        is_long = row.open_quantity > 0
        position = NewPosition(
            tracker_id=TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=instrument,
            product_type=row.product_type,
            side=PositionSide.LONG if is_long else PositionSide.SHORT,
            quantity=abs(row.open_quantity),
            entry_price=row.buy_average if is_long else row.sell_average,
            rules=self._square_off.rules_for_adopted(
                self._rules, row.instrument_id.exchange_segment, row.product_type
            ),
        )
        try:
            await self._engine.open(position)
        except StoreError as error:  # a later comparison finds the position again
            _log.error("position_not_adopted", position=str(row), error=str(error))
            return False
        return True
