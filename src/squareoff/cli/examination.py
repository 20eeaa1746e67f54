"""The work behind `squareoff doctor`: look at everything a start needs, and change nothing.

Each check gives one finding; a fault says what to do. No order call is made, no token is shown.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.clock_readings import ClockReadings
from squareoff.adapters.broker.dhan.credentials import FileToken, FixedToken, TokenSource
from squareoff.adapters.broker.dhan.instrument_source import (
    DOWNLOAD_TIMEOUT_SECONDS,
    InstrumentSettings,
    load_instruments,
)
from squareoff.adapters.broker.dhan.jwt_claims import expires_ns_of, is_renewable
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.session_calls import SessionCalls
from squareoff.adapters.broker.dhan.session_setup import totp_secret
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import HttpRequest, TransportError
from squareoff.adapters.sql.database import open_database, sqlite_file
from squareoff.adapters.sql.schema import SchemaAge, schema_state
from squareoff.adapters.system import SystemClock
from squareoff.bootstrap import CACHE_FOLDER
from squareoff.cli import local_checks
from squareoff.config import Settings
from squareoff.core.session.clock_skew import READINGS_MIN, ClockSkew
from squareoff.core.session.token_plan import earliest_end_ns
from squareoff.domain.errors import BrokerUnreachable, FeedDisconnected, SquareoffError
from squareoff.domain.ids import AccountId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, iso_from_ns
from squareoff.ports import FeedConnected, StreamConnected

Working = Callable[[str], AbstractContextManager[None]]

CALL_SECONDS_MAX = 10.0
FETCH_SECONDS_MAX = DOWNLOAD_TIMEOUT_SECONDS + 60.0
"""The instrument file is fetched and then read, which takes a small machine its time too."""

TOKEN_HOURS_MIN = 8.0
"""A token that ends before a session of 6:15 hours does leaves positions behind."""

_INSTRUMENTS = "instruments"
_UNREACHED = "check this machine's network, and the broker's addresses in [dhan]"
_NO_TOKEN_YET = "cannot be tried before there is a token"
_DATABASE_TEXTS = {
    SchemaAge.EMPTY: (True, "empty; the first start makes it"),
    SchemaAge.SAME: (True, "of this version"),
    SchemaAge.OLDER: (False, "of an older version: run `squareoff db upgrade`"),
    SchemaAge.NEWER: (False, "of a newer version: use the program that made it"),
    SchemaAge.FOREIGN: (False, "holds tables that are not ours: name another database_url"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `text` says what to do where it is not ok."""

    name: str
    ok: bool
    text: str


Check = Callable[[], Awaitable[tuple[bool, str]]]


def examine(settings: Settings, working: Working) -> Iterator[dict[str, Any]]:
    """Yield the findings one by one, in the order in which they matter.

    Args:
        working: shows the name of a check while it runs.
    """
    for name, check in _checks(settings):
        with working(f"examining: {name}"):
            seconds = FETCH_SECONDS_MAX if name == _INSTRUMENTS else CALL_SECONDS_MAX
            finding = asyncio.run(_finding(name, check(), seconds))
        yield asdict(finding)


def _checks(settings: Settings) -> list[tuple[str, Check]]:
    is_live = settings.mode == "live"
    checks: list[tuple[str, Check]] = [
        ("settings", _told(lambda _: (True, f"{settings.mode} mode"), settings)),
        ("files", _told(local_checks.files, settings)),
        ("disk", _told(local_checks.disk, settings)),
        ("alarms", _told(local_checks.alerts, settings)),
        ("database", partial(_database, settings)),
        (_INSTRUMENTS, partial(_instruments, settings)),
    ]
    if not is_live:
        checks.append(("paper prices", _told(local_checks.paper_prices, settings)))
    if is_live or (settings.credentials.client_id and not settings.paper.ticks):
        checks += [
            ("clock", partial(_clock, settings)),
            ("token", partial(_token, settings)),
            ("renewal", partial(_renewal, settings)),
            ("market feed", partial(_market_feed, settings)),
        ]
    if is_live:
        checks += [
            ("static IP", partial(_static_ip, settings)),
            ("order stream", partial(_order_stream, settings)),
        ]
    return checks


