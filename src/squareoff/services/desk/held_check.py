"""Whether the broker holds what is to be taken under watch.

A tracker that claims more than is held would close what is another's, and one on the other side of
a position would fight the first; both are told at once, when a person can still mend it.
Invariants:
1. Positions that cannot be read refuse nobody: the tracker is taken, and a person is told.
2. A position that is only just bought is waited for: the broker's positions lag its fills.
"""

from decimal import Decimal

from squareoff.core.entries.opening import NewPosition
from squareoff.core.state.facts import Severity
from squareoff.core.state.policy import POSITIONS_LAG_SECONDS_MAX
from squareoff.domain.errors import DomainError
from squareoff.domain.orders import BrokerPosition, PositionSide, net_quantity
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.desk.desk_requests import NotHeld
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.position_book import PositionBook

HELD_WAIT_SECONDS = POSITIONS_LAG_SECONDS_MAX + 1.0
"""So long a purchase may not show yet: the lag of the positions and a slow answer. The person who
waits for it and is refused too early only asks again."""

READ_AGAIN_SECONDS = 0.5
GOOD_FOR_SECONDS = 1.0
"""So long a reading serves for the next position of a list that is registered at one go."""

PRICE_APART_MAX = Decimal("0.5")
"""Of the broker's average; several buys apart from each other are nearer, a lost digit is not."""


class HeldCheck:
    """Compares a new tracker with the broker's positions and with its own kind."""

    def __init__(
        self, book: PositionBook, reads: BrokerReads, alarms: AlarmDesk, clock: Clock
    ) -> None:
        self._book = book
        self._reads = reads
        self._alarms = alarms
        self._clock = clock
        self._rows: tuple[BrokerPosition, ...] = ()
        self._read_ns: int | None = None

    def check_side(self, position: NewPosition) -> None:
        """Refuse a tracker on the other side of a position that is under watch.

        Raises:
            DomainError("opposite_side"): the key has trackers on the other side.
        """
        key = position.key
        for tracker in self._book.on_key(key):
            if tracker.side is not position.side and not tracker.status.is_final:
                raise DomainError(
                    "opposite_side",
                    f"{tracker.instrument.trading_symbol} is under watch as {tracker.side.value} "
                    f"({tracker.tracker_id}): the broker nets both sides, so exit or untrack that "
                    "first",
                    "side",
                )

    async def check_held(self, position: NewPosition) -> None:
        """Refuse a tracker of more than the broker holds beyond the other trackers.

        One whose entry price is far from the broker's average is taken, and a person is told.

        Raises:
            NotHeld: fresh readings show less.
        """
        if self._is_recent() and self._free_of(position, self._rows) >= position.quantity:
            await self._doubt_price(position)
            return
        deadline_ns = self._clock.now().monotonic_ns + seconds_to_ns(HELD_WAIT_SECONDS)
        while True:
            reading = await self._reads.positions(position.key)
            if reading is None:
                await self._complain(position)
                return
            self._rows, self._read_ns = reading.rows, self._clock.now().monotonic_ns
            free = self._free_of(position, reading.rows)
            if free >= position.quantity:
                await self._doubt_price(position)
                return
            if position.key in reading.unsure:
                await self._complain(position)
                return
            if self._read_ns >= deadline_ns:
                raise self.refusal(position, net_quantity(reading.rows, position.key))
            await self._clock.sleep(READ_AGAIN_SECONDS)

    def _is_recent(self) -> bool:
        if self._read_ns is None:
            return False
        return self._clock.now().monotonic_ns - self._read_ns < seconds_to_ns(GOOD_FOR_SECONDS)

    def _free_of(self, position: NewPosition, rows: tuple[BrokerPosition, ...]) -> int:
        """Return what the broker holds on the side of the position beyond what is under watch."""
        return position.side.sign * net_quantity(rows, position.key) - self._under_watch(position)

    def may_be_watched(self, position: NewPosition) -> int:
        """Return what trackers on the key hold, or will once their entries fill."""
        entering = sum(
            order.leaves_quantity
            for tracker in self._book.on_key(position.key)
            for order in tracker.entry_orders
        )
        return self._under_watch(position) + entering

    def _under_watch(self, position: NewPosition) -> int:
        return sum(
            tracker.open_quantity
            for tracker in self._book.on_key(position.key)
            if not tracker.status.is_final
        )

    def refusal(self, position: NewPosition, net: int) -> NotHeld:
        """Return why a position is not taken where the broker's net is this."""
        watched = self._under_watch(position)
        free = position.side.sign * net - watched
        wanted = f"{position.side.value} {position.quantity}"
        beyond = f", of which {watched} are under watch already" if watched else ""
        text = (
            f"{wanted} of {position.instrument.trading_symbol} {position.product_type.value} are "
            f"not held: the broker shows {_shown(net)}{beyond}"
        )
        details = {
            "quantity": position.quantity,
            "broker_net_quantity": net,
            "under_watch": watched,
            "free_quantity": max(0, free),
        }
        return NotHeld(text, details)

    async def _doubt_price(self, position: NewPosition) -> None:
        """Percentages and profits count from the entry price; a slip of a digit moves them all."""
        is_long = position.side is PositionSide.LONG
        for row in self._rows:
            average = row.buy_average if is_long else row.sell_average
            apart = abs(position.entry_price - average)
            if row.is_on(position.key) and average > 0 and apart > average * PRICE_APART_MAX:
                await self._alarms.raise_alarm(
                    Severity.WARNING,
                    "entry_price_doubtful",
                    f"{position.instrument.trading_symbol} is taken under watch at "
                    f"{position.entry_price}, and the broker's average is {average}. Levels and "
                    "P&L count from the former.",
                    position.tracker_id,
                )

    async def _complain(self, position: NewPosition) -> None:
        await self._alarms.raise_alarm(
            Severity.WARNING,
            "position_not_checked",
            f"{position.instrument.trading_symbol} is taken under watch unchecked: the broker's "
            "positions cannot be read. An exit closes no more than the broker shows.",
            position.tracker_id,
        )


def _shown(net: int) -> str:
    if net == 0:
        return "none"
    side = PositionSide.LONG if net > 0 else PositionSide.SHORT
    return f"{side.value} {abs(net)}"
