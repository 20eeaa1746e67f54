"""A market feed that the paper broker listens to as well.

Invariants:
1. The broker has seen a tick before the engine does, so an exit that a tick fires meets the market
   of that tick.
2. Once a connection has ended nothing fills at what it told: the market goes on without us.
"""

from collections.abc import Callable, Iterable

from squareoff.adapters.paper.broker import PaperBroker
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedEvent, FeedLine, MarketFeed, PriceDetail, WideFeed


class PaperFeed:
    """Fulfils `ports.MarketFeed` by another feed, and tells the paper broker what passes."""

    def __init__(self, feed: MarketFeed, broker: PaperBroker) -> None:
        self._feed = feed
        self._broker = broker
        self._watched: set[InstrumentId] = set()

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments to the feed, and to what the paper broker trades."""
        watched = tuple(instruments)
        for instrument in watched:
            self._broker.list_instrument(instrument)
            self._watched.add(instrument.instrument_id)
        self._feed.watch(watched)

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments from the feed; the paper broker still trades them."""
        dropped = tuple(instrument_ids)
        self._watched.difference_update(dropped)
        self._feed.unwatch(dropped)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Publish the other feed's events until its connection ends.

        Raises:
            FeedDisconnected: always, in the end.
        """
        try:
            await self._feed.run_once(_heard_by(self._broker, publish))
        finally:
            self._broker.forget_prices(self._watched)


class PaperWideFeed:
    """Fulfils `ports.WideFeed` by another one, and tells the paper broker what passes."""

    def __init__(self, feed: WideFeed, broker: PaperBroker) -> None:
        self._feed = feed
        self.lines = tuple(_PaperLine(line, broker) for line in feed.lines)

    def prefer(self, instrument_id: InstrumentId, detail: PriceDetail) -> None:
        """Ask for this much detail, as the feed beneath is asked."""
        self._feed.prefer(instrument_id, detail)


class _PaperLine:
    """One connection, heard by the paper broker."""

    def __init__(self, line: FeedLine, broker: PaperBroker) -> None:
        self._line = line
        self._broker = broker

    @property
    def is_needed(self) -> bool:
        """Whether the connection carries any instrument."""
        return self._line.is_needed

    @property
    def instrument_ids(self) -> tuple[InstrumentId, ...]:
        """What the connection carries now."""
        return self._line.instrument_ids

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Publish the connection's events until it ends.

        Raises:
            FeedDisconnected: always, in the end.
        """
        try:
            await self._line.run_once(_heard_by(self._broker, publish))
        finally:
            self._broker.forget_prices(self._line.instrument_ids)


def _heard_by(
    broker: PaperBroker, publish: Callable[[FeedEvent], None]
) -> Callable[[FeedEvent], None]:
    def pass_on(event: FeedEvent) -> None:
        if isinstance(event, Tick):
            broker.on_tick(event)
        publish(event)

    return pass_on
