"""Halt the engine from its own machine, without the API: everything is held back, and told.

Answers for: the way to halt that is left when the API does not answer or its token is lost (T7).
Invariant: neither a database that is away nor a broker that is silent delays the halt.
"""

import asyncio

import structlog

from squareoff.core.state.facts import Severity
from squareoff.domain.errors import StoreError
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.monitoring.alarm_desk import AlarmDesk

_log = structlog.get_logger("squareoff.local_halt")


class LocalHalt:
    """Throws the kill switch at level `all`, and raises the alarm that ends with its release."""

    def __init__(self, kill_switch: KillSwitch, alarms: AlarmDesk) -> None:
        self._kill_switch = kill_switch
        self._alarms = alarms
        kill_switch.on_release(self._tell_release)

    async def halt(self, how: str) -> None:
        """Hold everything back at once; `how` says by what, for journal, log and alarm."""
        _log.warning("halted_locally", how=how)
        text = f"halted by {how}: nothing is sent, exits neither, until `squareoff resume`"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._throw(f"halted by {how}"))
            tasks.create_task(self._alarms.raise_alarm(Severity.CRITICAL, "halted_locally", text))

    async def _throw(self, reason: str) -> None:
        try:
            await self._kill_switch.set(active=True, level="all", reason=reason)
        except StoreError as error:  # it holds all the same, and is stored as soon as that works
            _log.error("halt_not_stored_yet", error=str(error))

    async def _tell_release(self) -> None:
        await self._alarms.clear("halted_locally", "the kill switch lets exits through again")
