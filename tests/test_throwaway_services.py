"""The throw-away services work, are fresh for every test, and are missed loudly."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from async_body import run_async
from missing_services import REQUIRE_VARIABLE, loud_line, skip_or_fail
from throwaway.programs import (
    ServerFailed,
    ServerMissing,
    find_program,
    free_loopback_port,
    running,
    throwaway_folder,
)


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_postgres_database_is_empty_and_keeps_rows(
    postgres_database: str, round_number: int
) -> None:
    """Each test gets a database without tables, and what it commits can be read back."""

    async def body() -> tuple[int, str]:
        connection = await asyncpg.connect(postgres_database)
        try:
            tables = await connection.fetchval(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            )
            await connection.execute("CREATE TABLE fact (seq bigint PRIMARY KEY, kind text)")
            await connection.execute("INSERT INTO fact VALUES (1, 'exit_claimed')")
            return tables, await connection.fetchval("SELECT kind FROM fact WHERE seq = 1")
        finally:
            await connection.close()

    assert run_async(body()) == (0, "exit_claimed")


def test_postgres_commits_durably(postgres_database: str) -> None:
    """The throw-away server keeps fsync and synchronous commit on, as production does."""

    async def body() -> list[str]:
        connection = await asyncpg.connect(postgres_database)
        try:
            return [
                await connection.fetchval(f"SHOW {name}")
                for name in ("fsync", "synchronous_commit")
            ]
        finally:
            await connection.close()

    assert run_async(body()) == ["on", "on"]


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_redis_database_is_empty_and_keeps_values(redis_database: str, round_number: int) -> None:
    """Each test gets a Redis database without keys, and what it sets can be read back."""

    async def body() -> tuple[int, bytes | None]:
        async with redis.asyncio.from_url(redis_database) as client:
            keys = await client.dbsize()
            await client.set("tick:NSE_FNO:49081", "152.35")
            return keys, await client.get("tick:NSE_FNO:49081")

    assert run_async(body()) == (0, b"152.35")


def test_a_program_that_is_not_installed_is_named_with_its_package() -> None:
    """A missing server program raises with the name of the package that brings it."""
    with pytest.raises(ServerMissing, match="no-such-server is not installed") as caught:
        find_program("no-such-server", "no-such-package", "usr/lib/no-such-folder/*/bin/x")

    assert caught.value.package == "no-such-package"


def test_a_server_that_ends_at_once_fails_with_its_output() -> None:
    """A server that does not start fails with the end of what it said, and leaves no folder."""
    with throwaway_folder(None) as folder:
        command = ["/bin/sh", "-c", "echo port is taken; exit 3"]
        with (
            pytest.raises(ServerFailed, match="port is taken"),
            running(command, folder, user=None, is_ready=lambda: False),
        ):
            pytest.fail("the block must not be entered")

    assert not folder.exists()


def test_a_server_is_ended_with_its_block() -> None:
    """A running server is ended by its pid when the block ends, and its folder is removed."""
    with throwaway_folder(None) as folder:
        pid_file = folder / "pid"
        command = ["/bin/sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 600"]
        with running(command, folder, user=None, is_ready=pid_file.exists):
            pid = int(pid_file.read_text())
            assert Path(f"/proc/{pid}").exists()

    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


def test_a_missing_service_skips_where_services_are_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the variable a missing service skips, and the closing line counts and says how."""
    monkeypatch.delenv(REQUIRE_VARIABLE, raising=False)

    with pytest.raises(pytest.skip.Exception) as caught:
        skip_or_fail(ServerMissing("initdb", "postgresql"))

    line = loud_line([str(caught.value), "Skipped: only on Windows", str(caught.value)])
    assert line is not None
    assert line.startswith("2 TESTS WERE NOT RUN")
    assert "apt-get install postgresql)" in line


def test_no_missing_service_prints_no_line() -> None:
    """Tests that were skipped for other reasons do not raise the loud line."""
    assert loud_line(["Skipped: only on Windows"]) is None


def test_a_missing_service_fails_where_services_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With SQUAREOFF_REQUIRE_SERVICES=1 a missing service is a failure that says how to install."""
    monkeypatch.setenv(REQUIRE_VARIABLE, "1")

    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
        skip_or_fail(ServerMissing("redis-server", "redis-server"))


def test_a_free_port_can_be_bound() -> None:
    """A port that is given as free is one that a server can listen on."""

    async def body() -> None:
        port = free_loopback_port()
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        bound = [each.getsockname() for each in server.sockets]
        server.close()
        assert bound == [("127.0.0.1", port)]
        await server.wait_closed()

    run_async(body())


def test_an_async_body_that_hangs_is_ended() -> None:
    """A test body that waits for ever ends in TimeoutError instead of blocking the run."""
    with pytest.raises(TimeoutError):
        run_async(asyncio.Event().wait(), within_seconds=0.01)
