"""Whether the broker takes orders from this machine's address, and one alarm where it does not.

Orders, modifies and cancels need an address that the owner registered; reads do not. The broker is
asked at the start, now and then, and soon after an exit was refused for it. Its word only informs:
exits go on trying at their slow pace, for an answer about addresses is not the order's own.

Invariant: what was told is over by the broker's word that orders are taken, or by an answer that
does not say while no exit is refused any more; never by an answer that did not come.
"""

import structlog

from squareoff.core.state.facts import Severity
from squareoff.domain.errors import BrokerError
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import AddressState, BrokerSession, Clock
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics

_log = structlog.get_logger("squareoff.address_watch")
ASK_SECONDS = 3_600.0
"""How often the broker is asked while all is well: addresses change by hand, once a week at most;
the machine's own may change with its line."""

ASK_REFUSED_SECONDS = 30.0
"""How often it is asked while orders are refused."""

ASK_FAILED_SECONDS = 60.0
"""How soon it is asked again where it gave no answer."""

QUIET_SECONDS = 150.0
"""Two slow retries of an exit without another refusal: where the broker does not say whether orders
are taken, they are."""

_TURN_SECONDS = 1.0


class AddressWatch:
    """Watches one account's registered addresses."""

    def __init__(
        self, session: BrokerSession, alarms: AlarmDesk, clock: Clock, metrics: Metrics
    ) -> None:
        self._session = session
        self._alarms = alarms
        self._clock = clock
        self._metrics = metrics
        self._refused_at_ns: int | None = None
        self._denied_at_ns: int | None = None
        self._is_told = False
        self._may_old_stand = True  # an alarm of the last process
        self._ask_ns = 0

    def note_refused(self) -> None:
        """Note that an exit was refused for the address; never waits."""
        self._refused_at_ns = self._clock.now().monotonic_ns

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            is_news = self._refused_at_ns is not None and not self._is_told
            if is_news or self._clock.now().monotonic_ns >= self._ask_ns:
                await self._ask()
            await self._clock.sleep(_TURN_SECONDS)

    async def _ask(self) -> None:
        state = await self._read()
        allowed = None if state is None else state.orders_allowed
        now_ns = self._clock.now().monotonic_ns
        if allowed is False:
            self._denied_at_ns = now_ns
        self._refused_at_ns = _while_recent(self._refused_at_ns, now_ns)
        self._denied_at_ns = _while_recent(self._denied_at_ns, now_ns)
        if allowed is False or self._refused_at_ns is not None:
            await self._tell(state)
        elif allowed or (state is not None and self._denied_at_ns is None):
            await self._tell_over(allowed)
        pause = ASK_SECONDS if state is not None else ASK_FAILED_SECONDS
        pause = ASK_REFUSED_SECONDS if self._is_told else pause
        self._ask_ns = now_ns + seconds_to_ns(pause)

    async def _read(self) -> AddressState | None:
        if self._session.state.is_refused:
            return None
        try:
            return await self._session.address()
        except BrokerError as error:
            _log.warning("addresses_not_read", error=str(error))
            return None

    async def _tell(self, state: AddressState | None) -> None:
        self._metrics.static_ip_allowed.set(0)
        if self._is_told:
            return
        self._is_told = True
        detected = state.detected if state is not None else ""
        registered = ", ".join(state.registered) if state is not None else ""
        here = f"this machine's address, {detected}" if detected else "this machine's address"
        known = f"registered: {registered}" if registered else "none is known to be registered"
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "static_ip_refused",
            f"The broker takes no orders from {here} ({known}). Reads go on; exits are tried "
            "again every minute. Register the address on the broker's web page, or run this "
            "program where it is registered; until then close positions in the broker's app.",
        )

    async def _tell_over(self, allowed: bool | None) -> None:
        if allowed is not None or self._is_told:
            self._metrics.static_ip_allowed.set(1)
        if self._is_told or (allowed and self._may_old_stand):
            self._is_told = self._may_old_stand = False
            await self._alarms.clear(
                "static_ip_refused", "the broker takes orders from this address"
            )


def _while_recent(at_ns: int | None, now_ns: int) -> int | None:
    """Return the instant of a refusal, None once nothing was refused for long enough since."""
    is_over = at_ns is None or now_ns - at_ns > seconds_to_ns(QUIET_SECONDS)
    return None if is_over else at_ns
