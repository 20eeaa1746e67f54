"""Recorded prices played as a live market feed, for paper trading and rehearsals.

Every tick is stamped with the time of its playing, so that prices are fresh.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn

from squareoff.adapters.recordings import PlayedStep, Recording, play_side_by_side
from squareoff.domain.errors import ConfigError, FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.prices import PriceUnits, units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.exchange.book import DepthLevel
from squareoff.ports import Clock, FeedConnected, FeedEvent


class ReplayFeed:
    """Fulfils `ports.MarketFeed` from recordings, each from its own first step at the start.

    Only watched instruments are published, as on the live feed; time passes for the others too. At
    the end of all recordings the feed stays connected and silent, unless one loops. Steps without a
    price are passed over. A connection that ends and comes back goes on where it stopped.

    Args:
        recordings: what to play.
        clock: paces and stamps the ticks.
        speed: market seconds per second, above zero.
        is_looping: start each recording again at its end, whatever it says of itself.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        clock: Clock,
        *,
        speed: float = 1.0,
        is_looping: bool = False,
    ) -> None:
        if not speed > 0:
            raise ConfigError(f"paper.speed must be above zero, was {speed}")
        self._clock = clock
        self._speed = speed
        self._played_ns = 0
        self._watched: set[InstrumentId] = set()
        self._closed = asyncio.Event()
        if is_looping:
            recordings = [replace(recording, is_looping=True) for recording in recordings]
        self._script = play_side_by_side(recordings)
        self._next = next(self._script, None)

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Publish these instruments from now on."""
        self._watched.update(instrument.instrument_id for instrument in instruments)

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Publish these no more."""
        self._watched.difference_update(instrument_ids)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Play from where the last connection stopped, until closed.

        Raises:
            FeedDisconnected: always, in the end: `close` was called.
        """
        publish(FeedConnected())
        started_ns = self._clock.now().monotonic_ns
        resumed_ns = self._played_ns
        while self._next is not None and not self._closed.is_set():
            played = self._next
            due_ns = started_ns + round((played.market_ns - resumed_ns) / self._speed)
            # Waits even when it is late, so that others act between any two ticks.
            behind_ns = self._clock.now().monotonic_ns - due_ns
            await self._clock.sleep(max(0, -behind_ns) / NANOSECONDS_PER_SECOND)
            self._played_ns = played.market_ns
            self._next = next(self._script, None)
            last_price = played.step.last_price
            if last_price is not None and played.instrument_id in self._watched:
                publish(self._tick(played, last_price))
        await self._end()

    def close(self) -> None:
        """End the connection and every later one, at the latest with the step that is next due."""
        self._closed.set()

    async def _end(self) -> NoReturn:
        await self._closed.wait()
        raise FeedDisconnected("the replay was closed")

    def _tick(self, played: PlayedStep, last_price: Decimal) -> Tick:
        now, depth = self._clock.now(), played.step.depth
        return Tick(
            instrument_id=played.instrument_id,
            last_traded_price=units_from_decimal(last_price),
            exchange_time_ns=now.wall_ns,
            received_time_ns=now.wall_ns,
            received_monotonic_ns=now.monotonic_ns,
            best_bid=None if depth is None else _best(depth.bids),
            best_ask=None if depth is None else _best(depth.asks),
            volume=played.step.volume,
        )


def _best(levels: tuple[DepthLevel, ...]) -> PriceUnits | None:
    return units_from_decimal(levels[0].price) if levels else None