def _told(look: Callable[[Settings], tuple[bool, str]], settings: Settings) -> Check:
    async def check() -> tuple[bool, str]:
        return await asyncio.to_thread(look, settings)

    return check


async def _finding(name: str, check: Awaitable[tuple[bool, str]], seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            ok, text = await check
    except TimeoutError:
        return Finding(name, False, f"no answer within {seconds:g} s: check the line")
    except (TransportError, SquareoffError) as error:
        return Finding(name, False, _fault_text(error))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        where = "" if error.filename is None else f"{error.filename}: "
        return Finding(name, False, f"{where}{reason}: let this user have it, or name another")
    return Finding(name, ok, text)


def _fault_text(error: Exception) -> str:
    """Say on one line what failed; where the broker gave no reason, it was not reached."""
    text = " ".join(str(error).split())
    if isinstance(error, FeedDisconnected):
        was_reached = error.code is not None
    else:
        was_reached = not isinstance(error, TransportError | BrokerUnreachable)
    return text if was_reached else f"{text}: {_UNREACHED}"


async def _database(settings: Settings) -> tuple[bool, str]:
    url = settings.database_url.get_secret_value()
    path = sqlite_file(url)
    if path is not None and not await asyncio.to_thread(path.exists):
        if not await asyncio.to_thread(path.parent.is_dir):
            return False, f"the folder {path.parent} is not there: make it, or name another one"
        return True, f"{url}: not there yet; the first start makes it"
    database = open_database(url)
    try:
        ok, text = _DATABASE_TEXTS[(await schema_state(database)).age]
    finally:
        await database.close()
    return ok, f"{database.display_url}: {text}"


async def _instruments(settings: Settings) -> tuple[bool, str]:
    source = settings.instrument_master
    if source is None:
        return True, "no instrument master: every position must bring its lot and tick"
    with TemporaryDirectory() as folder:
        mine = InstrumentSettings(source, Path(folder))
        await asyncio.to_thread(_lend, InstrumentSettings(source, CACHE_FOLDER).folder, mine.folder)
        master = await load_instruments(mine, SystemClock())
    age = "of today" if master.is_today else "of an earlier day: circuit limits are not known"
    return len(master) > 0, f"{len(master)} instruments {age}"


def _lend(kept: Path, folder: Path) -> None:
    """Show what the engine has cached at another place, where a download changes nothing of it."""
    if kept.is_dir():
        shutil.copytree(kept.resolve(), folder, copy_function=os.symlink)


async def _clock(settings: Settings) -> tuple[bool, str]:
    skew = ClockSkew()
    clock = SystemClock()
    async with _transport(settings) as transport:
        readings = ClockReadings(transport, clock)
        for _ in range(READINGS_MIN):
            await readings.send(HttpRequest("GET", "/profile"), CALL_SECONDS_MAX)
        for each in readings.take():
            skew.note_answer(
                theirs_ns=each.theirs_ns, sent_ns=each.sent_ns, received_ns=each.received_ns
            )
    verdict = skew.verdict()
    if verdict.offset_seconds is None:
        return True, "the broker tells no time to compare with, or answers too slowly"
    if not verdict.is_too_large:
        return True, "agrees with the broker's"
    return (
        False,
        f"is {verdict.offset_seconds:+.1f} s off the broker's: turn on time synchronisation",
    )


async def _token(settings: Settings) -> tuple[bool, str]:
    tokens = _tokens(settings)
    if tokens is None:
        return True, "there is none yet; PIN and one-time code make one at the start"
    async with _transport(settings) as transport:
        calls = SessionCalls(_account(settings), transport)
        profile = await calls.profile(tokens.current())
    if profile.client_id != settings.credentials.client_id:
        return False, "belongs to another client than DHAN_CLIENT_ID"
    ends_ns = earliest_end_ns(profile.token_expires_ns, expires_ns_of(tokens.current()))
    if ends_ns is None:
        return True, "is alive; nothing says how long"
    left = (ends_ns - SystemClock().now().wall_ns) / NANOSECONDS_PER_SECOND / 3_600
    text = f"lives {left:.1f} hours more, until {iso_from_ns(ends_ns)[:16]}"
    if left < TOKEN_HOURS_MIN and not _renews_itself(settings, tokens):
        return False, f"{text}: get a new one before the session"
    return True, text


def _renews_itself(settings: Settings, tokens: TokenSource) -> bool:
    return settings.credentials.pin is not None or is_renewable(tokens.current())


async def _renewal(settings: Settings) -> tuple[bool, str]:
    """Say how the token is replaced, without doing so; PIN and secret are not tried."""
    credentials = settings.credentials
    if credentials.totp_secret is not None:
        totp_secret(credentials.totp_secret.get_secret_value())
        return True, "by PIN and one-time code, also when the token is dead"
    if credentials.access_token_file is None:
        return True, "a living token made on the web page, ahead of its end; it is kept nowhere"
    folder = credentials.access_token_file.resolve().parent
    if not os.access(folder, os.W_OK):
        return False, "the folder of DHAN_ACCESS_TOKEN_FILE cannot be written: a renewal is lost"
    return True, "a living token made on the web page, ahead of its end; saved to its file"


async def _static_ip(settings: Settings) -> tuple[bool, str]:
    tokens = _tokens(settings)
    if tokens is None:
        return True, _NO_TOKEN_YET
    async with _transport(settings) as transport:
        calls = SessionCalls(_account(settings), transport)
        state = await calls.address(tokens.current())
    here = f" ({state.detected})" if state.detected else ""
    if state.orders_allowed is False:
        known = ", ".join(state.registered) or "none"
        return False, (
            f"orders are refused from this address{here}; registered: {known}: set it in the "
            "broker's web app"
        )
    if state.orders_allowed is None:
        return True, f"is set: {', '.join(state.registered)}; see that this machine has it"
    return True, f"is set, and orders are taken from here{here}"


async def _order_stream(settings: Settings) -> tuple[bool, str]:
    tokens = _tokens(settings)
    if tokens is None:
        return True, _NO_TOKEN_YET
    async with _transport(settings) as transport:
        socket = SocketSettings(settings.dhan.order_update_url, _account(settings))
        updates = DhanOrderUpdates(socket, transport, tokens, SystemClock())
        return await _until(updates.run_once, StreamConnected)


async def _market_feed(settings: Settings) -> tuple[bool, str]:
    tokens = _tokens(settings)
    if tokens is None:
        return True, _NO_TOKEN_YET
    async with _transport(settings) as transport:
        socket = SocketSettings(settings.dhan.market_feed_url, _account(settings))
        feed = DhanMarketFeed(socket, transport, tokens, SystemClock())
        return await _until(feed.run_once, FeedConnected)


async def _until(
    run_once: Callable[[Callable[[Any], None]], Awaitable[None]], wanted: type[object]
) -> tuple[bool, str]:
    """Run a socket until it says that it is connected, then let go of it."""
    try:
        async with asyncio.timeout(None) as limit:

            def publish(event: object) -> None:
                if isinstance(event, wanted):
                    limit.reschedule(asyncio.get_running_loop().time())

            await run_once(publish)
    except TimeoutError:
        return True, "connects"
    return False, "ended at once"


@asynccontextmanager
async def _transport(settings: Settings) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(settings.dhan.rest_url)
    try:
        yield transport
    finally:
        await transport.close()


def _account(settings: Settings) -> AccountId:
    return AccountId(settings.credentials.client_id or "")


def _tokens(settings: Settings) -> TokenSource | None:
    """Return the token as it stands, None where only a login would make one."""
    credentials = settings.credentials
    path = credentials.access_token_file
    can_log_in = credentials.totp_secret is not None
    if path is not None and not (can_log_in and not path.exists()):
        return FileToken(path)
    if credentials.access_token is None:
        return None
    return FixedToken(credentials.access_token.get_secret_value())
