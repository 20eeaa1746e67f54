"""Commands that stop: what remains decides how they end."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from api_rig import ApiRig
from squareoff.cli import stopping
from squareoff.domain.time import Now, seconds_to_ns


@pytest.fixture(autouse=True)
def _calm(rig: ApiRig) -> Iterator[None]:
    """Lift the kill switch afterwards."""
    yield
    rig.post("/kill-switch", {"active": False, "reason": "test over"})


def test_exit_all_ends_with_zero_once_nothing_remains(ask: Any, rig: ApiRig) -> None:
    """Every held position is in the report, and the answer says that nothing remains."""
    mine = rig.track()
    ended = ask("exit-all", "--reason", "end of day", "--json")

    assert ended.status == 0, ended.err
    assert mine in [row["tracker_id"] for row in json.loads(ended.out)["items"]]
    assert json.loads(ended.out)["nothing_remains"] is True


def test_exit_all_tells_what_remains_and_ends_with_one(ask: Any, rig: ApiRig) -> None:
    """At level `all` nothing can be closed: the position, and why it waits, is shown."""
    mine = rig.track()
    ask("kill", "--level", "all", "--reason", "stop")
    waiting = ask("exit-all", "--reason", "x", "--wait", "--wait-seconds", "2")

    assert waiting.status == 1
    assert mine in waiting.out
    assert "the kill switch stands at level all" in waiting.out
    assert "remain ..." in waiting.err
    assert "1 positions under watch remain" in waiting.err
    ask("resume")
    assert ask("exit-all", "--reason", "x", "--wait").status == 0


def test_a_waiting_command_outlives_an_engine_that_is_away(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look without an answer is told and made again: the engine goes on when it is back."""
    mine = rig.track()
    with _cut(rig.port, dead_calls={2, 3}) as port:
        monkeypatch.setenv("SQUAREOFF_API_PORT", str(port))
        monkeypatch.setattr("squareoff.cli.stopping.LOOK_SECONDS", 0.05)
        ended = ask("exit-all", "--reason", "x", "--wait")

    assert ended.status == 0, ended.err
    assert mine in ended.out
    assert ended.err.count("gave no answer (RemoteDisconnected); looking again ...") == 2


def test_an_engine_that_stays_away_is_no_success(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends with what kept the command from seeing the end."""
    rig.track()
    with _cut(rig.port, dead_calls=set(range(2, 100))) as port:
        monkeypatch.setenv("SQUAREOFF_API_PORT", str(port))
        monkeypatch.setattr("squareoff.cli.stopping.LOOK_SECONDS", 0.05)
        ended = ask("exit-all", "--reason", "x", "--wait", "--wait-seconds", "0.2")

    assert ended.status == 1
    assert "gave no answer (RemoteDisconnected)" in ended.err.splitlines()[-1]


@pytest.mark.parametrize(("seconds", "looks"), [(300.0, 30), (25.0, 3), (0.0, 0)])
def test_a_wait_is_of_seconds_and_not_of_looks(
    seconds: float, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that takes ten seconds for each answer makes five minutes no half-hour."""
    now_ns, asked = [0], list[float]()

    class Clock:
        def now(self) -> Now:
            return Now(0, now_ns[0])

    class Client:
        def get(self, _path: str, wait_seconds: float) -> dict[str, Any]:
            asked.append(wait_seconds)
            now_ns[0] += seconds_to_ns(10.0)
            return running

    running: dict[str, Any] = {"outcome": "running", "items": [], "remaining": []}
    monkeypatch.setattr(stopping, "SystemClock", Clock)

    found = stopping._wait_for_end(cast("Any", Client()), running, seconds, then_lock=False)
    assert found is running
    assert len(asked) == looks
    assert all(each <= stopping.LOOK_SECONDS for each in asked)


def test_a_wait_that_is_interrupted_says_what_goes_on(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the command and not the wish; without a word it looks taken back."""
    rig.track()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stopping, "_wait_for_end", interrupted)
    ended = ask("exit-all", "--reason", "x", "--wait")

    assert ended.status == 130
    assert ended.err == "squareoff: waits no longer; the engine goes on closing\n"


@contextmanager
def _cut(port: int, dead_calls: set[int]) -> Iterator[int]:
    """Give a port that leads to the engine's, and hangs up on the calls of these numbers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=_carry_calls, args=(server, port, dead_calls))
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _carry_calls(server: socket.socket, port: int, dead_calls: set[int]) -> None:
    number = 0
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        number += 1
        with caller:
            asked = caller.recv(65536)
            while b"Content-Length" in asked and not asked.rstrip().endswith(b"}"):
                asked += caller.recv(65536)
            if number in dead_calls:
                continue
            with socket.create_connection(("127.0.0.1", port)) as engine:
                engine.sendall(asked.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
                while answered := engine.recv(65536):
                    caller.sendall(answered)


def test_a_lock_that_is_not_put_on_is_no_success(ask: Any) -> None:
    """`--then-lock` ends with 1 where the broker does not take it."""
    refused = ask("exit-all", "--reason", "x", "--then-lock", "--wait")

    assert refused.status == 1
    assert "the broker's lock is not on" in refused.err


def test_the_kill_switch_is_thrown_and_lifted(ask: Any, rig: ApiRig) -> None:
    """`kill` and `resume` set the durable switch."""
    assert "True" in ask("kill", "--level", "all", "--reason", "stop").out
    assert rig.get("/kill-switch").json == {"active": True, "level": "all", "reason": "stop"}
    assert "all" in ask("kill", "--reason", "stop again").out
    assert ask("resume").status == 0
    assert rig.get("/kill-switch").json["active"] is False
