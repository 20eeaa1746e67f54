"""Tell systemd that the program is up, and that its loop still turns (`Type=notify`, WatchdogSec).

Started by hand, or by another manager, there is no socket to tell and nothing is done.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

_log = structlog.get_logger("squareoff.service_manager")
_MICROSECONDS_PER_SECOND = 1_000_000
_PARTS_OF_LIMIT = 3
"""Signs of life per watchdog limit: one that is lost does no harm."""


def tell(message: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send one message to the service manager; say whether there is one that took it."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # a name in the abstract space begins with a zero byte
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
            line.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("service_manager_not_told", error=str(error))
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str], process_id: int) -> float | None:
    """Return how often a sign of life is due, None where nobody waits for one."""
    limit, meant = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or int(limit) == 0 or meant not in ("", str(process_id)):
        return None
    return int(limit) / _MICROSECONDS_PER_SECOND / _PARTS_OF_LIMIT


@asynccontextmanager
async def signs_of_life() -> AsyncIterator[None]:
    """Give signs of life from the event loop while the block runs: a loop that hangs gives none."""
    interval = watchdog_seconds(os.environ, os.getpid())
    if interval is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        signs = tasks.create_task(_give_signs(interval))
        try:
            yield
        finally:
            signs.cancel()


async def _give_signs(interval: float) -> None:
    while True:
        tell("WATCHDOG=1")
        await asyncio.sleep(interval)
