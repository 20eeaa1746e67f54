"""The market feed over as many connections as its instruments need.

Source: dhanhq-v2.md 7.1 (5 connections of 5,000 instruments), 7.2 (modes). Index values come in
quote mode (full is unconfirmed there, 7.6); what can be traded in the mode that is asked for.

Invariants:
1. An instrument is on one connection at a time, and stays there for as long as it is watched.
2. A connection is opened only when the ones before it are full, and given back when it is empty:
   the account has five, and its owner may use some of them elsewhere.
3. All connections feed one decoder, so what is quiet is known in one place.
"""

from collections.abc import Callable, Iterable

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.adapters.broker.dhan.feed_line import FeedLine, LineParts
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import SocketTransport
from squareoff.adapters.broker.dhan.wire_requests import (
    SUBSCRIBE_FULL,
    SUBSCRIBE_QUOTE,
    SUBSCRIBE_TICKER,
)
from squareoff.core.prices.quiet_prices import QuietPrices
from squareoff.domain.errors import DomainError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.ports import Clock, FeedEvent, PriceDetail

INSTRUMENTS_PER_CONNECTION_MAX = 5_000
CONNECTIONS_MAX = 5

_MODE_OF = {
    PriceDetail.LAST: SUBSCRIBE_TICKER,
    PriceDetail.DAY: SUBSCRIBE_QUOTE,
    PriceDetail.DEPTH: SUBSCRIBE_FULL,
}

Publish = Callable[[FeedEvent], None]


class DhanMarketFeed:
    """Fulfils `ports.MarketFeed`, `ports.WideFeed` and `core.prices.quiet_prices.QuietFeed`.

    `lines` are its connections; `run_once` is the first. `on_watch` is told each
    instrument's terms when it comes under watch; `is_trading` says whether prices of a segment are
    to be expected now, without which no connection is taken for silent.
    """

    def __init__(
        self,
        settings: SocketSettings,
        transport: SocketTransport,
        tokens: TokenSource,
        clock: Clock,
        *,
        on_watch: Callable[[Instrument], None] = lambda instrument: None,
        is_trading: Callable[[ExchangeSegment], bool] | None = None,
    ) -> None:
        self._on_watch = on_watch
        self._decoder = FeedDecoder()
        parts = LineParts(settings, transport, tokens, clock, self._decoder, is_trading)
        self._lines = tuple(FeedLine(number, parts) for number in range(CONNECTIONS_MAX))
        self._line_of: dict[InstrumentId, FeedLine] = {}

    @property
    def decoder(self) -> FeedDecoder:
        """The decoder, for its counts."""
        return self._decoder

    @property
    def lines(self) -> tuple[FeedLine, ...]:
        """All connections, the first that of `run_once`."""
        return self._lines

    @property
    def quiet_count(self) -> int:
        """How many ticks were kept rather than published (`core.prices.quiet_prices`)."""
        return self._decoder.quiet_count

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Return what is kept of an instrument, None where it is not watched."""
        return self._decoder.quiet_prices(instrument_id)

    def quiet_received_ns(self) -> int | None:
        """Return the monotonic instant at which the newest kept tick came, None for none."""
        return self._decoder.quiet_received_ns()

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments; subscribed at once on a live connection, else at the next connect.

        Raises:
            DomainError: the feed cannot name one, or there would be more than 25,000.
        """
        for instrument in instruments:
            instrument_id = instrument.instrument_id
            line = self._line_of.get(instrument_id) or self._line_with_room(instrument_id)
            self._decoder.watch(instrument)
            self._on_watch(instrument)
            if instrument_id not in self._line_of:
                self._line_of[instrument_id] = line
                line.want(instrument_id, _first_mode(instrument_id))

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments; their packets make no tick from now on."""
        for instrument_id in instrument_ids:
            line = self._line_of.pop(instrument_id, None)
            if line is not None:
                line.drop(instrument_id)
                self._decoder.unwatch(instrument_id)

    def prefer(self, instrument_id: InstrumentId, detail: PriceDetail) -> None:
        """Ask for this much detail; does nothing where it is not watched, or is an index."""
        line = self._line_of.get(instrument_id)
        if line is not None and instrument_id.exchange_segment.is_tradable:
            line.want(instrument_id, _MODE_OF[detail])

    async def run_once(self, publish: Publish) -> None:
        """Run the first connection until it ends.

        Raises:
            FeedDisconnected: always, in the end; see `FeedLine.run_once`.
        """
        await self._lines[0].run_once(publish)

    def _line_with_room(self, instrument_id: InstrumentId) -> FeedLine:
        for line in self._lines:
            if len(line) < INSTRUMENTS_PER_CONNECTION_MAX:
                return line
        most = CONNECTIONS_MAX * INSTRUMENTS_PER_CONNECTION_MAX
        raise DomainError(
            "too_many_instruments",
            f"the market feed carries {most} instruments; {instrument_id} is one too many",
        )


def _first_mode(instrument_id: InstrumentId) -> int:
    """All that can be had, until somebody says that less will do."""
    return SUBSCRIBE_FULL if instrument_id.exchange_segment.is_tradable else SUBSCRIBE_QUOTE
