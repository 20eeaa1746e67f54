"""Get the instrument master from a path or an address, with a daily cache.

Source: dhanhq-v2.md 8.2 (refresh daily before the session; the file may sit behind a redirect).

Rules:
1. A path is read as it is. An address is fetched once a day (IST) into the cache folder, and again
   where that was before `REFRESH_HOUR`; a file becomes the cache only after it has been read
   without fault.
2. Where today's cannot be fetched or is corrupt, the newest cached file of the last
   `CACHE_DAYS_MAX` days does, without its circuit limits; the master says so (`is_today`). Older
   ones serve nobody and are removed: a year of them would fill the disk that the database is on.
3. Circuit limits are those of the day of loading. An engine that runs on into the next day has none
   until it has loaded that day's master (`DailyInstruments`), which it tries until it succeeds.
4. The download carries no token of ours and follows redirects; it is the only request that does.
5. An address may hold a secret of its host's: messages show its scheme and host alone.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import aiohttp
import structlog

from squareoff.adapters.broker.dhan.instruments import InstrumentMaster, read_master_file
from squareoff.adapters.shown_address import shown_address
from squareoff.domain.errors import ConfigError, StartPrevented
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.time import Now, ist_day_number, ist_midnight_ns, seconds_to_ns
from squareoff.ports import Clock

_log = structlog.get_logger("squareoff.instrument_source")
CACHE_DAYS_MAX = 7
"""A week bridges any run of holidays; lot sizes older than that are not to be traded on."""

DOWNLOAD_TIMEOUT_SECONDS = 120.0
"""The file has some 50 MB; two minutes allow for a 4 Mbit/s line."""

DOWNLOAD_BYTES_MAX = 300 * 1024 * 1024
REFRESH_HOUR = 8
"""IST; the broker makes the file anew in the night, and the first exchange opens at 9:00."""

RETRY_SECONDS = 300.0
_CHUNK_BYTES = 256 * 1024
_CACHED_NAME = re.compile(r"instruments-(\d{4}-\d{2}-\d{2})\.(csv|part)\Z")


@dataclass(frozen=True, slots=True)
class InstrumentSettings:
    """Path or http(s) address of the detailed CSV, where to cache, and which segments to keep."""

    source: str
    cache_folder: Path
    segments: frozenset[ExchangeSegment] | None = None

    @property
    def folder(self) -> Path:
        """Where this source's files are kept: never beside another source's, for lots and ids of
        a rehearsal must not be taken for the broker's."""
        return self.cache_folder / sha256(self.source.encode()).hexdigest()[:12]


