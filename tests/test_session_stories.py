"""Tokens that die and addresses that are refused: the whole engine against the simulated broker.

Real HTTP and sockets on loopback, settings from an environment, SQLite in a file.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import structlog

from async_body import run_async
from squareoff.adapters.broker.dhan.totp import TotpSecret
from squareoff.adapters.system import SystemClock
from squareoff.assembly import Engine
from squareoff.bootstrap import EngineHooks, open_engine
from squareoff.cli.logs import configure_logs
from squareoff.config import load_settings
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.services.exits.exit_results import Wait
from squareoff.simulator.embedded import EmbeddedSimulator
from squareoff.simulator.server import SimulatorOptions

CLIENT = "1100000001"
OLD, NEW = "canary-old-token-51c0ffee", "canary-new-token-5eed5eed"
PIN, SECRET = "90210421", "CANARYSECRETCANARYSECRET"
SECURITY = {"exchange_segment": "NSE_FNO", "security_id": "49543"}
DEADLINE_SECONDS = 25.0
STORY_SECONDS = 60.0


@dataclass
class Story:
    """A running engine, its simulator and its folder."""

    folder: Path
    simulator: EmbeddedSimulator
    engine: Engine
    secrets: list[str] = field(default_factory=list)

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self.simulator.admin, method, path, body)

    async def hold(self) -> TrackerId:
        """Hold 75 units at the broker and track them."""
        await self.admin("POST", "ticks", [{**SECURITY, "last_price": 26000.0}])
        row = {**SECURITY, "product_type": "INTRADAY", "net_quantity": 75, "price": 26000.0}
        await self.admin("POST", "positions", row)
        position = PositionRequest(
            exchange_segment=ExchangeSegment.NSE_FNO,
            security_id="49543",
            product_type=ProductType.INTRADAY,
            side=PositionSide.LONG,
            quantity=75,
            entry_price=Decimal(26000),
            rules=RuleSet(),
            lot_size=75,
            tick_size=Decimal("0.1"),
        )
        return TrackerId((await self.engine.desk.track(position)).id)

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not claim():
                await asyncio.sleep(0.01)

    def blocked_for(self, tracker_id: TrackerId) -> str:
        actor = self.engine.exit_engine.book.get(tracker_id)
        assert actor is not None
        intent = actor.tracker.intent
        reason = None if intent is None else intent.block_reason
        return "" if reason is None else reason.value

    def is_exited(self, tracker_id: TrackerId) -> bool:
        actor = self.engine.exit_engine.book.get(tracker_id)
        assert actor is not None
        return actor.tracker.status is PositionStatus.EXITED

    def sockets_are_up(self) -> bool:
        status = self.engine.status.view()
        return (status.market_feed, status.order_stream) == ("connected", "connected")

    async def orders(self) -> list[Any]:
        state = await self.admin("GET", "state?parts=orders")
        return [order for order in state["orders"] if order["correlation_id"]]

    async def calls(self, path: str) -> list[Any]:
        state = await self.admin("GET", "state?parts=received")
        return [call for call in state["received"] if call["path"] == path]

    def journal(self, kind: str) -> list[dict[str, Any]]:
        database = sqlite3.connect(self.folder / "engine.db")
        with contextlib.closing(database):
            rows = database.execute("SELECT data FROM journal WHERE kind = ? ORDER BY seq", (kind,))
            return [json.loads(data) for (data,) in rows]

    def alarms(self) -> list[str]:
        """Return the codes of all alarms raised, those of single positions aside."""
        return [row["code"] for row in self.journal("alarm_raised")]


@pytest.fixture
def simulator() -> Iterator[EmbeddedSimulator]:
    """Give a simulator whose dead tokens also end sockets."""
    conduct = {"login_pin": PIN, "login_totp_secret": SECRET, "token_death_ends_sockets": True}
    options = SimulatorOptions(clock=SystemClock(), port=0, conduct=conduct)
    with EmbeddedSimulator(options) as running:
        yield running


@pytest.fixture
def _engines_logs(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Log as the engine does, debug chatter of libraries included, and put it back after."""
    root, ours = logging.getLogger(), logging.getLogger("squareoff")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers, root.level, ours.level = before
    structlog.reset_defaults()


