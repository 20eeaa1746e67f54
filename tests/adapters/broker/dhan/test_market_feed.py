"""The market-feed socket over a scripted connection and a manual clock."""

import asyncio
import json
import struct
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from squareoff.adapters.broker.dhan.feed_line import UNHEARD_SECONDS
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import SocketEnded
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedConnected, FeedGarbled

RAW_TIME = 1_789_446_600 + 19_800


def option(number):
    return Instrument(InstrumentId(ExchangeSegment.NSE_FNO, str(number)), "X", 75, Decimal("0.05"))


NIFTY = Instrument(InstrumentId(ExchangeSegment.IDX_I, "13"), "NIFTY", 1, Decimal("0.01"))


def ticker(security_id, price, segment=2):
    return struct.pack("<BHBIfI", 2, 16, segment, security_id, price, RAW_TIME)


class Run:
    """A feed, its `run_once` in the background, and what it published."""

    def __init__(self, fakes, *sockets, watch=(), tokens=None):
        self.clock = fakes.clock()
        self.sockets = fakes.sockets(sockets)
        self.tokens = tokens or fakes.tokens()
        self.events = []
        self.feed = DhanMarketFeed(
            SocketSettings("wss://feed.example", fakes.account),
            self.sockets,
            self.tokens,
            self.clock,
        )
        self.feed.watch(watch)
        self.task = self.start()

    def start(self):
        self.task = asyncio.ensure_future(self.feed.run_once(self.events.append))
        return self.task

    async def end(self):
        with pytest.raises(FeedDisconnected) as caught:
            async with asyncio.timeout(5):
                await self.task
        return caught.value

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def messages(socket):
    """Return (code, ids) per message sent."""
    read = [json.loads(text) for text in socket.sent]
    for one in read:
        assert one["InstrumentCount"] == len(one["InstrumentList"]) <= 100
    return [
        (one["RequestCode"], [entry["SecurityId"] for entry in one["InstrumentList"]])
        for one in read
    ]


def test_the_address_carries_the_login(fakes):
    """Version, token, client id and auth type go into the query, escaped."""

    async def body():
        tokens = fakes.tokens()
        tokens.token = "a+b/c=&d"
        run = Run(fakes, fakes.socket(), tokens=tokens)
        await fakes.settle()

        (url,) = run.sockets.urls
        assert url.startswith("wss://feed.example?")
        assert parse_qs(urlsplit(url).query) == {
            "version": ["2"],
            "token": ["a+b/c=&d"],
            "clientId": [fakes.account],
            "authType": ["2"],
        }
        await run.stop()

    asyncio.run(body())


def test_subscriptions_go_out_by_mode_in_hundreds_then_connected(fakes):
    """Full mode for what trades, quote mode for indices, at most 100 each, then connected."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[NIFTY, *map(option, range(1, 251))])
        await fakes.settle()

        assert [(code, len(ids)) for code, ids in messages(socket)] == [
            (21, 100),
            (21, 100),
            (21, 50),
            (17, 1),
        ]
        assert json.loads(socket.sent[3])["InstrumentList"] == [
            {"ExchangeSegment": "IDX_I", "SecurityId": "13"}
        ]
        (connected,) = run.events
        assert isinstance(connected, FeedConnected)
        assert len(connected.instrument_ids) == 251
        await run.stop()

    asyncio.run(body())


def test_watch_and_unwatch_on_a_live_connection(fakes):
    """New instruments are subscribed at once; dropped ones by the mode's code plus one."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[option(1), NIFTY])
        await fakes.settle()
        socket.sent.clear()

        run.feed.watch([option(1), option(2)])
        await fakes.settle()
        run.feed.unwatch([option(1).instrument_id, NIFTY.instrument_id, option(9).instrument_id])
        await fakes.settle()

        assert messages(socket) == [(21, ["2"]), (22, ["1"]), (18, ["13"])]
        socket.feed(ticker(1, 100.0) + ticker(2, 200.0))
        await fakes.settle()
        assert [one.instrument_id.security_id for one in run.events[1:]] == ["2"]
        await run.stop()

    asyncio.run(body())


