"""The line itself: controls T1, T13, T14 and T19 of docs/security.md, on real sockets."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from api_rig import TOKEN, ApiRig
from squareoff.config import load_settings
from squareoff.domain.errors import ConfigError
from squareoff.web import patient_protocol
from squareoff.web.errors import SECURITY_HEADERS
from squareoff.web.guard import BODY_BYTES_MAX
from squareoff.web.stream_seats import STREAMS_MAX

HEAD = f"Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n"
JSON = "Content-Type: application/json\r\n"


def said(rig: ApiRig, request: bytes) -> bytes:
    """Send these bytes and return all that is answered until the other side ends."""
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65_536):
            answer += part
        return answer


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_t01_only_this_machine_is_listened_on(host: str) -> None:
    """An address that others can reach is refused at the start, with one line."""
    with pytest.raises(ConfigError, match="loopback") as refused:
        load_settings(None, {"SQUAREOFF_API_HOST": host})

    assert len(refused.value.faults) == 1


def test_t01_the_socket_is_on_loopback(rig: ApiRig) -> None:
    """What the system lists as listening is the loopback address alone."""
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    rows = [line.split() for line in table.splitlines()][1:]
    listening = {row[1].split(":")[0] for row in rows
                 if row[3] == "0A" and int(row[1].split(":")[1], 16) == rig.port}  # fmt: skip

    assert listening == {"0100007F"}


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"POST /api/v1/reconcile HTTP/1.1\r\n{HEAD}{JSON}Content-Length: 2\r\n"
         "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (f"POST /api/v1/reconcile HTTP/1.1\r\n{HEAD}{JSON}Content-Length: 104857600\r\n\r\n", 413),
        (f"POST /api/v1/reconcile HTTP/1.1\r\n{HEAD}{JSON}Content-Length: -1\r\n\r\n", 400),
        (f"TRACE /api/v1/status HTTP/1.1\r\n{HEAD}\r\n", 405),
        (f"BREW /api/v1/status HTTP/1.1\r\n{HEAD}\r\n", 405),
        (f"GET /docs HTTP/1.1\r\n{HEAD}\r\n", 404),
        (f"GET /redoc HTTP/1.1\r\n{HEAD}\r\n", 404),
        ("GET /\x00 HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00", 400),
        ("nonsense\r\n\r\n", 400),
        (f"GET /{'a' * 100_000} HTTP/1.1\r\n{HEAD}\r\n", 414),
    ],
    ids=["two lengths", "100 MB", "negative", "TRACE", "unknown method", "docs", "redoc", "nul",
         "TLS", "nonsense", "long address"],
)  # fmt: skip
def test_t13_what_no_honest_caller_sends_is_refused(
    request_text: str, status: int, rig: ApiRig
) -> None:
    """Each gets a refusal in the one shape, none a 500."""
    answer = said(rig, request_text.encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == str(status).encode()
    error = json.loads(body)
    assert (set(error), error["ok"]) == ({"ok", "error"}, False)
    assert "Traceback" not in str(error)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"reason": "\xc3\x28"}', b"[" * 50_000])
def test_t13_bad_text_and_deep_nesting_are_refused(body: bytes, rig: ApiRig) -> None:
    """What is no UTF-8 or nests without end is no JSON to us."""
    answer = rig.post("/exit-all", raw=body)

    assert len(body) <= BODY_BYTES_MAX
    assert (answer.status, answer.error["code"]) == (400, "malformed_json")


def test_t13_a_head_that_does_not_come_is_given_up(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that sends a head byte by byte, or nothing, loses the connection."""
    monkeypatch.setattr(patient_protocol, "HEAD_SECONDS_MAX", 0.2)
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: loc"):
        with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as line:
            line.sendall(begun)
            assert line.recv(100) == b""


def test_t13_idle_connections_keep_nobody_out(rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections stand open without a request, the next caller is served."""
    monkeypatch.setattr(patient_protocol, "CONNECTIONS_MAX", 10)
    idle = [socket.create_connection(("127.0.0.1", rig.port), timeout=10) for _ in range(40)]
    for line in idle:
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
    answer = rig.post("/kill-switch", {"active": False, "reason": "still heard"})
    for line in idle:
        line.close()

    assert answer.status == 200


def test_t13_streams_leave_connections_to_others(rig: ApiRig) -> None:
    """More streams than there are seats are refused; everything else goes on."""
    open_streams = []
    for _ in range(STREAMS_MAX):
        connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
        connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {TOKEN}"})
        connection.getresponse().read(10)
        open_streams.append(connection)
    refused, served = rig.get("/events"), rig.get("/status")
    for connection in open_streams:
        connection.close()

    assert (refused.status, refused.error["code"]) == (429, "too_many_streams")
    assert served.status == 200


def test_t13_streams_that_come_at_once_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All scripts come back in one instant after a restart: no more of them get a seat."""
    with ApiRig() as rig:
        statuses = _statuses_of_streams_at_once(rig, monkeypatch)

    assert sorted(statuses) == [b"200"] * STREAMS_MAX + [b"429"] * 5


def _statuses_of_streams_at_once(rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Ask for too many streams that all wait for the journal before one is answered."""
    asked, all_asked, head = [0], asyncio.Event(), rig.engine.desk.journal_head

    async def journal_head() -> int:
        asked[0] += 1
        if asked[0] == STREAMS_MAX + 5:
            all_asked.set()
        await all_asked.wait()
        return await head()

    monkeypatch.setattr(rig.engine.desk, "journal_head", journal_head)
    lines = [
        socket.create_connection(("127.0.0.1", rig.port), timeout=10)
        for _ in range(STREAMS_MAX + 5)
    ]
    for line in lines:
        line.sendall(f"GET /api/v1/events HTTP/1.1\r\n{HEAD}\r\n".encode())
    statuses = [line.recv(12)[9:] for line in lines]
    for line in lines:
        line.close()
    return statuses


def test_t14_every_answer_of_the_page_and_the_api_carries_the_headers(rig: ApiRig) -> None:
    """no-store, nosniff, a policy that loads from here alone, and no frame around it."""
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    for path in ("/", "/dashboard/app.js", "/api/v1/status", "/nowhere", "/healthz"):
        headers = rig.call("GET", path).headers
        assert {name: headers[name.lower()] for name in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    for part in ("default-src 'self'", "frame-ancestors 'none'", "object-src 'none'"):
        assert part in policy
    assert "unsafe" not in policy


@pytest.fixture
def tunnel(rig: ApiRig) -> Iterator[int]:
    """Forward another port to the API, as `ssh -L` does; give that port."""
    ready: Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Queue()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", rig.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async def serve() -> None:
        is_over = asyncio.Event()
        async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ready.put((asyncio.get_running_loop(), is_over, port))
            await is_over.wait()

    # `run` ends the connections that are still open, too.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, is_over, port = ready.get(timeout=10)
    yield port
    loop.call_soon_threadsafe(is_over.set)
    thread.join(10)
    assert not thread.is_alive()


def test_t19_a_tunnel_reaches_page_and_api(rig: ApiRig, tunnel: int) -> None:
    """The recipe of docs/security.md: a forwarded port serves page and API at its own address."""
    origin = f"http://127.0.0.1:{tunnel}"
    connection = http.client.HTTPConnection("127.0.0.1", tunnel, timeout=10)
    statuses = []
    for path in ("/", "/api/v1/status"):
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": origin}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [200, 200]
