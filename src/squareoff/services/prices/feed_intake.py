"""What comes in by the market feed: subscribed while a position is open, and handed on in order.

Invariant: an instrument is subscribed exactly while a tracker on it is not at its end.
"""

from collections.abc import Iterable

import structlog

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.ports import (
    DayRange,
    FeedConnected,
    FeedEvent,
    FeedGarbled,
    FeedLost,
    MarketFeed,
)
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.risk_manager import RiskManager

_log = structlog.get_logger("squareoff.feed_intake")


class FeedIntake:
    """Follows the open positions with subscriptions, and gives events to those who judge them."""

    def __init__(
        self,
        feed: MarketFeed,
        book: PositionBook,
        risk: RiskManager,
        metrics: Metrics,
    ) -> None:
        self._feed = feed
        self._book = book
        self._risk = risk
        self._metrics = metrics

    def follow_all(self, trackers: Iterable[PositionTracker]) -> None:
        """Subscribe what trackers in the book need. Once per instrument: each question asks all
        positions on it, however long ago they ended."""
        spokesmen: dict[InstrumentId, PositionTracker] = {}
        for tracker in trackers:
            instrument_id = tracker.instrument.instrument_id
            if not tracker.status.is_final or instrument_id not in spokesmen:
                spokesmen[instrument_id] = tracker
        for tracker in spokesmen.values():
            self.follow(tracker)

    def follow(self, tracker: PositionTracker) -> None:
        """Subscribe what an open position needs, and drop what no open one needs any more."""
        if not tracker.status.is_final:
            self._feed.watch([tracker.instrument])
            return
        instrument_id = tracker.instrument.instrument_id
        others = self._book.on_instrument(instrument_id)
        if all(actor.tracker.status.is_final for actor in others):
            self._risk.let_go(instrument_id)
            self._feed.unwatch([instrument_id])

    def take(self, event: FeedEvent) -> None:
        """Hand one event of the feed on."""
        match event:
            case Tick():
                self._risk.on_tick(event)
            case DayRange():
                self._risk.on_day_range(event.day_high, event.day_low, event.tick)
            case FeedConnected(instrument_ids):
                self._risk.on_feed_connected(instrument_ids)
            case FeedLost(instrument_ids):
                self._risk.on_feed_lost(instrument_ids)
            case FeedGarbled(text):
                self._metrics.ticks_refused.labels("garbled").inc()
                _log.warning("market_feed_garbled", text=text)
