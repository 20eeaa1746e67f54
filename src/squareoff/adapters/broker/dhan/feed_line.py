"""One connection of the market feed: its subscriptions out, its packets to the decoder.

Source: dhanhq-v2.md 7.1 (address, limits), 7.2 (requests), 7.7 (disconnects).

Invariants:
1. The address holds the token: it is built for one connect and never kept or shown.
2. Subscriptions belong to a connection; each new one subscribes to all that this line carries, and
   to nothing of another line.
3. A subscription that brings no packet is asked for again, so that no stop goes blind unnoticed.
4. A message names at most 100 instruments.
5. An instrument whose mode changes leaves the old one right before it is subscribed in the new one:
   whatever the broker makes of two modes at once, the new one stands in the end.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.feed_codec import NO_PRICE, FeedDecoder
from squareoff.adapters.broker.dhan.feed_packets import FULL_CODE, QUOTE_CODE, TICKER_CODE
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
    SUBSCRIBE_TICKER,
    subscription_text,
)
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock, FeedConnected, FeedEvent, FeedGarbled

INSTRUMENTS_PER_MESSAGE_MAX = 100
UNHEARD_SECONDS = 5.0
"""A subscription is answered by a first packet at once (7.2); one that was taken without an answer
is asked for again after this pause, and then after pauses twice as long, at most a minute."""

UNHEARD_SECONDS_MAX = 60.0

STALE_SECONDS = 30.0
"""A connection that brings not one price of what is watched for so long while its exchange trades
is taken for dead, though its pings are answered and heartbeats come (7.7). A new one that brings no
more than its first answers is given twice as long each time: whatever is silent then, it is not the
connection."""

STALE_SECONDS_MAX = 480.0
_STALE_CHECK_SECONDS = 5.0
_FIRST_ANSWERS_SECONDS = 10.0

TURN_NS = 1_000_000
"""In a burst a socket hands over a thousand frames and more at once: some ten milliseconds of work
before anybody else had a turn."""

TOKEN_REFUSED_CODES = frozenset({807, 808, 809, 810})
"""Reasons that speak of the token; the broker is asked whether it is dead (7.7)."""

MODES = (SUBSCRIBE_FULL, SUBSCRIBE_QUOTE, SUBSCRIBE_TICKER)
_PACKET_CODES = {
    SUBSCRIBE_FULL: FULL_CODE,
    SUBSCRIBE_QUOTE: QUOTE_CODE,
    SUBSCRIBE_TICKER: TICKER_CODE,
}

Publish = Callable[[FeedEvent], None]


@dataclass(frozen=True, slots=True)
class LineParts:
    """What all connections of one feed share.

    `is_trading` says whether prices of a segment are to be expected now, None where nobody knows.
    """

    settings: SocketSettings
    transport: SocketTransport
    tokens: TokenSource
    clock: Clock
    decoder: FeedDecoder
    is_trading: Callable[[ExchangeSegment], bool] | None


class FeedLine:
    """Fulfils `ports.FeedLine`. One connection per `run_once`; reconnecting is the caller's."""

    def __init__(self, number: int, parts: LineParts) -> None:
        self._name = "market feed" if number == 0 else f"market feed {number + 1}"
        self._number = number
        self._parts = parts
        self._clock = parts.clock
        self._decoder = parts.decoder
        # Dicts keep the order of watching. Instrument -> request code of its mode.
        self._wanted: dict[InstrumentId, int] = {}
        self._subscribed: dict[InstrumentId, int] = {}
        self._changed = asyncio.Event()
        self._patience_seconds = STALE_SECONDS
        self._opened_ns = 0
        self._price_ns = 0

    def __len__(self) -> int:
        """How many instruments this line carries."""
        return len(self._wanted)

    @property
    def is_needed(self) -> bool:
        """Say whether there is something to connect for; the first line always stands."""
        return self._number == 0 or bool(self._wanted)

    @property
    def instrument_ids(self) -> tuple[InstrumentId, ...]:
        """What it carries now."""
        return tuple(self._wanted)

    def want(self, instrument_id: InstrumentId, mode: int) -> None:
        """Carry an instrument in a mode (a request code of `MODES`), from now on."""
        if self._wanted.get(instrument_id) != mode:
            self._wanted[instrument_id] = mode
            self._changed.set()

    def drop(self, instrument_id: InstrumentId) -> None:
        """Carry an instrument no more."""
        if self._wanted.pop(instrument_id, None) is not None:
            self._changed.set()

    async def run_once(self, publish: Publish) -> None:
        """Wait until there is something to carry, connect, subscribe, and publish until the end.

        Raises:
            FeedDisconnected: always, in the end. `code` is the broker's reason (800-814) after a
                disconnect packet, an HTTP status where the upgrade was refused, else None.
        """
        while True:
            while not self.is_needed:
                self._changed.clear()
                await self._changed.wait()
            await self._connect_once(publish)

    async def _connect_once(self, publish: Publish) -> None:
        """Return where nothing is left to carry; see `run_once` for what it raises."""
        tokens = self._parts.tokens
        token = await tokens.usable()
        session = await SocketSession.open(
            self._name, self._parts.transport, self._address(token), self._clock
        )
        async with session:
            self._subscribed = {}
            self._decoder.start_connection(self._wanted)
            self._opened_ns = self._price_ns = self._clock.now().monotonic_ns
            try:
                await run_until_disconnected(
                    self._subscribe(session, publish),
                    self._ask_again(session),
                    self._read(session, publish),
                    *self._price_watch(),
                    session.ping(),
                    session.watch_silence(),
                    *until_replaced(self._name, tokens, token),
                )
            except _NothingLeft:
                return
            except FeedDisconnected as error:
                if error.code in TOKEN_REFUSED_CODES:
                    await tokens.suspect(token)
                raise

    def _address(self, token: str) -> str:
        settings = self._parts.settings
        query = urlencode(
            {"version": "2", "token": token, "clientId": settings.account_id, "authType": "2"}
        )
        return f"{settings.url}?{query}"

    async def _subscribe(self, session: SocketSession, publish: Publish) -> None:
        publish(FeedConnected(tuple(self._wanted)))
        while self.is_needed:
            await self._send_changes(session)
            await self._changed.wait()
        raise _NothingLeft(f"{self._name}: nothing is left to watch")

    async def _ask_again(self, session: SocketSession) -> None:
        """Subscribe anew what no packet has come for: it may never have been taken."""
        pause = UNHEARD_SECONDS
        while True:
            await self._clock.sleep(pause)
            unheard = {
                each: mode
                for each, mode in self._subscribed.items()
                if each in self._wanted and not self._decoder.is_heard(each)
            }
            pause = min(pause * 2, UNHEARD_SECONDS_MAX) if unheard else UNHEARD_SECONDS
            await self._send(session, unheard)

    async def _send_changes(self, session: SocketSession) -> None:
        self._changed.clear()
        wanted, subscribed = dict(self._wanted), dict(self._subscribed)
        dropped = {each: mode for each, mode in subscribed.items() if each not in wanted}
        await self._send(session, dropped, unsubscribe=True)
        for instrument_id in dropped:
            self._subscribed.pop(instrument_id, None)
        # What was let go while the message went out is unknown to the decoder: the next turn's.
        still = {each: mode for each, mode in wanted.items() if each in self._wanted}
        fresh = {each: mode for each, mode in still.items() if subscribed.get(each) != mode}
        left = {each: subscribed[each] for each in fresh if each in subscribed}
        for instrument_id in left:
            self._decoder.expect(instrument_id, _PACKET_CODES[fresh[instrument_id]])
        self._subscribed.update(fresh)
        await self._send(session, left, unsubscribe=True)
        await self._send(session, fresh)

    async def _send(
        self,
        session: SocketSession,
        instruments: Mapping[InstrumentId, int],
        *,
        unsubscribe: bool = False,
    ) -> None:
        for mode, batch in _batches(instruments):
            # The code that unsubscribes is that of the mode, plus one (7.2).
            await session.send(subscription_text(mode + 1 if unsubscribe else mode, batch))

    async def _read(self, session: SocketSession, publish: Publish) -> None:
        """Read for ever. Frames that came together are taken without a pause, so every while the
        others get a turn: an exit that one of them fired does not wait for all behind it."""
        turn_ends_ns = 0
        while True:
            frame = await session.receive()
            if isinstance(frame, str):
                publish(FeedGarbled(f"a text frame of {len(frame)} characters"))
                continue
            now = self._clock.now()
            self._decoder.frame_count += 1
            reason = self._decoder.decode(frame, now, publish)
            if reason is None:
                self._price_ns = now.monotonic_ns
            elif reason != NO_PRICE:
                raise FeedDisconnected(
                    f"{self._name}: the broker ended it, reason {reason}", reason
                )
            if now.monotonic_ns >= turn_ends_ns:
                turn_ends_ns = now.monotonic_ns + TURN_NS
                await asyncio.sleep(0)

    def _price_watch(self) -> tuple[Coroutine[Any, Any, None], ...]:
        is_trading = self._parts.is_trading
        return () if is_trading is None else (self._watch_prices(is_trading),)

    async def _watch_prices(self, is_trading: Callable[[ExchangeSegment], bool]) -> None:
        """End a connection that lives without bringing a price while its exchange trades."""
        while True:
            await self._clock.sleep(_STALE_CHECK_SECONDS)
            now_ns = self._clock.now().monotonic_ns
            if self._price_ns - self._opened_ns > seconds_to_ns(_FIRST_ANSWERS_SECONDS):
                self._patience_seconds = STALE_SECONDS
            segments = {each.exchange_segment for each in self._subscribed}
            if not any(is_trading(segment) for segment in sorted(segments)):
                self._opened_ns = self._price_ns = now_ns
            elif now_ns - self._price_ns > seconds_to_ns(self._patience_seconds):
                silent, self._patience_seconds = (
                    self._patience_seconds,
                    min(self._patience_seconds * 2, STALE_SECONDS_MAX),
                )
                raise FeedDisconnected(f"{self._name}: connected, but no price for {silent:.0f} s")


class _NothingLeft(FeedDisconnected):
    """The line carries nothing any more: its connection is given back."""


def _batches(instruments: Mapping[InstrumentId, int]) -> Iterator[tuple[int, list[InstrumentId]]]:
    """Give (mode, at most 100 instruments), full mode first."""
    for mode in MODES:
        yield from _hundreds(mode, (each for each, of in instruments.items() if of == mode))


def _hundreds(
    mode: int, instrument_ids: Iterable[InstrumentId]
) -> Iterator[tuple[int, list[InstrumentId]]]:
    ids = list(instrument_ids)
    for start in range(0, len(ids), INSTRUMENTS_PER_MESSAGE_MAX):
        yield mode, ids[start : start + INSTRUMENTS_PER_MESSAGE_MAX]