@asynccontextmanager
async def story(
    folder: Path, simulator: EmbeddedSimulator, on_secret: Callable[[str], None], **variables: str
) -> AsyncIterator[Story]:
    """Run an engine around the body, with these variables besides the simulator's addresses."""
    environment = {
        "SQUAREOFF_MODE": "live",
        "SQUAREOFF_SESSION": "always",
        "SQUAREOFF_DATABASE_URL": f"sqlite:///{folder / 'engine.db'}",
        "SQUAREOFF_INSTRUMENTS": str(folder / "instruments.csv"),
        "DHAN_REST_URL": simulator.rest_url,
        "DHAN_AUTH_URL": simulator.rest_url.removesuffix("/v2"),
        "DHAN_ORDER_UPDATE_URL": simulator.order_update_url,
        "DHAN_MARKET_FEED_URL": simulator.feed_url,
        "DHAN_CLIENT_ID": CLIENT,
    }
    settings = load_settings(folder / "none.toml", environment | variables)
    hooks = EngineHooks(on_secret=on_secret)
    async with open_engine(settings, hooks) as engine, asyncio.TaskGroup() as tasks:
        run = tasks.create_task(engine.supervisor.run())
        told = Story(folder, simulator, engine)
        try:
            await told.until(lambda: engine.status.view().is_ready)
            yield told
        finally:
            run.cancel()


def play(
    folder: Path,
    simulator: EmbeddedSimulator,
    body: Callable[[Story], Any],
    on_secret: Callable[[str], None] = lambda token: None,
    **variables: str,
) -> None:
    """Play one story."""
    (folder / "none.toml").write_text("")
    with urlopen(f"{simulator.rest_url.removesuffix('/v2')}/instruments.csv") as master:
        (folder / "instruments.csv").write_bytes(master.read())

    async def run() -> None:
        async with story(folder, simulator, on_secret, **variables) as told:
            await body(told)

    run_async(run(), STORY_SECONDS)


def token_file(folder: Path, token: str = OLD) -> Path:
    path = folder / "token"
    path.write_text(f"{token}\n")
    return path


def test_a_token_that_dies_in_mid_exit_is_taken_from_its_file(
    tmp_path: Path, simulator: EmbeddedSimulator
) -> None:
    """The exit waits for the token, goes on the moment the file holds a new one, one alarm."""
    path = token_file(tmp_path)

    async def body(told: Story) -> None:
        tracker_id = await told.hold()
        await told.admin("POST", "tokens", {"kill": [OLD]})
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: told.blocked_for(tracker_id) != "")
        await told.until(lambda: told.alarms() != [])
        assert not told.engine.status.view().is_ready
        path.write_text(f"{NEW}\n")
        await told.until(lambda: told.is_exited(tracker_id))
        await told.until(told.sockets_are_up)
        await told.until(lambda: told.journal("alarm_cleared") != [])

        assert len(await told.orders()) == 1
        assert told.alarms() == ["token_dead"]
        assert [fact["how"] for fact in told.journal("token_replaced")] == ["file"]
        sockets = (await told.admin("GET", "state?parts=sockets"))["sockets"]
        assert (sockets["order_update"], sockets["feed"]) == (1, 1)

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path))


@pytest.mark.parametrize("sign", ["401", "400", "807", "809"])
def test_a_token_that_dies_in_mid_exit_is_made_anew_by_a_login(
    tmp_path: Path, simulator: EmbeddedSimulator, sign: str
) -> None:
    """Whatever the sign: PIN and code make a token, saved privately, and the exit completes."""
    path = token_file(tmp_path)

    async def body(told: Story) -> None:
        await told.admin("POST", "conduct", {"dead_token_answer": sign})
        tracker_id = await told.hold()
        await told.admin("POST", "tokens", {"kill": [OLD]})
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: told.is_exited(tracker_id))
        await told.until(told.sockets_are_up)

        assert len(await told.orders()) == 1
        assert told.alarms() == ["token_dead"]
        assert [fact["how"] for fact in told.journal("token_replaced")] == ["login"]
        assert len(await told.calls("/app/generateAccessToken")) == 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert OLD not in path.read_text() and path.read_text().startswith("eyJ")

    login = {"DHAN_PIN": PIN, "DHAN_TOTP_SECRET": SECRET}
    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path), **login)


