"""systemd is told what it asks for, and nobody else is."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from squareoff.cli.service_manager import signs_of_life, tell, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Give the service manager's end of the line, and its address in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield line


def test_a_message_reaches_the_manager(manager: socket.socket) -> None:
    """The words go as they are."""
    assert tell("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    """Without a socket, with a wrong one and with one that is gone nothing happens."""
    assert not tell("READY=1", {})
    assert not tell("READY=1", {"NOTIFY_SOCKET": "relative"})
    assert not tell("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "21000000", "WATCHDOG_PID": "7"}, 7.0),
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
    ],
)
def test_signs_come_three_times_per_limit(
    environment: dict[str, str], expected: float | None
) -> None:
    """Where a limit is set for this very process."""
    assert watchdog_seconds(environment, 7) == expected


def test_the_loop_gives_signs_while_it_turns(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at once; the block's end ends them."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    async def body() -> None:
        async with signs_of_life():
            await asyncio.sleep(0)
            assert manager.recv(100) == b"WATCHDOG=1"

    asyncio.run(body())


def test_no_signs_are_given_unasked(manager: socket.socket) -> None:
    """Without a limit the loop is not bothered."""

    async def body() -> None:
        async with signs_of_life():
            await asyncio.sleep(0)

    asyncio.run(body())
    with pytest.raises(BlockingIOError):
        manager.recv(100)
