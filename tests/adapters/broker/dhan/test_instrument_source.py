"""Fetching and caching the instrument master, over a real loopback server."""

import asyncio
import os
import traceback
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from squareoff.adapters.broker.dhan.instrument_source import (
    DailyInstruments,
    InstrumentSettings,
    load_instruments,
)
from squareoff.adapters.broker.dhan.instruments import InstrumentMaster
from squareoff.adapters.system import SystemClock
from squareoff.domain.errors import ConfigError, StartPrevented
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.time import Now, ns_from_iso

HEADER = "EXCH_ID,SEGMENT,SECURITY_ID,INSTRUMENT,SYMBOL_NAME,LOT_SIZE,TICK_SIZE,"
GOOD = f"{HEADER}\nNSE,E,1333,EQUITY,HDFCBANK,1.0,5.0000,\n"
OLDER = f"{HEADER}\nNSE,E,1333,EQUITY,HDFCBANK,2.0,5.0000,\n"
TODAY = "instruments-2026-09-15.csv"


class Site:
    """A server whose answer the test sets; counts requests."""

    def __init__(self):
        self.status, self.text, self.count = 200, GOOD, 0
        self.url = ""

    async def answer(self, request):
        self.count += 1
        return web.Response(status=self.status, text=self.text)

    async def moved(self, request):
        raise web.HTTPFound("/master.csv")

    async def cut_off(self, request):
        response = web.StreamResponse(headers={"Content-Length": "10000"})
        await response.prepare(request)
        await response.write(GOOD.encode())
        request.transport.abort()
        return response


@asynccontextmanager
async def site():
    one = Site()
    application = web.Application()
    application.router.add_get("/master.csv", one.answer)
    application.router.add_get("/moved", one.moved)
    application.router.add_get("/cut", one.cut_off)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


def lot_size(master):
    (instrument,) = master.instruments.values()
    return instrument.lot_size


def keep(settings, name, text):
    """Put a file into the cache of a source."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / name).write_text(text)


def test_the_cache_of_one_source_is_never_another_ones(fakes, tmp_path):
    """A rehearsal's file of today is not what the broker's address gives."""

    async def body():
        async with site() as server:
            rehearsal = InstrumentSettings("http://127.0.0.1:1/master.csv", tmp_path)
            keep(rehearsal, TODAY, OLDER)
            broker = InstrumentSettings(server.url + "/master.csv", tmp_path)
            assert lot_size(await load_instruments(broker, fakes.clock())) == 1
            assert lot_size(await load_instruments(rehearsal, fakes.clock())) == 2

    asyncio.run(body())


@pytest.mark.parametrize("path", ["/master.csv", "/moved"])
def test_an_address_is_fetched_once_a_day(fakes, tmp_path, path):
    """The first load fetches, following a redirect; later ones of the day read the cache."""

    async def body():
        async with site() as server:
            settings = InstrumentSettings(server.url + path, tmp_path / "cache")
            for _ in range(3):
                master = await load_instruments(settings, fakes.clock())
                assert (lot_size(master), master.is_today) == (1, True)
            assert server.count == 1
            assert [one.name for one in settings.folder.iterdir()] == [TODAY]

    asyncio.run(body())


def test_a_damaged_cache_is_fetched_again(fakes, tmp_path):
    """A cache that cannot be read is replaced."""

    async def body():
        async with site() as server:
            settings = InstrumentSettings(server.url + "/master.csv", tmp_path)
            keep(settings, TODAY, "rubbish")
            assert lot_size(await load_instruments(settings, fakes.clock())) == 1
            assert (settings.folder / TODAY).read_text() == GOOD

    asyncio.run(body())


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/master.csv", 500, GOOD),
        ("/master.csv", 200, "<html>"),
        ("/cut", 200, GOOD),
        ("/nowhere", 200, GOOD),
    ],
)
def test_a_failed_fetch_falls_back_to_a_recent_file(fakes, tmp_path, path, status, text):
    """The newest cached file of the last week does, and says that it is not of today."""

    async def body():
        async with site() as server:
            server.status, server.text = status, text
            settings = InstrumentSettings(server.url + path, tmp_path)
            keep(settings, "instruments-2026-09-12.csv", OLDER)
            keep(settings, "instruments-2026-09-14.csv", "damaged")
            keep(settings, "instruments-2026-09-01.csv", GOOD)
            keep(settings, "instruments-9999-99-99.csv", GOOD)

            master = await load_instruments(settings, fakes.clock())
            assert (lot_size(master), master.is_today) == (2, False)
            assert not (settings.folder / TODAY).exists()
            assert not list(settings.folder.glob("*.part"))

    asyncio.run(body())


def test_files_that_no_later_day_reads_are_removed(fakes, tmp_path):
    """Some 50 MB a day fill the disk that the database is on within a year."""
    recent = "instruments-2026-09-08.csv"
    old = ("instruments-2026-09-07.csv", "instruments-2025-09-15.csv")
    cut = "instruments-2026-09-14.part"
    strange = ("instruments-2026-09-16.csv", "instruments-mine.csv", "notes.txt")

    async def body():
        async with site() as server:
            settings = InstrumentSettings(server.url + "/master.csv", tmp_path)
            for name in (recent, *old, cut, *strange):
                keep(settings, name, OLDER)
            await load_instruments(settings, fakes.clock())
            assert {one.name for one in settings.folder.iterdir()} == {TODAY, recent, *strange}

    asyncio.run(body())


def test_no_file_at_all_refuses_the_start(fakes, tmp_path):
    """Without a fetch and without a recent file the address and the fault are named.

    No wrong setting: an engine that ran for weeks and died is started again until the host is back.
    """

    async def body():
        async with site() as server:
            server.status = 503
            settings = InstrumentSettings(server.url + "/master.csv", tmp_path)
            keep(settings, "instruments-2026-09-01.csv", GOOD)
            with pytest.raises(StartPrevented) as caught:
                await load_instruments(settings, fakes.clock())
            assert str(caught.value).startswith(f"instruments: {server.url} was answered with 503")

    asyncio.run(body())


@pytest.mark.parametrize("path", ["/master.csv", "/cut", "/nowhere"])
def test_an_address_tells_its_host_alone(fakes, tmp_path, path):
    """User, password, path and query are in no message, and in no error behind it."""

    async def body():
        async with site() as server:
            server.status = 503
            address = f"{server.url}{path}?token=canary8".replace("://", "://user:canary9@")
            with pytest.raises(StartPrevented) as caught:
                await load_instruments(InstrumentSettings(address, tmp_path), fakes.clock())
            assert server.url in str(caught.value)
            told = "".join(traceback.format_exception(caught.value))
            assert "canary" not in told

    asyncio.run(body())


def test_an_address_of_another_kind_is_no_path(fakes, tmp_path):
    """It is refused without a word of it."""
    settings = InstrumentSettings("ftp://user:canary9@host/x.csv", tmp_path)
    with pytest.raises(ConfigError) as caught:
        asyncio.run(load_instruments(settings, fakes.clock()))

    assert "https://host/file.csv" in str(caught.value)
    assert "canary9" not in str(caught.value)


def test_a_path_is_read_as_it_is(fakes, tmp_path):
    """A local file needs no cache."""
    path = tmp_path / "own.csv"
    path.write_text(GOOD)
    settings = InstrumentSettings(str(path), tmp_path / "cache")

    assert lot_size(asyncio.run(load_instruments(settings, fakes.clock()))) == 1
    assert not (tmp_path / "cache").exists()


class NightClock(SystemClock):
    """A wall clock that the test sets."""

    text = "2026-09-15T23:59:59+05:30"

    def now(self):
        return Now(ns_from_iso(self.text), 0)


HDFC = InstrumentId(ExchangeSegment.NSE_EQ, "1333")


def test_circuit_limits_are_told_on_the_day_of_loading_alone(tmp_path):
    """An engine that runs on past midnight must not give yesterday's limits to a new position."""
    bounded = Instrument(HDFC, "HDFCBANK", 1, Decimal("0.05"), lower_circuit=Decimal(90),
                         upper_circuit=Decimal(110))  # fmt: skip
    clock = NightClock()
    settings = InstrumentSettings(str(tmp_path / "none.csv"), tmp_path)
    source = DailyInstruments(InstrumentMaster({HDFC: bounded}), settings, clock)
    assert source.get(HDFC) == bounded
    clock.text = "2026-09-16T00:00:00+05:30"

    found = source.get(HDFC)
    assert (found.lower_circuit, found.upper_circuit) == (None, None)
    assert found.trading_symbol == "HDFCBANK"
    assert source.get(InstrumentId(ExchangeSegment.NSE_EQ, "1")) is None