@pytest.mark.parametrize("refusal", ["packet", "reset"])
def test_a_death_that_only_the_sockets_tell_is_noticed(
    tmp_path: Path, simulator: EmbeddedSimulator, refusal: str
) -> None:
    """Packet 50 or a bare reset on the feed, a reset after the login: the broker is asked."""
    path = token_file(tmp_path)

    async def body(told: Story) -> None:
        await told.admin("POST", "conduct", {"feed_bad_token_reset": refusal == "reset"})
        await told.admin("POST", "tokens", {"kill": [OLD]})
        await told.until(lambda: told.journal("token_replaced") != [])
        await told.until(told.sockets_are_up)

        assert told.alarms() == ["token_dead"]

    login = {"DHAN_PIN": PIN, "DHAN_TOTP_SECRET": SECRET}
    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path), **login)


@pytest.mark.parametrize("shape", ["documented", "token"])
def test_a_token_near_its_end_is_renewed_and_saved(
    tmp_path: Path, simulator: EmbeddedSimulator, shape: str
) -> None:
    """RenewToken kills the old token; the new one is in the file and on both sockets, no alarm."""
    simulator.admin("POST", "conduct", {"token_hours": 0.3, "renew_answer": shape})
    path = token_file(tmp_path)

    async def body(told: Story) -> None:
        await told.until(lambda: told.journal("token_replaced") != [])
        await told.until(told.sockets_are_up)
        tracker_id = await told.hold()
        await told.engine.desk.exit(tracker_id, "by hand", Wait.FILLED, 15.0)

        assert told.is_exited(tracker_id)
        assert [fact["how"] for fact in told.journal("token_replaced")] == ["renewal"]
        assert len(await told.calls("/RenewToken")) == 1
        assert path.read_text().startswith("eyJ")
        assert told.engine.status.view().token_expires_ns is not None
        assert told.alarms() in ([], ["token_ends_soon"])

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path))


def test_a_token_that_cannot_be_renewed_is_told_ahead(
    tmp_path: Path, simulator: EmbeddedSimulator
) -> None:
    """Renewal refused and no login at hand: one alarm ahead of the end says what to do."""
    simulator.admin("POST", "conduct", {"token_hours": 0.9, "renew_allowed": False})

    async def body(told: Story) -> None:
        await told.until(lambda: told.alarms() != [])

        assert told.alarms() == ["token_ends_soon"]
        assert "DHAN_ACCESS_TOKEN_FILE" in told.journal("alarm_raised")[0]["message"]
        assert told.sockets_are_up()

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN=OLD)


def test_a_start_after_a_lost_renewal_logs_in(tmp_path: Path, simulator: EmbeddedSimulator) -> None:
    """The file holds a dead token, as after a crash between renewal and save: it recovers."""
    simulator.admin("POST", "tokens", {"kill": [OLD]})
    path = token_file(tmp_path)

    async def body(told: Story) -> None:
        assert told.alarms() == ["token_dead"]
        assert path.read_text().startswith("eyJ")

    login = {"DHAN_PIN": PIN, "DHAN_TOTP_SECRET": SECRET}
    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path), **login)


def test_a_start_without_any_token_logs_in(tmp_path: Path, simulator: EmbeddedSimulator) -> None:
    """PIN and secret are enough; the file is made."""
    path = tmp_path / "token"

    async def body(told: Story) -> None:
        assert path.read_text().startswith("eyJ")
        assert [fact["how"] for fact in told.journal("token_replaced")] == ["login"]

    login = {"DHAN_PIN": PIN, "DHAN_TOTP_SECRET": SECRET}
    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN_FILE=str(path), **login)


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [(401, "810", "Client ID is invalid"), (400, "809", "Access token is invalid")],
)
def test_a_token_that_only_the_data_side_refuses_holds_no_exit_back(
    tmp_path: Path, simulator: EmbeddedSimulator, status: int, code: str, text: str
) -> None:
    """The profile takes the token: an exit without a price goes out at the market, once."""
    refusal = {"status": status, "body": {"status": "failed", "data": {code: text}}}

    async def body(told: Story) -> None:
        quotes = {"method": "POST", "path": "/v2/marketfeed/*"}
        await told.admin("POST", "faults", {"where": quotes, "what": refusal})
        await told.admin("POST", "faults", {"where": {"socket": "feed"}, "what": {"silence": True}})
        tracker_id = await told.hold()
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: told.is_exited(tracker_id))

        assert len(await told.orders()) == 1
        assert [sent["order_type"] for sent in told.journal("order_sent")] == ["MARKET"]
        assert (await told.admin("GET", "faults"))[0]["fired"] > 0
        assert not {"token_dead", "token_not_made"} & set(told.alarms())

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN=OLD)


