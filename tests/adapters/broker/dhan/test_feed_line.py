"""Several feed connections: who carries what, in which mode, and when one is taken for dead."""

import asyncio
import json
import struct
from decimal import Decimal
from itertools import pairwise

import pytest

from squareoff.adapters.broker.dhan.feed_line import STALE_SECONDS, TURN_NS
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import ControlFrame, SocketEnded
from squareoff.domain.errors import DomainError, FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import FeedConnected, PriceDetail

RAW_TIME = 1_789_446_600 + 19_800
FULL, QUOTE, TICKER = 21, 17, 15


def option(number):
    return Instrument(InstrumentId(ExchangeSegment.NSE_FNO, str(number)), "X", 75, Decimal("0.05"))


def ticker(security_id, price):
    return struct.pack("<BHBIfI", 2, 16, 2, security_id, price, RAW_TIME)


def quote(security_id, price):
    head = struct.pack("<BHBIfHIf", 4, 50, 2, security_id, price, 1, RAW_TIME, price)
    return head + struct.pack("<IIIffff", 1, 1, 1, price, price, price, price)


def sent(socket):
    """Return (code, first id, count) per message sent."""
    read = [json.loads(text) for text in socket.sent]
    return [
        (one["RequestCode"], one["InstrumentList"][0]["SecurityId"], one["InstrumentCount"])
        for one in read
    ]


class Lines:
    """A feed with all its lines running; one that ends is noted and not opened again."""

    def __init__(self, fakes, *sockets, is_trading=lambda segment: False, clock=None):
        self.clock = clock or fakes.clock()
        self.sockets = fakes.sockets(sockets)
        self.events = []
        self.ended = []
        self.feed = DhanMarketFeed(
            SocketSettings("wss://feed.example", fakes.account),
            self.sockets,
            fakes.tokens(),
            self.clock,
            is_trading=is_trading,
        )
        self._tasks = []

    def start(self):
        self._tasks = [self.run(number) for number in range(5)]

    def run(self, number):
        async def until_it_ends():
            try:
                await self.feed.lines[number].run_once(self.events.append)
            except FeedDisconnected as error:
                self.ended.append((number, str(error)))

        return asyncio.ensure_future(until_it_ends())

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def test_a_connection_is_opened_when_those_before_it_are_full(fakes):
    """5,000 instruments fill one; the next one is carried by another, opened only then."""

    async def body():
        first, second = fakes.socket(), fakes.socket()
        lines = Lines(fakes, first, second)
        lines.feed.watch(map(option, range(1, 5_001)))
        lines.start()
        await fakes.settle()
        assert len(lines.sockets.urls) == 1
        lines.feed.watch([option(5_001)])
        await fakes.settle()

        assert sum(count for _, _, count in sent(first)) == 5_000
        assert sent(second) == [(FULL, "5001", 1)]
        assert [line.is_needed for line in lines.feed.lines] == [True, True, False, False, False]
        await lines.stop()

    asyncio.run(body())


def test_a_connection_is_told_before_any_price_of_it(fakes):
    """Prices come for the first instruments while others are still being subscribed."""

    async def body():
        socket = _AnswersAtOnce(fakes.socket())
        lines = Lines(fakes, socket)
        lines.feed.watch(map(option, range(1, 251)))
        lines.start()
        await fakes.settle()

        connected, *prices = lines.events
        assert isinstance(connected, FeedConnected)
        assert [type(each) for each in prices] == [Tick] * 3
        await lines.stop()

    asyncio.run(body())


def test_frames_that_come_together_let_others_have_their_turns(fakes):
    """An exit that one of a burst fired does not wait until the last of them is read."""

    class Ticking:
        """A clock of which every look takes 20 microseconds."""

        def __init__(self, clock):
            self._clock, self._looks = clock, 0

        def now(self):
            self._looks += 1
            now = self._clock.now()
            return Now(now.wall_ns, now.monotonic_ns + 20_000 * self._looks)

        def sleep(self, seconds):
            return self._clock.sleep(seconds)

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket, clock=Ticking(fakes.clock()))
        lines.feed.watch([option(1)])
        lines.start()
        await fakes.settle()
        before, turns = len(lines.events), []
        for number in range(1_000):
            socket.feed(ticker(1, 100.0 + number))
        while len(lines.events) - before < 1_000:
            await asyncio.sleep(0)
            turns.append(len(lines.events) - before)

        read = [later - earlier for earlier, later in pairwise([0, *turns])]
        assert max(read) <= TURN_NS / 20_000
        await lines.stop()

    asyncio.run(body())


class _AnswersAtOnce:
    """A socket that gives a price for the first instrument of each subscription, and time to read
    it before the next message leaves."""

    def __init__(self, socket):
        self._socket = socket

    async def send_text(self, text):
        first = json.loads(text)["InstrumentList"][0]["SecurityId"]
        self._socket.feed(ticker(int(first), 100.0))
        for _ in range(10):
            await asyncio.sleep(0)

    def __getattr__(self, name):
        return getattr(self._socket, name)


