"""Take positions under watch that somebody else opened at the broker, by `adopt_rules`.

Invariants:
1. What was ours is not taken for a stranger's: the broker's positions lag its fills, so nothing is
   taken where an exit of ours closed units so lately that the reading may lack them.
2. Only a net that spaced readings agree on is taken.
3. What cannot be taken is told: a position that nobody watches must not look like one that is.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal

import structlog

from squareoff.core.entries.opening import NewPosition
from squareoff.core.rules.square_off_times import SquareOffTimes
from squareoff.core.state.facts import Severity
from squareoff.core.state.policy import READING_LAG_SECONDS, READING_SPACING_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import Instrument, PositionKey
from squareoff.domain.orders import BrokerPosition, PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now, ist_day_number, seconds_to_ns
from squareoff.ports import Clock, IdSource, InstrumentSource
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.positions.broker_reads import FAST_READINGS_MAX

_log = structlog.get_logger("squareoff.adoption")
_UNWATCHED = "held at the broker and not under watch"
_UNKNOWN = f"{_UNWATCHED}, for the instrument master lacks the instrument"
_UNPRICED = f"{_UNWATCHED}, for the broker tells no average price of it"
_WITH_LEGS = f"{_UNWATCHED}, for cover and bracket orders have legs of their own"
_CURES = {
    _UNKNOWN: "take it under watch with its lot and tick size (squareoff track), or close it by "
    "hand",
    _UNPRICED: "take it under watch with its entry price (squareoff track), or close it by hand",
    _WITH_LEGS: "close it in the broker's app",
}


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
        alarms: AlarmDesk,
    ) -> None:
        self._engine = engine
        self._account_id = account_id
        self._rules = rules
        self._square_off = square_off
        self._instruments = instruments
        self._clock = clock
        self._ids = ids
        self._alarms = alarms
        self._sightings: dict[PositionKey, _Sighting] = {}
        self._complained: frozenset[PositionKey] = frozenset()
        self._may_others_stand = True  # alarms of the last process
        self.unwatched: tuple[str, ...] = ()
        """What the newest reading shows and cannot be taken, in words."""

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
        unwatched: dict[PositionKey, str] = {}
        sure: set[PositionKey] = set()
        taken = 0
        for row in rows:
            key = PositionKey(self._account_id, row.instrument_id, row.product_type)
            if row.open_quantity == 0 or self._is_known(key) or self._may_be_ours(key, began):
                continue
            sighting = self._sighting_of(key, row.open_quantity, began.monotonic_ns)
            read_for_ns = began.monotonic_ns - sighting.since_ns
            is_sure = read_for_ns >= seconds_to_ns(READING_SPACING_SECONDS)
            instrument = self._instruments.get(row.instrument_id)
            if row.product_type.has_legs:
                unwatched[key] = _WITH_LEGS
            elif instrument is None:  # without lot and tick no exit could be priced
                unwatched[key] = _UNKNOWN
            elif _entry_price(row) <= 0:  # all levels and the P&L count from it
                unwatched[key] = _UNPRICED
            elif is_sure and await self._adopt(row, instrument):
                taken += 1
                continue
            if key in unwatched and (is_sure or key in self._complained):
                sure.add(key)
            sightings[key] = sighting
        self._sightings = sightings
        await self._tell_unwatched(unwatched, sure)
        return taken

    async def _tell_unwatched(
        self, unwatched: Mapping[PositionKey, str], sure: Set[PositionKey]
    ) -> None:
        """Tell of positions that cannot be taken, and why; those that are sure alarm."""
        self.unwatched = tuple(f"{key}: {why}" for key, why in unwatched.items())
        for key in sorted(self._complained - sure, key=str):
            text = "the position is gone, or under watch"
            await self._alarms.clear("position_not_adopted", text, about=f"{key}: ")
        if self._may_others_stand and not unwatched:
            self._may_others_stand = False
            text = "every position at the broker is under watch, or soon will be"
            await self._alarms.clear("position_not_adopted", text)
        for key in sorted(sure - self._complained, key=str):
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                "position_not_adopted",
                f"{key}: {unwatched[key]}. No rule holds for it: {_CURES[unwatched[key]]}.",
            )
        self._complained = frozenset(sure)

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
        lag_ns = seconds_to_ns(READING_LAG_SECONDS)
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

    async def _adopt(self, row: BrokerPosition, instrument: Instrument) -> bool:
        is_long = row.open_quantity > 0
        position = NewPosition(
            tracker_id=TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=instrument,
            product_type=row.product_type,
            side=PositionSide.LONG if is_long else PositionSide.SHORT,
            quantity=abs(row.open_quantity),
            entry_price=_entry_price(row),
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


def _entry_price(row: BrokerPosition) -> Decimal:
    """Return the average of the side that is held; zero where the broker tells none."""
    return row.buy_average if row.open_quantity > 0 else row.sell_average