class DailyInstruments:
    """The master of the day for a process that runs through the night.

    A master of an earlier day goes on to be asked until the day's own is loaded, and tells no
    circuit limits meanwhile.
    """

    def __init__(
        self, master: InstrumentMaster, settings: InstrumentSettings, clock: Clock
    ) -> None:
        self._master = master
        self._settings = settings
        self._clock = clock
        self._loaded_at_ns = clock.now().wall_ns

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the instrument, or None where the master does not hold it."""
        found = self._master.get(instrument_id)
        if found is None or self._is_of_today(self._clock.now()):
            return found
        return replace(found, lower_circuit=None, upper_circuit=None)

    async def run(self) -> None:
        """Load each day's master once it is made; never returns."""
        while True:
            await self._clock.sleep(RETRY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Load the master anew where the one that is held is not of today's session."""
        now = self._clock.now()
        if now.ist().hour < REFRESH_HOUR or (
            self._master.is_today and self._loaded_at_ns >= _made_from_ns(now)
        ):
            return
        try:
            master = await load_instruments(self._settings, self._clock)
        except (ConfigError, StartPrevented) as error:
            self._tell_of_failure(str(error))
            return
        if not master.is_today:  # an older file, which tells nothing new
            self._tell_of_failure("the address did not answer with a usable file")
            return
        self._master, self._loaded_at_ns = master, now.wall_ns
        _log.info("instruments_refreshed", instruments=len(master))

    @staticmethod
    def _tell_of_failure(reason: str) -> None:
        _log.warning("instruments_not_refreshed", reason=reason, retry_seconds=RETRY_SECONDS)

    def _is_of_today(self, now: Now) -> bool:
        return ist_day_number(now.wall_ns) == ist_day_number(self._loaded_at_ns)


async def load_instruments(settings: InstrumentSettings, clock: Clock) -> InstrumentMaster:
    """Return the instrument master; what of it could not be read is told once, by its count.

    Raises:
        ConfigError: no usable file; the text names it and what is wrong.
        StartPrevented: an address gave none, which may pass; the text names its host.
    """
    master = await _load(settings, clock)
    if master.skipped_count:
        _log.warning("instruments_unreadable", rows=master.skipped_count, read=len(master))
    return master


async def _load(settings: InstrumentSettings, clock: Clock) -> InstrumentMaster:
    scheme, separator, _ = settings.source.partition("://")
    if not separator:
        return await _read(Path(settings.source), settings.segments)
    if scheme not in ("http", "https"):
        raise ConfigError("instruments: must be a path, or an address as https://host/file.csv")
    now = clock.now()
    today = now.ist().date()
    cached = settings.folder / f"instruments-{today.isoformat()}.csv"
    if await asyncio.to_thread(_is_newest, cached, now):
        with contextlib.suppress(ConfigError):  # a damaged cache is fetched again
            return await _read(cached, settings.segments)
    try:
        master = await _fetch_and_read(settings, cached)
    except ConfigError as error:
        older = await _read_older(settings, today)
        if older is None:
            raise StartPrevented(
                f"{error}; no cached file of the last {CACHE_DAYS_MAX} days"
            ) from error
        return older
    await asyncio.to_thread(_remove_old, settings.folder, today)
    return master


def _made_from_ns(now: Now) -> int:
    """Return the instant (UTC ns) from which the file of the day is surely the new one."""
    return ist_midnight_ns(now.wall_ns) + seconds_to_ns(REFRESH_HOUR * 3600)


def _is_newest(cached: Path, now: Now) -> bool:
    """Say whether a file of today is there, and not one of before the broker made the day's."""
    try:
        fetched_at_ns = cached.stat().st_mtime_ns
    except OSError:
        return False
    made_from_ns = _made_from_ns(now)
    return now.wall_ns < made_from_ns or fetched_at_ns >= made_from_ns


async def _fetch_and_read(settings: InstrumentSettings, cached: Path) -> InstrumentMaster:
    fresh = cached.with_suffix(".part")
    try:
        await asyncio.to_thread(cached.parent.mkdir, parents=True, exist_ok=True)
        await _download(settings.source, fresh)
        master = await _read(fresh, settings.segments)
        await asyncio.to_thread(fresh.replace, cached)
    except OSError as error:
        raise ConfigError(
            f"instruments: the cache {cached.parent} cannot be written ({type(error).__name__})"
        ) from error
    finally:
        await asyncio.to_thread(fresh.unlink, missing_ok=True)
    return master


async def _read_older(settings: InstrumentSettings, today: date) -> InstrumentMaster | None:
    for path in await asyncio.to_thread(_cached_files, settings.folder, today):
        with contextlib.suppress(ConfigError):  # try the next older one
            return await _read(path, settings.segments, is_today=False)
    return None


def _cached_files(folder: Path, today: date) -> list[Path]:
    """Return cached files within the limit, newest first; today's is of before it was made anew."""
    files = [
        (day, path)
        for day, path in _files_by_day(folder, ".csv")
        if 0 <= (today - day).days <= CACHE_DAYS_MAX
    ]
    return [path for _, path in sorted(files, reverse=True)]


def _remove_old(folder: Path, today: date) -> None:
    """Remove what no later day reads: cached files, and downloads that were cut short."""
    old = [
        path
        for suffix, days_max in ((".csv", CACHE_DAYS_MAX), (".part", 0))
        for day, path in _files_by_day(folder, suffix)
        if (today - day).days > days_max
    ]
    for path in old:
        with contextlib.suppress(OSError):  # tomorrow's start tries again
            path.unlink()


def _files_by_day(folder: Path, suffix: str) -> Iterator[tuple[date, Path]]:
    for path in folder.glob(f"instruments-*{suffix}"):
        match = _CACHED_NAME.match(path.name)
        day = _date_or_none(match[1]) if match else None
        if day is not None:
            yield day, path


def _date_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def _read(
    path: Path, segments: Iterable[ExchangeSegment] | None, *, is_today: bool = True
) -> InstrumentMaster:
    return await asyncio.to_thread(read_master_file, path, segments, is_today=is_today)


async def _download(address: str, target: Path) -> None:
    """Fetch an address into a file, whole or not at all."""
    timeout = aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session,
            session.get(address) as response,
        ):
            if response.status != 200:
                raise ConfigError(
                    f"instruments: {shown_address(address)} was answered with {response.status}"
                )
            await _save(response, address, target)
    except (aiohttp.ClientError, ValueError, TimeoutError) as error:
        raise ConfigError(
            f"instruments: {shown_address(address)} could not be fetched ({type(error).__name__})"
        ) from None  # the library's error holds the whole address


async def _save(response: aiohttp.ClientResponse, address: str, target: Path) -> None:
    size = 0
    with target.open("wb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > DOWNLOAD_BYTES_MAX:
                raise ConfigError(
                    f"instruments: {shown_address(address)} is longer than {DOWNLOAD_BYTES_MAX}"
                )
            await asyncio.to_thread(file.write, chunk)
