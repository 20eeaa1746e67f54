"""The process and its files: controls T1, T12 and T15 to T18 of docs/security.md."""

import ast
import asyncio
import json
import logging
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog

from api_rig import ApiRig
from engine_process.environment import clean_environment, simulator_environment
from engine_process.programs import Program, running
from engine_process.sockets import listening_addresses
from squareoff.adapters.private_files import folder_open_to_all, open_to_others
from squareoff.cli.logs import configure_logs
from squareoff.config import load_settings
from squareoff.config.names import setting_names
from squareoff.domain.errors import ConfigError
from squareoff.web.roles import Role
from squareoff.web.server import ApiServer, serve_for_good
from squareoff.web.standby_app import StandbyPost, create_standby_app

Capture = pytest.CaptureFixture[str]

SOURCE_FOLDER = Path(__file__).resolve().parents[2] / "src" / "squareoff"
CANARY = "canary7f3aCANARY"
SECRETS = {
    "SQUAREOFF_API_TOKEN": f"{CANARY}-admin-token",
    "SQUAREOFF_API_OPERATE_TOKEN": f"{CANARY}-operate-token",
    "SQUAREOFF_API_READ_TOKEN": f"{CANARY}-read-token",
    "DHAN_ACCESS_TOKEN": f"{CANARY}-access-token",
    "DHAN_PIN": f"{CANARY}-pin",
    "DHAN_TOTP_SECRET": "CANARY7F3ACANARY",
    "SQUAREOFF_REDIS_URL": f"redis://:{CANARY}-redis@127.0.0.1:9/0",
    "SQUAREOFF_ALERT_URLS": f"json://user:{CANARY}-alert@127.0.0.1:9/",
}
LIVE = {"SQUAREOFF_MODE": "live", "DHAN_CLIENT_ID": "1100000001"}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give a running simulator."""
    with running(tmp_path_factory.mktemp("simulator"), "sim", "--port", "0", "--json") as program:
        yield program


def test_t01_a_running_engine_listens_on_loopback_alone(simulator: Program, tmp_path: Path) -> None:
    """Of all sockets of the process the one that listens is the API's, on 127.0.0.1."""
    environment = simulator_environment(simulator.said["port"])
    with running(tmp_path, "run", "--json", environment=environment) as engine:
        port = urlsplit(engine.said["api"]).port
        listening = listening_addresses(engine.process.pid)
        engine.end(signal.SIGTERM)

    assert listening == {("0100007F", port)}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_t01_a_start_for_others_ends_at_once(host: str, tmp_path: Path) -> None:
    """Exit status 2 with what to do instead; no file is made."""
    environment = simulator_environment(1) | {"SQUAREOFF_API_HOST": host}
    ended = subprocess.run(
        [sys.executable, "-c", "from squareoff.cli.main import main; main()", "run"],
        cwd=tmp_path, env=clean_environment(**environment), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "must be a loopback address" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_t12_an_api_that_fails_is_replaced_and_the_engine_goes_on() -> None:
    """A server that breaks comes back at its port, and what runs beside it is not told of it."""
    app = create_standby_app(StandbyPost(0), tokens={Role.ADMIN: "x" * 16}, host="127.0.0.1")
    server = ApiServer(app, "127.0.0.1", 0)
    failures: list[bool] = []

    async def fail() -> None:
        failures.append(True)
        server._socket.close()
        raise RuntimeError("as if the server had a defect")

    server.run = fail  # type: ignore[method-assign]

    async def status() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = int((await reader.readline()).split()[1])
        writer.close()
        return answered

    async def story() -> int:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            engine = tasks.create_task(asyncio.Event().wait())
            serving = tasks.create_task(serve_for_good(app, server, "127.0.0.1"))
            while True:
                try:
                    answered = await status()
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                assert not engine.done()
                serving.cancel()
                engine.cancel()
                return answered

    assert asyncio.run(story()) == 200
    assert failures == [True]


TEXTS = {
    "markup": "<script>alert(1)</script>",
    "header": "x\r\ninjected: line",
    "event": "x\nid: 99\ndata: {}\n\n",
    "terminal": "\x1b[2J\x07",
}


@pytest.mark.parametrize("name", TEXTS)
def test_t15_text_of_others_stays_text(name: str, rig: ApiRig) -> None:
    """In answers and in the event stream it is encoded, and never a line of its own."""
    head = rig.journal_head()
    body = {"trading_symbol": TEXTS[name], "security_id": "50001", "lot_size": 1}
    mine = rig.track(**body, tick_size="0.05")
    shown, facts = rig.get(f"/trackers/{mine}"), rig.get(f"/journal?after={head}")

    assert shown.headers["content-type"] == "application/json"
    assert shown.json["trading_symbol"] == TEXTS[name]
    for raw in (shown.text, facts.text):
        assert not {"\n", "\r", "\x1b"} & set(raw)


@pytest.mark.parametrize("name", TEXTS)
def test_t15_text_of_others_is_one_line_of_the_log(name: str, capsys: Capture) -> None:
    """A line of the log is one JSON object, whatever the broker wrote into it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logs()
        structlog.get_logger("squareoff.test").info("told", remarks=TEXTS[name])
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    written = capsys.readouterr().err

    assert written.count("\n") == 1
    assert json.loads(written)["remarks"] == TEXTS[name]


LOGGED = {
    "by name": {"access_token": f"{CANARY}-access-token"},
    "by shape": {"address": f"wss://feed/?version=2&token={CANARY}-of-nobody"},
    "by value": {"remarks": f"refused: {CANARY}-access-token, ask again"},
}


@pytest.mark.parametrize("way", LOGGED)
@pytest.mark.parametrize("logger", ["squareoff.test", "aiohttp.client"])
def test_t16_no_log_tells_a_secret(way: str, logger: str, capsys: Capture) -> None:
    """Ours or a library's: hidden by the name it stands under, its shape, or its value."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logs([f"{CANARY}-access-token"])
        if logger.startswith("squareoff"):
            structlog.get_logger(logger).warning("told", **LOGGED[way])
        else:
            logging.getLogger(logger).warning("told %s", LOGGED[way])
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    written = capsys.readouterr().err

    assert "told" in written
    assert CANARY not in written


def test_t16_every_secret_of_the_settings_has_its_canary() -> None:
    """A secret that is added to the settings is missed here until it is looked for below; that of
    a database is in the faults of settings, and the account's number is in the journal of right."""
    wanted = {name.environment.name for name in setting_names() if name.is_sensitive}

    assert wanted == {*SECRETS, "SQUAREOFF_DATABASE_URL", "DHAN_CLIENT_ID"}


def test_t16_no_secret_is_found_anywhere(simulator: Program, tmp_path: Path) -> None:
    """A canary in every secret setting: not in logs, database, journal, answers, process list."""
    environment = simulator_environment(simulator.said["port"]) | SECRETS
    environment["SQUAREOFF_INSTRUMENTS"] = _carrying(environment["SQUAREOFF_INSTRUMENTS"])
    answers = []
    with running(tmp_path, "run", "--json", environment=environment) as engine:
        answers.append(json.dumps(engine.said))
        url, process = engine.said["api"], Path(f"/proc/{engine.process.pid}")
        for token in (SECRETS["SQUAREOFF_API_TOKEN"], "wrong", SECRETS["SQUAREOFF_API_READ_TOKEN"]):
            for method, path, body in CALLS:
                answers.append(_answer(method, url + path, body, token))
        command_line = (process / "cmdline").read_bytes()
        limits = (process / "limits").read_text(encoding="ascii")
        engine.end(signal.SIGTERM)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    places = [text.encode() for text in answers] + [path.read_bytes() for path in files]

    assert {"run.log", "squareoff.db"} <= {path.name for path in files}
    assert len(answers) == 1 + 3 * len(CALLS)
    assert CANARY.encode() not in command_line
    assert not [place[:200] for place in places if CANARY.lower().encode() in place.lower()]
    assert re.search(r"Max core file size +0 +0 ", limits)


def _carrying(address: str) -> str:
    """Return an address that carries secrets to where it leads."""
    return address.replace("://", f"://user:{CANARY}-word@") + f"?token={CANARY}-query"


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_t16_an_address_that_fails_shows_no_secret(command: str, tmp_path: Path) -> None:
    """The address of the instrument master is told by scheme and host, whoever asks."""
    environment = simulator_environment(1) | SECRETS
    environment["SQUAREOFF_INSTRUMENTS"] = _carrying("http://127.0.0.1:1/x.csv")
    ended = subprocess.run(
        [sys.executable, "-c", "from squareoff.cli.main import main; main()", command],
        cwd=tmp_path, env=clean_environment(**environment), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip

    assert ended.returncode in (1, 2)
    assert "http://127.0.0.1:1 could not be fetched" in ended.stdout + ended.stderr
    assert CANARY.lower() not in (ended.stdout + ended.stderr).lower()


CALLS = (
    ("GET", "/api/v1/status", None),
    ("GET", "/api/v1/replica", None),
    ("GET", "/metrics", None),
    ("GET", "/openapi.json", None),
    ("GET", "/", None),
    ("POST", "/api/v1/trackers", {"security_id": "1"}),
    ("POST", "/api/v1/kill-switch", {"active": True, "reason": "canary hunt"}),
    ("POST", "/api/v1/reconcile", {}),
    ("GET", "/api/v1/journal", None),
    ("GET", "/api/v1/alarms", None),
)


def _answer(method: str, url: str, body: Any, token: str) -> str:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            return f"{response.headers}{response.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.headers}{error.read().decode()}"


def test_t16_faults_of_settings_show_no_secret() -> None:
    """A refused start names each setting and never what it holds."""
    bad = {name: f"{value}\n\x07" for name, value in SECRETS.items()}
    bad["DHAN_REST_URL"] = _carrying("https://api.dhan.co/v2")
    bad["DHAN_MARKET_FEED_URL"] = f"user:{CANARY}@api-feed.dhan.co"
    with pytest.raises(ConfigError) as refused:
        load_settings(None, bad | LIVE | {"SQUAREOFF_DATABASE_URL": f"mysql://u:{CANARY}@h/d"})

    assert CANARY.lower() not in str(refused.value).lower()


def test_t17_what_the_engine_writes_is_its_owners(simulator: Program, tmp_path: Path) -> None:
    """Whatever the umask it was started under, database, journal and token are mode 0600; a
    database that others may read is refused."""
    environment = simulator_environment(simulator.said["port"])
    with running(tmp_path, "run", "--json", environment=environment) as engine:
        token = Path(engine.said["token_path"]).read_text().strip()
        _answer("POST", engine.said["api"] + "/api/v1/reconcile", {}, token)
        names = [*tmp_path.glob("squareoff*"), *tmp_path.glob(".squareoff/*")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in names}
        engine.end(signal.SIGTERM)
    (tmp_path / "squareoff.db").chmod(0o640)
    again = subprocess.run(
        [sys.executable, "-c", "from squareoff.cli.main import main; main()", "run"],
        cwd=tmp_path, env=clean_environment(**environment), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip

    assert {"squareoff.db", "squareoff.db-wal", "squareoff.db-shm", "squareoff-api-token"} <= set(
        modes
    )
    assert {mode & 0o077 for mode in modes.values()} == {0}
    assert again.returncode == 2
    assert "squareoff.db is open to others (mode 0640): chmod 600" in again.stderr


def test_t17_secret_files_open_to_others_are_refused_where_money_is_at_stake(
    tmp_path: Path,
) -> None:
    """Live at the real broker a secret's file is its owner's alone; a rehearsal goes on."""
    path = tmp_path / "token"
    path.write_text("some-access-token")
    path.chmod(0o644)
    live = LIVE | {"DHAN_ACCESS_TOKEN_FILE": str(path)}
    with pytest.raises(ConfigError, match="open to others"):
        load_settings(None, live)
    load_settings(None, live | {"DHAN_REST_URL": "http://127.0.0.1:8800/v2"})
    path.chmod(0o600)

    assert load_settings(None, live).credentials.access_token_file == path
    assert open_to_others([path, tmp_path / "nothing"]) == []
    tmp_path.chmod(0o777)
    assert "can be written by everybody" in folder_open_to_all(tmp_path)[0]
    tmp_path.chmod(0o1777)
    assert folder_open_to_all(tmp_path) == []


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("DHAN_REST_URL", "https://api.dhan.co.evil.example/v2"),
        ("DHAN_REST_URL", "https://evildhan.co/v2"),
        ("DHAN_REST_URL", "http://api.dhan.co/v2"),
        ("DHAN_MARKET_FEED_URL", "wss://example.com"),
        ("DHAN_ORDER_UPDATE_URL", "ws://api-order-update.dhan.co"),
        ("DHAN_AUTH_URL", "https://169.254.169.254/latest"),
    ],
)
def test_t18_tokens_go_to_the_broker_or_nowhere(variable: str, address: str) -> None:
    """Addresses outside dhan.co and this machine, and such without TLS, are refused."""
    with pytest.raises(ConfigError, match=variable):
        load_settings(None, {variable: address})


def test_t18_no_code_turns_a_certificate_check_off_or_follows_a_redirect() -> None:
    """Nothing in the sources weakens TLS or follows a redirect, and the engine gives its transport
    no context of its own making.

    Real servers with wrong certificates are in tests/adapters/broker/dhan/test_certificates.py,
    with redirects in test_aiohttp_transport.py beside it.
    """
    found = [
        f"{path.name}: {text}"
        for path in SOURCE_FOLDER.rglob("*.py")
        for text in _weakened(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert found == []
    for bad in (
        "get(url, ssl=False)", "TCPConnector(verify_ssl=False)", "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE", "ssl._create_unverified_context()",
        "ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)", "post(url, allow_redirects=True)",
        "AiohttpTransport(url, ssl_context=context)", "ClientSession(trust_env=True)",
    ):  # fmt: skip
        assert _weakened(ast.parse(bad)), bad


WEAKER_OPTIONS = {
    "ssl=False",
    "verify=False",
    "verify_ssl=False",
    "check_hostname=False",
    "allow_redirects=True",
    "trust_env=True",
}
WEAKER_NAMES = {"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context"}


def _weakened(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.keyword() if ast.unparse(node) in WEAKER_OPTIONS:
                found.append(ast.unparse(node))
            case ast.keyword(arg="ssl_context"):
                found.append(ast.unparse(node))
            case ast.Assign(targets=[ast.Attribute(attr="check_hostname")]):
                found.append(ast.unparse(node))
            case ast.Attribute(attr=name) if name in WEAKER_NAMES:
                found.append(ast.unparse(node))
            case ast.Call(func=ast.Attribute(attr="SSLContext")):
                found.append(ast.unparse(node))
            case _:
                pass
    return found
