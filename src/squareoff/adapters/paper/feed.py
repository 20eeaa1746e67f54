"""A market feed that the paper broker listens to as well.

Invariant: the broker has seen a tick before the engine does, so an exit that a tick fires meets the
market of that tick.
"""

from collections.abc import Callable, Iterable

from squareoff.adapters.paper.broker import PaperBroker
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedEvent, MarketFeed


class PaperFeed:
    """Fulfils `ports.MarketFeed` by another feed, and tells the paper broker what passes."""

    def __init__(self, feed: MarketFeed, broker: PaperBroker) -> None:
        self._feed = feed
        self._broker = broker

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments to the feed, and to what the paper broker trades."""
        watched = tuple(instruments)
        for instrument in watched:
            self._broker.list_instrument(instrument)
        self._feed.watch(watched)

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments from the feed; the paper broker still trades them."""
        self._feed.unwatch(instrument_ids)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Publish the other feed's events until its connection ends.

        Raises:
            FeedDisconnected: always, in the end.
        """

        def pass_on(event: FeedEvent) -> None:
            if isinstance(event, Tick):
                self._broker.on_tick(event)
            publish(event)

        await self._feed.run_once(pass_on)
