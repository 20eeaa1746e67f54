"""Keep the access token alive, replace a dead one, and tell a person once where neither works.

Answers for: `services` knowing whether the token is good, when it ends, and every exit that waits
for a token going on the moment there is one. What is due when is decided by
`core.session.token_plan`; `TokenRecovery` replaces a dead token.

Invariants:
1. One task asks, renews and logs in, so nothing of it ever runs twice at once.
2. A living token is never replaced because one call was refused: the broker is asked first.
3. Trouble with the token is one alarm, however many calls, sockets and exits meet it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from squareoff.core.session.token_plan import (
    RENEWAL_PAUSE_SECONDS,
    TokenOutlook,
    earliest_end_ns,
    renewal_is_due,
    seconds_until,
    warnings_due,
)
from squareoff.core.state.facts import Severity, TokenReplaced
from squareoff.core.state.inputs import ExitHindered, HindranceLifted
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import (
    STATIC_IP_CODE,
    BrokerError,
    BrokerSessionExpired,
    Sent,
    StoreError,
)
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.states import BlockReason
from squareoff.domain.time import iso_from_ns, seconds_to_ns
from squareoff.ports import BrokerSession, Clock, SessionCalendar, TokenState, TrackerStore
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.session.address_watch import AddressWatch
from squareoff.services.session.token_recovery import Recovery, TokenRecovery, cure_text

_log = structlog.get_logger("squareoff.session_watch")
CHECK_SECONDS = 20.0
"""How often the plan is looked at while all is well: a fine grain of minutes."""

PROFILE_SECONDS = 300.0
"""How often the broker is asked about a token that nothing speaks against."""

PROFILE_RETRY_SECONDS = 30.0
"""How soon it is asked again where it gave no answer."""

HINDERED_RETRY_SECONDS = 30.0
"""A blocked exit looks again this often, should nobody wake it: each look is journalled."""

_LIFTED = frozenset({BlockReason.TOKEN_DEAD, BlockReason.POSITIONS_UNREADABLE})
_LAST_SEGMENT = ExchangeSegment.NSE_EQ


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What the watch works with; `request_backfill` asks for a comparison of the books."""

    session: BrokerSession
    engine: ExitEngine
    alarms: AlarmDesk
    calendar: SessionCalendar
    store: TrackerStore
    clock: Clock
    metrics: Metrics
    request_backfill: Callable[[str], None]


