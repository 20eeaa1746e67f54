"""Whether a position, an entry or new rules make sense, by a price that was traded today.

A stop may lock a profit, so the entry price says nothing of its side, and a market that is quiet
for a minute has a price all the same. What nobody watches any more is another thing: its last tick
is that of the exit, and the market has gone on without us. Where no price of today is known no side
is checked: a stop on the wrong side fires at once, which whoever set it sees; one that is refused
is no stop at all.
"""

from collections.abc import Sequence
from decimal import Decimal

from squareoff.core.entries.opening import NewPosition, opening_faults, price_at_entry
from squareoff.core.rules.rule_checks import RuledPosition, needs_price, rule_faults
from squareoff.core.rules.time_rules import early_text, late_text
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import FieldFault
from squareoff.domain.instruments import InstrumentId, PositionKey
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.domain.time import ist_date, ist_day_number
from squareoff.ports import Clock, SessionCalendar
from squareoff.services.desk.desk_requests import InvalidRequest
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.quote_turns import QuoteTurns
from squareoff.services.prices.tick_cache import TickCache


class RuleAdmission:
    """Refuses what makes no sense; every method raises InvalidRequest with each fault by field."""

    def __init__(
        self,
        ticks: TickCache,
        book: PositionBook,
        quotes: QuoteTurns,
        clock: Clock,
        calendar: SessionCalendar,
    ) -> None:
        self._ticks = ticks
        self._book = book
        self._quotes = quotes
        self._clock = clock
        self._calendar = calendar

    async def check_position(self, position: NewPosition) -> None:
        """Refuse a position that cannot be taken under watch like this."""
        price = await self._price_for(
            position.rules, position.instrument.instrument_id, position.entry_price
        )
        _refuse(
            [
                *opening_faults(position, price),
                *self._untimely_square_off(position.rules, position.key),
            ]
        )

    def check_entry(self, position: NewPosition) -> None:
        """Refuse an entry that cannot be placed like this; asks nobody, for an entry is urgent."""
        price = self._price_at_hand(position.instrument.instrument_id)
        _refuse(
            [
                *opening_faults(position, price),
                *self._untimely_square_off(position.rules, position.key),
            ]
        )

    async def check_rules(self, tracker: PositionTracker, rules: RuleSet) -> None:
        """Refuse rules that make no sense for a position under watch."""
        price = await self._price_for(rules, tracker.instrument.instrument_id, tracker.entry_price)
        if tracker.status is PositionStatus.PENDING and tracker.entry_price > 0:
            price = price_at_entry(tracker.side, tracker.entry_price, price)
        best = None if tracker.peak_price is None else decimal_from_units(tracker.peak_price)
        position = RuledPosition(
            tracker.instrument, tracker.side, tracker.entry_price, tracker.quantity, best
        )
        stands = rules.square_off_at == tracker.rules.square_off_at
        untimely = () if stands else self._untimely_square_off(rules, tracker.key)
        _refuse([*rule_faults(rules, position, price), *untimely])

    def _untimely_square_off(self, rules: RuleSet, key: PositionKey) -> Sequence[FieldFault]:
        wanted, now = rules.square_off_at, self._clock.now()
        if wanted is None:
            return ()
        segment = key.instrument_id.exchange_segment
        day = self._calendar.trading_day(segment, ist_date(now.wall_ns))
        text = early_text(wanted, day.usual.opens)
        if text is None:
            text = late_text(wanted, key.product_type, day, now.ist().time())
        return () if text is None else (FieldFault("rules.square_off_at", text),)

    async def _price_for(
        self, rules: RuleSet, instrument_id: InstrumentId, entry_price: Decimal
    ) -> Decimal | None:
        """Return the price at hand, or the broker's where these rules cannot be judged without.

        Asks only while no exit waits for a quote, so it costs none its turn.
        """
        price = self._price_at_hand(instrument_id)
        if price is not None or not needs_price(rules, entry_price):
            return price
        quote = (await self._quotes.spare_call((instrument_id,)) or {}).get(instrument_id)
        if quote is None or quote.last_trade_time_ns is None or quote.last_traded_price <= 0:
            return None
        return quote.last_traded_price if self._is_of_today(quote.last_trade_time_ns) else None

    def _price_at_hand(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the newest price of today: whatever its age where a position has kept the feed
        watching since, else a fresh one."""
        tick = self._ticks.fresh(instrument_id, self._clock.now().monotonic_ns)
        if tick is None:
            tick = self._ticks.newest(instrument_id)
            if tick is None or not self._is_watched_since(tick):
                return None
        if not self._is_of_today(tick.exchange_time_ns):
            return None
        return decimal_from_units(tick.last_traded_price)

    def _is_watched_since(self, tick: Tick) -> bool:
        held = (each.tracker for each in self._book.on_instrument(tick.instrument_id))
        return any(
            not tracker.status.is_final and tracker.created_at_ns <= tick.received_time_ns
            for tracker in held
        )

    def _is_of_today(self, wall_ns: int) -> bool:
        return ist_day_number(wall_ns) == ist_day_number(self._clock.now().wall_ns)


def _refuse(faults: Sequence[FieldFault]) -> None:
    if faults:
        raise InvalidRequest(faults)
