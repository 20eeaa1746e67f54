"""The market-feed socket: subscriptions out, ticks in.

Source: dhanhq-v2.md 7.1 (address, limits), 7.2 (requests), 7.7 (disconnects). Full mode for what
can be traded, quote mode for index values (full is unconfirmed there, 7.6).

Invariants:
1. The address holds the token: it is built for one connect and never kept or shown.
2. Subscriptions belong to a connection; each new one subscribes to all that is watched.
3. A subscription that brings no packet is asked for again, so that no stop goes blind unnoticed.
4. A message names at most 100 instruments, a connection at most 5,000.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import urlencode

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.adapters.broker.dhan.socket_session import (
    SocketSession,
    SocketSettings,
    run_until_disconnected,
    until_replaced,
)
from squareoff.adapters.broker.dhan.transport import SocketTransport
from squareoff.adapters.broker.dhan.wire_requests import (
    SUBSCRIBE_FULL,
    SUBSCRIBE_QUOTE,
    subscription_text,
)
from squareoff.core.quiet_prices import QuietPrices
from squareoff.domain.errors import DomainError, FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.ports import Clock, FeedConnected, FeedEvent, FeedGarbled

INSTRUMENTS_PER_MESSAGE_MAX = 100
INSTRUMENTS_PER_CONNECTION_MAX = 5_000
UNHEARD_SECONDS = 5.0
"""A subscription is answered by a first packet at once (7.2); one that was taken without an answer
is asked for again after this pause, and then after pauses twice as long, at most a minute."""

UNHEARD_SECONDS_MAX = 60.0

TOKEN_REFUSED_CODES = frozenset({807, 808, 809, 810})
"""Reasons that speak of the token; the broker is asked whether it is dead (7.7)."""

_NAME = "market feed"

Publish = Callable[[FeedEvent], None]


class DhanMarketFeed:
    """Fulfils `ports.MarketFeed` and `core.quiet_prices.QuietFeed`.

    One connection per `run_once`; reconnecting is the caller's. `on_watch` is told each
    instrument's terms when it comes under watch.
    """

    def __init__(
        self,
        settings: SocketSettings,
        transport: SocketTransport,
        tokens: TokenSource,
        clock: Clock,
        *,
        on_watch: Callable[[Instrument], None] = lambda instrument: None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._tokens = tokens
        self._clock = clock
        self._on_watch = on_watch
        self._decoder = FeedDecoder()
        # Dicts rather than sets: subscriptions go out in the order of watching.
        self._watched: dict[InstrumentId, None] = {}
        self._subscribed: dict[InstrumentId, None] = {}
        self._changed = asyncio.Event()

    @property
    def decoder(self) -> FeedDecoder:
        """The decoder, for its counts."""
        return self._decoder

    @property
    def quiet_count(self) -> int:
        """How many ticks were kept rather than published (`core.quiet_prices`)."""
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
            DomainError: the feed cannot name one, or there would be more than 5,000.
        """
        for instrument in instruments:
            is_new = instrument.instrument_id not in self._watched
            if is_new and len(self._watched) >= INSTRUMENTS_PER_CONNECTION_MAX:
                raise DomainError(
                    "too_many_instruments",
                    f"one feed connection carries {INSTRUMENTS_PER_CONNECTION_MAX} instruments; "
                    f"{instrument.instrument_id} is one too many",
                )
            self._decoder.watch(instrument)
            self._on_watch(instrument)
            self._watched[instrument.instrument_id] = None
        self._changed.set()

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments; their packets make no tick from now on."""
        for instrument_id in instrument_ids:
            if instrument_id in self._watched:
                del self._watched[instrument_id]
                self._decoder.unwatch(instrument_id)
        self._changed.set()

    async def run_once(self, publish: Publish) -> None:
        """Connect, subscribe and publish until the connection ends.

        Raises:
            FeedDisconnected: always, in the end. `code` is the broker's reason (800-814) after a
                disconnect packet, an HTTP status where the upgrade was refused, else None.
        """
        token = await self._tokens.usable()
        session = await SocketSession.open(
            _NAME, self._transport, self._address(token), self._clock
        )
        async with session:
            self._subscribed = {}
            self._decoder.start_connection()
            try:
                await run_until_disconnected(
                    self._subscribe(session, publish),
                    self._ask_again(session),
                    self._read(session, publish),
                    session.ping(),
                    session.watch_silence(),
                    *until_replaced(_NAME, self._tokens, token),
                )
            except FeedDisconnected as error:
                if error.code in TOKEN_REFUSED_CODES:
                    await self._tokens.suspect(token)
                raise

    def _address(self, token: str) -> str:
        query = urlencode(
            {
                "version": "2",
                "token": token,
                "clientId": self._settings.account_id,
                "authType": "2",
            }
        )
        return f"{self._settings.url}?{query}"

    async def _subscribe(self, session: SocketSession, publish: Publish) -> None:
        await self._send_changes(session)
        publish(FeedConnected())
        while True:
            await self._changed.wait()
            await self._send_changes(session)

    async def _ask_again(self, session: SocketSession) -> None:
        """Subscribe anew what no packet has come for: it may never have been taken."""
        pause = UNHEARD_SECONDS
        while True:
            await self._clock.sleep(pause)
            unheard = [
                one
                for one in self._subscribed
                if one in self._watched and not self._decoder.is_heard(one)
            ]
            pause = min(pause * 2, UNHEARD_SECONDS_MAX) if unheard else UNHEARD_SECONDS
            for code, batch in _batches(unheard):
                await session.send(subscription_text(code, batch))

    async def _send_changes(self, session: SocketSession) -> None:
        self._changed.clear()
        dropped = [one for one in self._subscribed if one not in self._watched]
        added = [one for one in self._watched if one not in self._subscribed]
        for code, batch in _batches(dropped):
            # The code that unsubscribes is that of the mode, plus one (7.2).
            await session.send(subscription_text(code + 1, batch))
            for instrument_id in batch:
                self._subscribed.pop(instrument_id, None)
        for code, batch in _batches(added):
            await session.send(subscription_text(code, batch))
            self._subscribed.update(dict.fromkeys(batch))

    async def _read(self, session: SocketSession, publish: Publish) -> None:
        while True:
            frame = await session.receive()
            if isinstance(frame, str):
                publish(FeedGarbled(f"a text frame of {len(frame)} characters"))
                continue
            self._decoder.frame_count += 1
            reason = self._decoder.decode(frame, self._clock.now(), publish)
            if reason is not None:
                raise FeedDisconnected(f"{_NAME}: the broker ended it, reason {reason}", reason)


def _batches(
    instrument_ids: Sequence[InstrumentId],
) -> Iterator[tuple[int, list[InstrumentId]]]:
    """Give (request code, at most 100 instruments), full mode first."""
    tradable = [one for one in instrument_ids if one.exchange_segment.is_tradable]
    index_values = [one for one in instrument_ids if not one.exchange_segment.is_tradable]
    for code, ids in ((SUBSCRIBE_FULL, tradable), (SUBSCRIBE_QUOTE, index_values)):
        for start in range(0, len(ids), INSTRUMENTS_PER_MESSAGE_MAX):
            yield code, ids[start : start + INSTRUMENTS_PER_MESSAGE_MAX]
