"""The client says what went wrong in words, and keeps the token out of them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api_rig import TOKEN
from squareoff.cli.api_client import CommandRefused, EngineClient, path_of
from squareoff.config import Settings
from squareoff.domain.errors import ConfigError


def client_of(port: int) -> EngineClient:
    """Return a client of this port."""
    return EngineClient(Settings(api={"port": port}, api_token=TOKEN))


@contextmanager
def answering(raw: bytes) -> Iterator[int]:
    """Serve one caller this answer; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(65_536)
                line.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_no_engine_is_said_so() -> None:
    """A port where nobody listens asks whether the engine runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(CommandRefused, match=r"no engine answers .* is `squareoff run` up\?"):
        client_of(port).get("/status")


def test_a_lost_answer_to_a_change_is_a_doubt() -> None:
    """Where the connection ends without an answer, a change may have been done."""
    with (
        answering(b"") as port,
        pytest.raises(CommandRefused, match="it may have been done, so look before repeating"),
    ):
        client_of(port).post("/exit-all", {"reason": "x"})


@pytest.mark.parametrize(("method", "is_told"), [("post", True), ("get", False)])
def test_a_change_that_is_no_longer_waited_for_is_a_doubt(
    method: str, is_told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C takes nothing back: the engine has the wish, and the person is told so."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("http.client.HTTPConnection.request", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(client_of(1), method)("/exit-all")

    assert ("it may have been done, so look" in capsys.readouterr().err) is is_told


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\noops",
        b'HTTP/1.1 403 x\r\nContent-Length: 13\r\n\r\n{"error": "x"}',
    ],
    ids=["text", "another shape"],
)
def test_an_answer_that_is_not_ours_is_told_by_its_status(raw: bytes) -> None:
    """Another program on the port does not confuse us."""
    with answering(raw) as port, pytest.raises(CommandRefused, match="without saying why"):
        client_of(port).get("/status")


@pytest.mark.parametrize("body", [b"<html>", b""])
def test_a_page_of_another_program_is_no_answer(body: bytes) -> None:
    """Whatever else serves the port and says yes to all: a refusal in words, no traceback."""
    raw = b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with answering(raw) as port, pytest.raises(CommandRefused, match="is no engine"):
        client_of(port).get("/status")
    with answering(raw) as port, pytest.raises(CommandRefused, match="is no engine"):
        client_of(port).post("/kill-switch", {"active": True})


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A message from elsewhere cannot move the cursor or add lines."""
    assert str(CommandRefused("a\x1b[2Jb\nc")) == "a[2Jbc"


def test_port_zero_cannot_be_asked() -> None:
    """An engine on a free port must be named by its port."""
    with pytest.raises(ConfigError, match=r"api\.port: is 0"):
        client_of(0)


def test_parts_of_a_path_cannot_leave_it() -> None:
    """Whatever an id holds, it stays one part."""
    assert path_of("trackers", "a/../b?c#d") == "/trackers/a%2F..%2Fb%3Fc%23d"


def test_the_token_is_never_in_an_error() -> None:
    """Neither the message nor the chain of an error holds the token."""
    with answering(b"garbage") as port, pytest.raises(CommandRefused) as caught:
        client_of(port).get("/status")

    chain: list[Any] = [caught.value, caught.value.__cause__]
    assert TOKEN not in " ".join(repr(error) for error in chain)
