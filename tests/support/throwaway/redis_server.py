"""A throw-away Redis server that keeps nothing on disk, and emptied databases on it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from throwaway.programs import find_program, free_loopback_port, running, throwaway_folder

PACKAGE = "redis-server"


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a fresh server: `redis://127.0.0.1:port/0`.

    Raises:
        ServerMissing: Redis is not installed.
        ServerFailed: it is installed and did not start.
    """
    program = find_program("redis-server", PACKAGE)
    with throwaway_folder(None) as folder:
        port = free_loopback_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [str(program), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no"]
        with running(command, folder, user=None, is_ready=lambda: _answers(url)):
            yield url


def emptied_database(server_url: str, offset: int) -> str:
    """Flush database number (that of the URL + `offset`) and return its URL.

    The offset is the test worker's number, so that workers on one server do not meet.
    """
    parts = urlsplit(server_url)
    number = int(parts.path.strip("/") or "0") + offset
    url = urlunsplit(parts._replace(path=f"/{number}"))
    asyncio.run(_flush(url))
    return url


def _answers(url: str) -> bool:
    try:
        asyncio.run(_ping(url))
    except RedisConnectionError:
        return False
    return True


async def _ping(url: str) -> None:
    async with redis.asyncio.from_url(url) as client:
        await client.ping()


async def _flush(url: str) -> None:
    async with redis.asyncio.from_url(url) as client:
        await client.flushdb()