def test_five_connections_carry_25000_and_no_more(fakes):
    """The account's limit is refused before the broker drops the oldest connection."""

    async def body():
        sockets = [fakes.socket() for _ in range(5)]
        lines = Lines(fakes, *sockets)
        lines.feed.watch(map(option, range(25_000)))
        lines.start()
        await fakes.settle()

        assert [sum(count for *_, count in sent(one)) for one in sockets] == [5_000] * 5
        assert max(count for one in sockets for *_, count in sent(one)) == 100
        with pytest.raises(DomainError):
            lines.feed.watch([option(25_000)])
        lines.feed.watch([option(1)])
        lines.feed.unwatch([option(1).instrument_id])
        lines.feed.watch([option(25_000)])
        await lines.stop()

    asyncio.run(body())


def test_a_reconnect_subscribes_to_its_own_and_leaves_the_others_alone(fakes):
    """Only what the ended connection carried is subscribed anew and forgotten as heard."""

    async def body():
        first, second, again = fakes.socket(), fakes.socket(), fakes.socket()
        lines = Lines(fakes, first, second, again)
        lines.feed.watch(map(option, range(1, 5_003)))
        lines.start()
        await fakes.settle()
        before = len(first.sent)
        first.feed(ticker(1, 100.0))
        second.feed(ticker(5_001, 100.0), SocketEnded("reset", close_code=1006))
        await fakes.settle()
        assert [number for number, _ in lines.ended] == [1]
        revived = lines.run(1)
        await fakes.settle()

        assert sent(again) == [(FULL, "5001", 2)]
        assert len(first.sent) == before
        assert lines.feed.decoder.is_heard(option(1).instrument_id)
        assert not lines.feed.decoder.is_heard(option(5_001).instrument_id)
        newest = lines.events[-1]
        assert [one.security_id for one in newest.instrument_ids] == ["5001", "5002"]
        revived.cancel()
        await lines.stop()

    asyncio.run(body())


def test_an_empty_connection_is_given_back(fakes):
    """When nothing is left to carry a further connection closes, and opens again when needed."""

    async def body():
        first, second, again = fakes.socket(), fakes.socket(), fakes.socket()
        lines = Lines(fakes, first, second, again)
        lines.feed.watch(map(option, range(1, 5_002)))
        lines.start()
        await fakes.settle()
        lines.feed.unwatch([option(5_001).instrument_id])
        await fakes.settle()
        assert second.closed
        assert lines.ended == []

        lines.feed.watch([option(5_002)])
        await fakes.settle()

        assert sent(again) == [(FULL, "5002", 1)]
        assert not first.closed
        await lines.stop()

    asyncio.run(body())


def test_a_mode_is_left_before_the_next_is_asked_for(fakes):
    """What changes its mode is unsubscribed by the old code and subscribed by the new one."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket)
        lines.feed.watch([option(1), option(2), option(3)])
        lines.start()
        await fakes.settle()
        socket.sent.clear()
        lines.feed.prefer(option(1).instrument_id, PriceDetail.DAY)
        lines.feed.prefer(option(2).instrument_id, PriceDetail.LAST)
        lines.feed.prefer(option(3).instrument_id, PriceDetail.DEPTH)
        await fakes.settle()

        assert sent(socket) == [(FULL + 1, "1", 2), (QUOTE, "1", 1), (TICKER, "2", 1)]
        await lines.stop()

    asyncio.run(body())


def test_what_is_let_go_while_a_message_goes_out_ends_nothing(fakes):
    """Its mode was to change with that turn; the next one unsubscribes it instead."""

    async def body():
        socket, gate = fakes.socket(), asyncio.Event()
        gate.set()
        send_text = socket.send_text

        async def slow(text):
            await gate.wait()
            await send_text(text)

        socket.send_text = slow
        lines = Lines(fakes, socket)
        lines.feed.watch([option(1), option(2), option(3)])
        lines.start()
        await fakes.settle()
        socket.sent.clear()
        gate.clear()
        lines.feed.unwatch([option(1).instrument_id])
        lines.feed.prefer(option(2).instrument_id, PriceDetail.DAY)
        await fakes.settle()
        lines.feed.unwatch([option(2).instrument_id])
        gate.set()
        await fakes.settle()

        assert sent(socket) == [(FULL + 1, "1", 1), (FULL + 1, "2", 1)]
        await lines.stop()

    asyncio.run(body())


def test_a_mode_that_brings_nothing_is_asked_for_again(fakes):
    """A packet of the old mode does not count as heard after a change; one of the new mode does."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket)
        lines.feed.watch([option(1)])
        lines.start()
        await fakes.settle()
        socket.feed(ticker(1, 100.0))
        await fakes.settle()
        lines.feed.prefer(option(1).instrument_id, PriceDetail.DAY)
        await fakes.settle()
        socket.sent.clear()
        socket.feed(ticker(1, 100.0))
        await lines.clock.advance(5.0)
        assert sent(socket) == [(QUOTE, "1", 1)]
        socket.feed(quote(1, 100.0))
        await lines.clock.advance(15.0)

        assert sent(socket) == [(QUOTE, "1", 1)]
        assert sum(isinstance(event, Tick) for event in lines.events) == 3
        await lines.stop()

    asyncio.run(body())


