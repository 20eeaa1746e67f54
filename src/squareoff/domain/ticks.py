"""Ticks: what the market feed tells of one instrument at one moment."""

from dataclasses import dataclass
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
    """The broker's REST quote, asked for while the feed is silent."""


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