@pytest.mark.parametrize("plan", ["806_401", "806_400", "DH-902_401", "DH-902_403"])
def test_an_account_without_a_data_plan_exits_at_the_market(
    tmp_path: Path, simulator: EmbeddedSimulator, plan: str
) -> None:
    """Feed and quotes are refused for good: the exit goes out once, without a price, and ends."""

    async def body(told: Story) -> None:
        await told.admin("POST", "conduct", {"data_plan": plan})
        await told.admin("POST", "sockets", {"disconnect": "feed", "how": "close"})
        await told.until(lambda: "market_feed_refused" in told.alarms())
        tracker_id = await told.hold()
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: told.is_exited(tracker_id))

        assert len(await told.orders()) == 1
        assert [sent["order_type"] for sent in told.journal("order_sent")] == ["MARKET"]
        refusals = {call["status"] for call in await told.calls("/marketfeed/quote")}
        assert refusals == {int(plan[-3:])}
        trouble = {"token_dead", "token_not_made", "token_refused_in_part"}
        assert not trouble & set(told.alarms())

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN=OLD)


@pytest.mark.parametrize("code", ["DH-905", "DH-911"])
def test_a_refused_address_is_one_alarm_and_reads_go_on(
    tmp_path: Path, simulator: EmbeddedSimulator, code: str
) -> None:
    """Orders are refused for the address: the exits wait for it, told once with the address."""

    async def body(told: Story) -> None:
        await told.until(lambda: told.journal("engine_started") != [])
        tracker_id = await told.hold()
        await told.admin("POST", "conduct", {"static_ip_allowed": False, "static_ip_code": code})
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: told.blocked_for(tracker_id) == "static_ip")
        await told.until(lambda: told.alarms() != [])

        assert told.alarms() == ["static_ip_refused"]
        message = told.journal("alarm_raised")[0]["message"]
        assert "127.0.0.1" in message and "192.0.2.1" in message
        assert await told.engine.reconciler.reconcile("test") == ()

    play(tmp_path, simulator, body, DHAN_ACCESS_TOKEN=OLD)


@pytest.mark.usefixtures("_engines_logs")
def test_no_secret_is_anywhere(
    tmp_path: Path, simulator: EmbeddedSimulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """PIN, TOTP secret, codes, old and new tokens: in no log, journal row, file but the token's."""
    redactor = configure_logs((), level=logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    path = token_file(tmp_path)
    seen = [OLD, PIN, SECRET]

    def take_note(token: str) -> None:
        seen.append(token)
        redactor.add(token)

    async def body(told: Story) -> None:
        tracker_id = await told.hold()
        seen.append(TotpSecret(SECRET).code(SystemClock().now().wall_ns))
        await told.admin("POST", "conduct", {"login_pin": "another"})
        await told.admin("POST", "tokens", {"kill": [OLD]})
        await told.engine.desk.exit(tracker_id, "by hand", Wait.CLAIMED, 1.0)
        await told.until(lambda: "token_not_made" in told.alarms())
        path.write_text(f"{NEW}\n")
        await told.until(lambda: told.is_exited(tracker_id))

    login = {"DHAN_PIN": PIN, "DHAN_TOTP_SECRET": SECRET}
    play(tmp_path, simulator, body, take_note, DHAN_ACCESS_TOKEN_FILE=str(path), **login)

    out, err = capfd.readouterr()
    stored = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p != path and p.is_file())
    assert "token_replaced" in err, "the log was captured"
    assert NEW in seen
    for secret in seen:
        assert secret not in out + err
        assert len(secret) < 8 or secret.encode() not in stored