def test_each_connection_subscribes_to_all_that_is_watched(fakes):
    """Subscriptions are gone after a reconnect and are made anew, without the dropped ones."""

    async def body():
        first, second = fakes.socket(), fakes.socket()
        run = Run(fakes, first, second, watch=[option(1), option(2)])
        await fakes.settle()
        first.feed(SocketEnded("reset", close_code=1006))
        await run.end()
        run.feed.unwatch([option(1).instrument_id])
        run.feed.watch([option(3)])
        run.start()
        await fakes.settle()

        assert messages(second) == [(21, ["2", "3"])]
        assert [[one.security_id for one in event.instrument_ids] for event in run.events] == [
            ["1", "2"],
            ["2", "3"],
        ]
        await run.stop()

    asyncio.run(body())


def test_a_subscription_without_a_packet_is_asked_for_again(fakes):
    """What the broker took without sending anything is subscribed anew; what was heard is not."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[option(1), option(2)])
        await fakes.settle()
        socket.sent.clear()
        socket.feed(ticker(1, 100.0))
        await fakes.settle()

        await run.clock.advance(UNHEARD_SECONDS)
        assert messages(socket) == [(21, ["2"])]
        socket.feed(ticker(2, 200.0))
        await run.clock.advance(UNHEARD_SECONDS * 2)
        assert messages(socket) == [(21, ["2"])]
        await run.stop()

    asyncio.run(body())


def test_frames_become_ticks_with_the_time_of_receipt(fakes):
    """Binary frames are decoded with the clock's now; text frames are garbled."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[option(1)])
        await run.clock.advance(2)
        socket.feed(ticker(1, 152.35), "hello")
        await fakes.settle()

        tick, garbled = run.events[1:]
        assert isinstance(tick, Tick)
        assert isinstance(garbled, FeedGarbled)
        assert tick.last_traded_price == 1_523_500
        assert tick.exchange_time_ns == fakes.wall_ns
        assert tick.received_time_ns == fakes.wall_ns + 2_000_000_000
        await run.stop()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("reason", "suspicions"), [(805, 0), (806, 0), (807, 1), (808, 1), (809, 1), (810, 1)]
)
def test_packet_50_ends_the_connection_with_its_reason(fakes, reason, suspicions):
    """The broker's reason is the error's code; token reasons make the token suspect."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[option(1)])
        socket.feed(ticker(1, 10.0) + struct.pack("<BHBIH", 50, 10, 0, 0, reason))

        error = await run.end()
        assert error.code == reason
        assert (len(run.tokens.suspected), run.tokens.dead) == (suspicions, [])
        assert any(isinstance(event, Tick) for event in run.events)
        assert socket.closed

    asyncio.run(body())


def test_a_refused_upgrade_hides_the_token(fakes):
    """The status comes through as the code; the address does not."""

    async def body():
        run = Run(fakes, SocketEnded("the upgrade was answered with HTTP 429", http_status=429))

        error = await run.end()
        assert error.code == 429
        assert fakes.token not in f"{error!r} {error.__cause__!r}"

    asyncio.run(body())


def test_a_silent_death_is_found(fakes):
    """Without any frame, ping or pong for 30 s the connection is given up."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket, watch=[option(1)])
        await run.clock.advance(36)

        assert "unanswered" in str(await run.end())

    asyncio.run(body())


def test_a_connection_ends_when_its_token_is_replaced(fakes):
    """A socket of a dead token may live on without news, so a new token ends it."""

    async def body():
        run = Run(fakes, fakes.socket(), watch=[option(1)])
        await fakes.settle()
        run.tokens.replaced.set()

        assert "replaced" in str(await run.end())

    asyncio.run(body())


def test_the_terms_of_what_comes_under_watch_are_told(fakes):
    """Whoever records the feed hears which instruments its packets are of."""
    told = []
    settings = SocketSettings("wss://feed.example", fakes.account)
    clock = fakes.clock()
    feed = DhanMarketFeed(settings, fakes.sockets([]), fakes.tokens(), clock, on_watch=told.append)
    feed.watch([NIFTY, option(49081)])

    assert told == [NIFTY, option(49081)]