def test_a_process_that_runs_on_loads_the_next_days_master(tmp_path):
    """From eight o'clock on, and again until it comes: its contracts are known, its limits hold."""

    async def body():
        async with site() as server:
            clock = NightClock()
            settings = InstrumentSettings(server.url + "/master.csv", tmp_path)
            source = DailyInstruments(await load_instruments(settings, clock), settings, clock)
            added = InstrumentId(ExchangeSegment.NSE_EQ, "1334")
            server.text = GOOD + "NSE,E,1334,EQUITY,NEW,1.0,5.0000,\n"

            clock.text = "2026-09-16T07:59:00+05:30"
            await source.look()
            assert (source.get(added), server.count) == (None, 1)
            clock.text, server.status = "2026-09-16T08:00:00+05:30", 503
            with capture_logs() as told:
                await source.look()
            assert [one["event"] for one in told] == ["instruments_not_refreshed"]
            assert source.get(HDFC).trading_symbol == "HDFCBANK"

            server.status = 200
            await source.look()
            assert source.get(added).trading_symbol == "NEW"
            await source.look()
            assert server.count == 3

    asyncio.run(body())


def test_a_file_fetched_before_the_broker_made_the_days_is_fetched_again(tmp_path):
    """A start right after midnight caches the file of the day before under today's date."""

    async def body():
        async with site() as server:
            clock = NightClock()
            clock.text = "2026-09-15T00:10:00+05:30"
            settings = InstrumentSettings(server.url + "/master.csv", tmp_path)
            source = DailyInstruments(await load_instruments(settings, clock), settings, clock)
            fetched_ns = clock.now().wall_ns
            os.utime(settings.folder / TODAY, ns=(fetched_ns, fetched_ns))
            clock.text, server.status = "2026-09-15T08:05:00+05:30", 503
            older = await load_instruments(settings, clock)
            assert (lot_size(older), older.is_today) == (1, False)

            server.status, server.text = 200, OLDER
            await source.look()
            assert source.get(HDFC).lot_size == 2

    asyncio.run(body())


def test_rows_that_cannot_be_read_are_told_with_their_count(fakes, tmp_path):
    """A position in such an instrument cannot be watched, so a person must be able to know."""
    rows = "".join(f"NSE,E,{1333 + each},EQUITY,X,1.0,5.0000,\n" for each in range(99))
    path = tmp_path / "master.csv"
    path.write_text(f"{HEADER}\n{rows}NSE,E,1,EQUITY,X,none,5.0000,\n")

    with capture_logs() as told:
        asyncio.run(load_instruments(InstrumentSettings(str(path), tmp_path), fakes.clock()))

    assert [(one["log_level"], one["rows"], one["read"]) for one in told] == [("warning", 1, 99)]
