"""The work behind `squareoff doctor`: look at everything a start needs, and change nothing.

Each check gives one finding; a fault says what to do. No order call is made, no token is shown.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.credentials import FileToken, FixedToken, TokenSource
from squareoff.adapters.broker.dhan.instrument_source import InstrumentSettings, load_instruments
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import HttpRequest, TransportError
from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.schema import SchemaAge, schema_state
from squareoff.adapters.system import SystemClock
from squareoff.config import Settings
from squareoff.domain.errors import SquareoffError
from squareoff.domain.ids import AccountId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, iso_from_ns
from squareoff.ports import FeedConnected, StreamConnected

CALL_SECONDS_MAX = 10.0
CLOCK_SKEW_SECONDS_MAX = 2.0
"""The Date header has whole seconds; more than this shifts time rules and staleness."""

TOKEN_HOURS_MIN = 8.0
"""A token that ends before a session of 6:15 hours does leaves positions behind."""

_SQLITE = "sqlite:///"
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


def examine(settings: Settings) -> list[dict[str, Any]]:
    """Return the findings, in the order in which they matter."""
    return [asdict(finding) for finding in asyncio.run(_examine(settings))]


async def _examine(settings: Settings) -> list[Finding]:
    findings = [Finding("settings", True, f"{settings.mode} mode")]
    checks: list[tuple[str, Coroutine[Any, Any, tuple[bool, str]]]] = [
        ("database", _database(settings)),
        ("instruments", _instruments(settings)),
    ]
    if settings.mode == "live":
        checks += [
            ("clock", _clock(settings)),
            ("token", _token(settings)),
            ("static IP", _static_ip(settings)),
            ("order stream", _order_stream(settings)),
            ("market feed", _market_feed(settings)),
        ]
    for name, check in checks:
        findings.append(await _finding(name, check))
    return findings


async def _finding(name: str, check: Awaitable[tuple[bool, str]]) -> Finding:
    try:
        async with asyncio.timeout(CALL_SECONDS_MAX):
            ok, text = await check
    except TimeoutError:
        return Finding(name, False, f"no answer within {CALL_SECONDS_MAX:g} s: check the line")
    except (SquareoffError, TransportError) as error:
        return Finding(name, False, " ".join(str(error).split()))
    return Finding(name, ok, text)


async def _database(settings: Settings) -> tuple[bool, str]:
    url = settings.database_url.get_secret_value()
    name = url.removeprefix(_SQLITE)
    if name != url and not await asyncio.to_thread(Path(name).exists):
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
    master = await load_instruments(InstrumentSettings(source, Path()), SystemClock())
    age = "of today" if master.is_today else "of an earlier day: circuit limits are not known"
    return len(master) > 0, f"{len(master)} instruments {age}"


async def _clock(settings: Settings) -> tuple[bool, str]:
    async with _transport(settings) as transport:
        answer = await transport.send(HttpRequest("GET", "/profile"), CALL_SECONDS_MAX)
    date = answer.headers.get("date")
    if date is None:
        return True, "the broker tells no time to compare with"
    theirs = parsedate_to_datetime(date).timestamp()
    skew = SystemClock().now().wall_ns / NANOSECONDS_PER_SECOND - theirs
    # The header is cut to whole seconds, so an exact clock reads up to a second ahead.
    if -CLOCK_SKEW_SECONDS_MAX <= skew <= CLOCK_SKEW_SECONDS_MAX + 1:
        return True, "agrees with the broker's"
    return False, f"is {skew:+.1f} s off the broker's: turn on time synchronisation"


async def _token(settings: Settings) -> tuple[bool, str]:
    async with _transport(settings) as transport:
        client = DhanRestClient(RestSettings(_account(settings)), transport, _tokens(settings))
        profile = await client.profile()
    if profile.client_id != settings.credentials.client_id:
        return False, "belongs to another client than DHAN_CLIENT_ID"
    if profile.token_expires_ns is None:
        return True, "is alive; the broker does not say how long"
    left = (profile.token_expires_ns - SystemClock().now().wall_ns) / NANOSECONDS_PER_SECOND / 3_600
    text = f"lives {left:.1f} hours more, until {iso_from_ns(profile.token_expires_ns)}"
    if left < TOKEN_HOURS_MIN:
        return False, f"{text}: get a new one before the session"
    return True, text


async def _static_ip(settings: Settings) -> tuple[bool, str]:
    headers = {
        "access-token": _tokens(settings).current(),
        "client-id": _account(settings),
        "accept": "application/json",
    }
    async with _transport(settings) as transport:
        request = HttpRequest("GET", "/ip/getIP", headers=headers)
        answer = await transport.send(request, CALL_SECONDS_MAX)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    # A failing getIP was seen as HTTP 200 with an array (dhanhq-v2.md 1.5).
    if answer.status != 200 or not isinstance(found, dict):
        return False, "could not be asked: see that it is set in the broker's web app"
    if found.get("ordersAllowed") is False:
        return False, "orders are refused from this address: set it in the broker's web app"
    if not found.get("primaryIP") and not found.get("secondaryIP"):
        return False, "none is set: order calls will be refused; set it in the broker's web app"
    return True, "is set"


async def _order_stream(settings: Settings) -> tuple[bool, str]:
    async with _transport(settings) as transport:
        socket = SocketSettings(settings.dhan.order_update_url, _account(settings))
        updates = DhanOrderUpdates(socket, transport, _tokens(settings), SystemClock())
        return await _until(updates.run_once, StreamConnected)


async def _market_feed(settings: Settings) -> tuple[bool, str]:
    async with _transport(settings) as transport:
        socket = SocketSettings(settings.dhan.market_feed_url, _account(settings))
        feed = DhanMarketFeed(socket, transport, _tokens(settings), SystemClock())
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


def _tokens(settings: Settings) -> TokenSource:
    credentials = settings.credentials
    if credentials.access_token_file is not None:
        return FileToken(credentials.access_token_file)
    assert credentials.access_token is not None, "live settings hold one of the two"
    return FixedToken(credentials.access_token.get_secret_value())