def test_an_index_value_stays_in_its_mode(fakes):
    """Index values come in quote mode whatever is preferred."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket)
        nifty = Instrument(InstrumentId(ExchangeSegment.IDX_I, "13"), "N", 1, Decimal("0.01"))
        lines.feed.watch([nifty])
        lines.start()
        lines.feed.prefer(nifty.instrument_id, PriceDetail.DEPTH)
        await fakes.settle()

        assert sent(socket) == [(QUOTE, "13", 1)]
        await lines.stop()

    asyncio.run(body())


async def _pass_alive(lines, socket, seconds, *frames):
    """Let time pass on a connection whose pings are answered, and that brings these frames."""
    for _ in range(round(seconds)):
        socket.feed(ControlFrame.PONG, *frames)
        await lines.clock.advance(1.0)


@pytest.mark.parametrize(("is_trading", "ends"), [(True, 1), (False, 0)])
def test_a_living_connection_without_packets_is_ended_in_trading_hours(fakes, is_trading, ends):
    """Pongs alone do not make a feed; outside of hours nothing else is to be expected."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket, is_trading=lambda segment: is_trading)
        lines.feed.watch([option(1)])
        lines.start()
        await fakes.settle()
        socket.feed(ticker(1, 100.0))
        await _pass_alive(lines, socket, STALE_SECONDS - 2)
        assert lines.ended == []
        await _pass_alive(lines, socket, 10)

        assert len(lines.ended) == ends
        assert all("no price for 30 s" in text for _, text in lines.ended)
        await lines.stop()

    asyncio.run(body())


NO_PRICES = {
    "heartbeats": struct.pack("<BHBI", 0, 8, 2, 1),
    "market status": struct.pack("<BHBI", 7, 8, 2, 0),
    "previous close": struct.pack("<BHBIfI", 6, 16, 2, 1, 99.0, 0),
    "rubbish": b"\xff" * 9,
    "another instrument": ticker(999, 5.0),
    "no number": ticker(1, float("nan")),
    "several in one frame": struct.pack("<BHBI", 0, 8, 2, 1) + ticker(999, 5.0) + ticker(998, 5.0),
}


@pytest.mark.parametrize("name", NO_PRICES)
def test_what_is_no_price_of_ours_keeps_no_connection_alive(fakes, name):
    """Heartbeats and strangers' packets prove a connection, not that our prices come."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket, is_trading=lambda segment: True)
        lines.feed.watch([option(1)])
        lines.start()
        await fakes.settle()
        socket.feed(ticker(1, 100.0))
        await _pass_alive(lines, socket, STALE_SECONDS + 10, NO_PRICES[name])

        assert [number for number, _ in lines.ended] == [0]
        await lines.stop()

    asyncio.run(body())


@pytest.mark.parametrize(
    "frame", [ticker(1, 100.0), ticker(999, 5.0) + ticker(1, 100.0), ticker(1, 0.0)]
)
def test_prices_that_go_on_keep_a_connection(fakes, frame):
    """The same price again, one beside a stranger's, and one of what did not trade today count."""

    async def body():
        socket = fakes.socket()
        lines = Lines(fakes, socket, is_trading=lambda segment: True)
        lines.feed.watch([option(1)])
        lines.start()
        await fakes.settle()
        await _pass_alive(lines, socket, 2 * STALE_SECONDS, frame)

        assert lines.ended == []
        await lines.stop()

    asyncio.run(body())


def test_patience_doubles_while_a_new_connection_helps_nothing(fakes):
    """What stays silent on a fresh connection is not the connection; a flow resets the patience."""

    async def body():
        first, second, third = fakes.socket(), fakes.socket(), fakes.socket()
        lines = Lines(fakes, first, second, third, is_trading=lambda segment: True)
        lines.feed.watch([option(1)])
        lines.start()
        await _pass_alive(lines, first, 40)
        lines.run(0)
        await fakes.settle()
        second.feed(ticker(1, 100.0))
        await _pass_alive(lines, second, 2 * STALE_SECONDS - 5)
        assert len(lines.ended) == 1
        await _pass_alive(lines, second, 15)
        assert len(lines.ended) == 2
        lines.run(0)
        await _pass_alive(lines, third, 20)
        third.feed(ticker(1, 100.0))
        await _pass_alive(lines, third, 40)

        assert [text.split("for ")[1] for _, text in lines.ended] == ["30 s", "60 s", "30 s"]
        await lines.stop()

    asyncio.run(body())
