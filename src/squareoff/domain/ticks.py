"""Ticks: what the market feed tells of one instrument at one moment."""

from dataclasses import dataclass, replace
from enum import Enum

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.time import DAY_NS

AHEAD_NS_MAX = DAY_NS
"""A trade further ahead of our clock than a day is rubbish rather than a clock that differs."""


class TickSource(str, Enum):
    """Who told a price."""

    FEED = "feed"
    QUOTE = "quote"
    """The broker's REST quote, asked for while the feed is silent or late."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The newest print of one instrument.

    Prices are price units (1/10,000 rupee) on the instrument's grid. `exchange_time_ns` is UTC
    (the feed's IST clock already shifted), `received_time_ns` is UTC when the packet reached us
    and `received_monotonic_ns` the same instant for measuring age. Best bid and ask are None where
    the packet carries no depth or the level is empty, `volume` where it tells nothing of the day,
    its high and low neither.
    """

    instrument_id: InstrumentId
    last_traded_price: PriceUnits
    exchange_time_ns: int
    received_time_ns: int
    received_monotonic_ns: int
    best_bid: PriceUnits | None = None
    best_ask: PriceUnits | None = None
    volume: int | None = None
    source: TickSource = TickSource.FEED


def is_later(tick: Tick, than: Tick | None) -> bool:
    """Say whether a tick was traded after another; after none it was."""
    return than is None or tick.exchange_time_ns > than.exchange_time_ns


def at_price(tick: Tick, price: int) -> Tick:
    """Return a tick as if it had been traded at another price."""
    is_own = tick.last_traded_price == price
    return tick if is_own else replace(tick, last_traded_price=PriceUnits(price))


def is_same_trade(one: Tick, other: Tick | None) -> bool:
    """Say whether two ticks may be one trade: it is told again when the book moves, and by quotes.

    Trade times are whole seconds, so the day's volume parts two trades where both tell it.
    """
    if other is None or one.exchange_time_ns != other.exchange_time_ns:
        return False
    if one.last_traded_price != other.last_traded_price:
        return False
    return one.volume is None or other.volume is None or one.volume == other.volume