class SessionWatch:
    """Watches one account's token, and the address it is used from."""

    def __init__(self, parts: SessionParts, *, orders_go_out: bool = True) -> None:
        self._session = parts.session
        self._engine = parts.engine
        self._alarms = parts.alarms
        self._calendar = parts.calendar
        self._store = parts.store
        self._clock = parts.clock
        self._metrics = parts.metrics
        self._request_backfill = parts.request_backfill
        self._recovery = TokenRecovery(parts.session, parts.alarms, parts.clock, parts.metrics)
        self._address = AddressWatch(parts.session, parts.alarms, parts.clock, parts.metrics)
        self._orders_go_out = orders_go_out
        self._generation = parts.session.state.generation
        self._broker_expires_ns: int | None = None
        self._profile_due_ns = 0
        self._renewal_due_ns = 0
        self._warned: set[str] = set()
        self._may_old_stand = True  # a warning of the last process
        self._left_behind = asyncio.Event()
        self._on_new_token: list[Callable[[], None]] = []
        parts.engine.on_change(self._note_change)

    @property
    def expires_ns(self) -> int | None:
        """When the token ends: the earlier of what it claims and what the broker says; UTC ns."""
        return earliest_end_ns(self._session.state.expires_ns, self._broker_expires_ns)

    @property
    def is_refused(self) -> bool:
        """Say whether the token is dead and nothing took its place yet."""
        return self._session.state.is_refused

    def hindrance(self) -> ExitHindered | None:
        """Return what holds an exit back now, None where it may go out."""
        if not self.is_refused:
            return None
        text = "the broker refuses the access token"
        return ExitHindered(BlockReason.TOKEN_DEAD, text, HINDERED_RETRY_SECONDS)

    def on_new_token(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever another token is in use; it must not wait."""
        self._on_new_token.append(listener)

    def note_refusal(self, code: str) -> None:
        """Note the code of an order write that the broker refused; never waits.

        A modify or cancel that is refused for the address blocks no exit, and nobody would know why
        it rests.
        """
        if code == STATIC_IP_CODE:
            self._address.note_refused()

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_token())
            if self._orders_go_out:
                tasks.create_task(self._address.run())

    async def _watch_token(self) -> None:
        while True:
            known = self._session.state
            pause = await self._look()
            await self._wait(known, pause)

    async def _wait(self, known: TokenState, seconds: float) -> None:
        """Wait, or until the token's state is another than the one that was looked at."""
        changed = self._session.wait_for_change(known)
        async with asyncio.TaskGroup() as tasks:
            waits: list[asyncio.Task[Any]] = [
                tasks.create_task(changed),
                tasks.create_task(self._left_behind.wait()),
                tasks.create_task(self._clock.sleep(seconds)),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _look(self) -> float:
        """Do what is due; return how long to wait for the next look, seconds."""
        await self._take_note_of_new_token("file")
        if self._left_behind.is_set():
            await self._lift_all()
        state = self._session.state
        self._metrics.token_alive.set(0 if state.is_refused else 1)
        if state.is_refused or state.is_suspected:
            return await self._recover()
        if self._clock.now().monotonic_ns >= self._profile_due_ns and not await self._ask_profile():
            return 0.0
        await self._renew_in_time()
        await self._warn_in_time()
        return CHECK_SECONDS

    async def _recover(self) -> float:
        outcome, pause = await self._recovery.step()
        match outcome:
            case Recovery.REPLACED_FROM_FILE:
                await self._take_note_of_new_token("file")
            case Recovery.LOGGED_IN:
                await self._take_note_of_new_token("login")
            case Recovery.ALIVE:
                await self._resume("the broker takes the access token again")
            case Recovery.STILL_DEAD:
                pass
        return pause

    async def _ask_profile(self) -> bool:
        """Learn the broker's word on the token's end; False where its word is that it is dead."""
        now_ns = self._clock.now().monotonic_ns
        self._profile_due_ns = now_ns + seconds_to_ns(PROFILE_RETRY_SECONDS)
        try:
            profile = await self._session.profile()
        except BrokerSessionExpired:
            return False
        except BrokerError as error:
            _log.warning("profile_not_read", error=str(error))
            return True
        self._profile_due_ns = now_ns + seconds_to_ns(PROFILE_SECONDS)
        self._broker_expires_ns = profile.token_expires_ns
        await self._recovery.note_alive()
        return True

    async def _renew_in_time(self) -> None:
        outlook = self._outlook()
        if outlook.token_seconds is not None:
            self._metrics.token_seconds_left.set(outlook.token_seconds)
        now_ns = self._clock.now().monotonic_ns
        is_busy = self._engine.book.has_live_exit
        if now_ns < self._renewal_due_ns or not renewal_is_due(outlook, is_busy=is_busy):
            return
        self._renewal_due_ns = now_ns + seconds_to_ns(RENEWAL_PAUSE_SECONDS)
        if await self._session.reload():
            await self._take_note_of_new_token("file")
        elif self._session.state.is_renewable and await self._renew():
            await self._take_note_of_new_token("renewal")
        elif await self._log_in_early():
            await self._take_note_of_new_token("login")

    async def _renew(self) -> bool:
        """Renew; an unknown outcome may have killed the token, which a question will tell."""
        try:
            is_saved = await self._session.renew()
        except BrokerError as error:
            self._metrics.token_renewals.labels("renewal", "failed").inc()
            _log.warning("token_not_renewed", error=str(error))
            if error.sent is not Sent.NO or isinstance(error, BrokerSessionExpired):
                await self._ask_profile()
            return False
        self._metrics.token_renewals.labels("renewal", "done").inc()
        await self._recovery.note_made(is_saved=is_saved)
        return True

    async def _log_in_early(self) -> bool:
        """Log in while the old token lives; a dead one is the recovery's matter."""
        may = self._session.can_log_in and not self._session.state.is_refused
        return may and await self._recovery.log_in()

    async def _warn_in_time(self) -> None:
        outlook = self._outlook()
        due = warnings_due(outlook)
        if self._may_old_stand and not due and (outlook.token_seconds or 0) > 0:
            self._may_old_stand = False
            await self._alarms.clear("token_ends_soon", "the access token lasts")
        fresh = [name for name in due if name not in self._warned]
        if not fresh or outlook.token_seconds is None or self.expires_ns is None:
            return
        self._warned.update(fresh)
        minutes = max(1, round(outlook.token_seconds / 60))
        before = ", before the session is over" if outlook.ends_in_session else ""
        await self._alarms.raise_alarm(
            Severity.CRITICAL if minutes <= 15 else Severity.WARNING,
            "token_ends_soon",
            f"The access token ends in {minutes} minutes, at {iso_from_ns(self.expires_ns)[:16]}"
            f"{before}, and could not be renewed. After that no order goes out and nothing can be "
            f"read. {cure_text(self._session)}",
        )

    def _outlook(self) -> TokenOutlook:
        now_ns = self._clock.now().wall_ns
        held = {
            actor.tracker.instrument.instrument_id.exchange_segment
            for actor in self._engine.book
            if not actor.tracker.status.is_final
        }
        closes = [
            seconds
            for segment in sorted(held or {_LAST_SEGMENT})
            if (seconds := self._calendar.seconds_to_last_close(segment, now_ns)) is not None
        ]
        return TokenOutlook(seconds_until(self.expires_ns, now_ns), max(closes, default=None))

    async def _take_note_of_new_token(self, how: str) -> None:
        """Journal that another token is in use, once, and let everything go on with it."""
        generation = self._session.state.generation
        if generation == self._generation:
            return
        self._generation = generation
        self._broker_expires_ns = None
        self._warned.clear()
        self._profile_due_ns = 0
        expires_ns = self._session.state.expires_ns
        expires_at = None if expires_ns is None else iso_from_ns(expires_ns)
        _log.info("token_replaced", how=how, expires_at=expires_at)
        for listener in self._on_new_token:
            listener()
        await self._alarms.clear("token_ends_soon", "another access token is in use")
        await self._resume("another access token is in use")
        try:
            fact = TokenReplaced(how, expires_at)
            await self._store.record((fact,), self._clock.now().wall_ns)
        except StoreError as error:
            _log.error("token_replacement_not_journalled", error=str(error))

    async def _resume(self, cause: str) -> None:
        """Wake every exit that waits for a token, and see what was missed meanwhile."""
        self._metrics.token_alive.set(1)
        self._request_backfill(cause)
        await self._lift_all()

    async def _lift_all(self) -> None:
        self._left_behind.clear()
        async with asyncio.TaskGroup() as tasks:
            for actor in self._engine.book:
                intent = actor.tracker.intent
                if intent is not None and intent.block_reason in _LIFTED:
                    tasks.create_task(self._lift(actor.tracker))

    async def _lift(self, tracker: PositionTracker) -> None:
        actor = self._engine.book.get(tracker.tracker_id)
        if actor is not None:
            await self._engine.tell(actor, HindranceLifted(_LIFTED))

    def _note_change(self, tracker: PositionTracker) -> None:
        intent = tracker.intent
        reason = None if intent is None else intent.block_reason
        if reason is BlockReason.STATIC_IP:
            self._address.note_refused()
        if reason is BlockReason.TOKEN_DEAD and not self.is_refused:
            self._left_behind.set()  # decided on the old token's death, committed after its end
