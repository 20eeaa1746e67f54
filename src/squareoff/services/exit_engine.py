"""The exit engine: decides by the core, commits, and only then lets commands out.

Answers for: `execute_exit`, and every input that concerns a tracker (`tell`). One live exit per
position: the actor's lock orders callers of this process, the database constraint those of others.
Invariants:
1. Nothing is done before the decision that wants it is committed.
2. A decision that cannot be committed is not taken: the state in memory stays the committed one.
3. Every path of `execute_exit` returns an `ExitResult`.
"""

import asyncio
from collections.abc import Callable

import structlog

from squareoff.core.change import Change
from squareoff.core.exit_protocol import decide
from squareoff.core.facts import Severity, fact_kind
from squareoff.core.inputs import ExitAsked, Input, Woke
from squareoff.core.opening import NewPosition, open_position
from squareoff.core.policy import ExitPolicy
from squareoff.core.step import Decision
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import (
    CommitOutcomeUnknown,
    DomainError,
    InvariantBroken,
    LostUpdate,
    StoreUnavailable,
)
from squareoff.domain.ids import IntentId, TrackerId
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Checkpoints, Clock, IdSource, TrackerStore
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.exit_results import Wait, has_news, result_of
from squareoff.services.metrics import Metrics
from squareoff.services.position_book import PositionActor, PositionBook

_log = structlog.get_logger("squareoff.exit_engine")
STORE_RETRY_SECONDS = 0.2
"""Pause before a decision that could not be committed is taken again."""

EXIT_WAIT_SECONDS_MAX = 8.0
"""How long a caller of `execute_exit` waits by default: a whole gateway call (interface.md)."""

MANUAL = Trigger(RuleName.MANUAL)


class ExitEngine:
    """Drives every tracked position of one account."""

    def __init__(
        self,
        book: PositionBook,
        store: TrackerStore,
        *,
        clock: Clock,
        ids: IdSource,
        policy: ExitPolicy,
        alarms: AlarmDesk,
        metrics: Metrics,
        checkpoints: Checkpoints,
    ) -> None:
        self.book = book
        self._store = store
        self._clock = clock
        self._ids = ids
        self._policy = policy
        self._alarms = alarms
        self._metrics = metrics
        self._checkpoints = checkpoints
        self._carry_out: Callable[[PositionActor, Decision], None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._on_change: list[Callable[[PositionTracker], None]] = []
        self.is_sending_blocked: Callable[[], bool] = lambda: False

    def connect(
        self, tasks: asyncio.TaskGroup, carry_out: Callable[[PositionActor, Decision], None]
    ) -> None:
        """Give the engine its task group and the one that carries out commands."""
        self._tasks = tasks
        self._carry_out = carry_out

    def on_change(self, listener: Callable[[PositionTracker], None]) -> None:
        """Call `listener` with each tracker right after a change of it was committed."""
        self._on_change.append(listener)

    async def open(self, position: NewPosition) -> PositionTracker:
        """Take a checked position under watch, durably.

        Raises:
            StoreUnavailable, LostUpdate: nothing was written.
        """
        now = self._clock.now()
        tracker, facts = open_position(position, now.wall_ns)
        await self._store.commit(Change(None, tracker, facts), now.wall_ns)
        actor = self.book.add(tracker)
        self._notify(tracker)
        await self.tell(actor, Woke())
        return actor.tracker

    async def execute_exit(
        self,
        tracker_id: TrackerId,
        reason: str,
        *,
        trigger: Trigger = MANUAL,
        wait: Wait = Wait.ACCEPTED,
        wait_seconds: float = EXIT_WAIT_SECONDS_MAX,
    ) -> ExitResult:
        """Validate, claim and drive the exit of one position; answer on every path.

        Args:
            reason: why, in the owner's or the rule's words; not blank.
            wait: `ACCEPTED` answers once the broker has every order of the exit, `FILLED` once the
                position is closed and confirmed, `CLAIMED` at once after the durable claim.

        Returns:
            The result; the exit itself goes on after a wait that ended early.
        """
        result = await self._execute_exit(tracker_id, reason, trigger, wait, wait_seconds)
        self._metrics.exits.labels(trigger.rule.value, result.code.value).inc()
        return result

    async def _execute_exit(
        self, tracker_id: TrackerId, reason: str, trigger: Trigger, wait: Wait, seconds: float
    ) -> ExitResult:
        if not reason or not reason.strip():
            return self._refusal(tracker_id, ExitCode.INVALID_REASON, "the reason is blank")
        actor = self.book.get(tracker_id)
        if actor is None:
            return self._refusal(
                tracker_id, ExitCode.INVALID_TRACKER, f"there is no tracker {tracker_id}"
            )
        if self._carry_out is None:
            return self._refusal(
                tracker_id, ExitCode.INVALID_ROUTER, "the engine is not connected to a router"
            )
        refusal = await self._claim(actor, reason.strip(), trigger)
        if refusal is not None:
            return refusal
        if wait is not Wait.CLAIMED:
            await self._wait_for_news(actor, wait, seconds)
        return result_of(actor.tracker, wait)

    async def _claim(
        self, actor: PositionActor, reason: str, trigger: Trigger
    ) -> ExitResult | None:
        """Claim the exit; return the result of a refusal, None when this caller owns the exit."""
        asked = ExitAsked(IntentId(self._ids.new_id("exit")), reason, trigger)
        async with actor.lock:
            refusal = self._validate(actor)
            if refusal is not None:
                return refusal
            try:
                decision = await self._decide_and_commit(actor, asked)
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                return self._refusal(
                    actor.tracker.tracker_id, ExitCode.STORE_UNAVAILABLE, str(error)
                )
            except LostUpdate:
                return await self._lost_claim(actor)
        self._note_claim_latency(trigger)
        await self._follow_up(actor, decision)
        return None

    def _validate(self, actor: PositionActor) -> ExitResult | None:
        tracker = actor.tracker
        tracker_id, intent = tracker.tracker_id, tracker.intent
        match tracker.status:
            case PositionStatus.EXITED:
                return result_of(tracker, Wait.FILLED, code=ExitCode.ALREADY_EXITED)
            case PositionStatus.EXITING if (
                intent is not None and intent.status is not IntentStatus.NEEDS_HUMAN
            ):
                return result_of(tracker, Wait.FILLED, code=ExitCode.EXIT_IN_PROGRESS)
            case PositionStatus.PENDING | PositionStatus.CANCELLED:
                text = f"tracker {tracker_id} is {tracker.status.value}: nothing is held"
                return self._refusal(tracker_id, ExitCode.NOT_ACTIVE, text)
        if actor.is_halted:
            text = f"tracker {tracker_id} is halted after a defect; see its alarm"
            return self._refusal(tracker_id, ExitCode.HALTED, text)
        return None

    async def _lost_claim(self, actor: PositionActor) -> ExitResult:
        """Another process claimed first: take over its state and say so."""
        await self._reload(actor)
        code = (
            ExitCode.ALREADY_EXITED
            if actor.tracker.status is PositionStatus.EXITED
            else ExitCode.EXIT_IN_PROGRESS
        )
        return result_of(actor.tracker, Wait.FILLED, code=code)

    def _note_claim_latency(self, trigger: Trigger) -> None:
        if trigger.received_time_ns is not None:
            elapsed = self._clock.now().wall_ns - trigger.received_time_ns
            self._metrics.trigger_to_claim_seconds.observe(elapsed / NANOSECONDS_PER_SECOND)

    @staticmethod
    def _refusal(tracker_id: TrackerId, code: ExitCode, text: str) -> ExitResult:
        return ExitResult(code.is_success, code, tracker_id, error=text)

    async def _wait_for_news(self, actor: PositionActor, wait: Wait, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), actor.changed:
                await actor.changed.wait_for(lambda: has_news(actor.tracker, wait))
        except TimeoutError:
            return

    async def tell(self, actor: PositionActor, event: Input) -> Decision | None:
        """Feed one input to a position; return the committed decision, None if it is halted.

        A store that is away delays the decision, for an input must not be lost; commands wait too.
        """
        is_first_try = True
        while True:
            if actor.is_halted:
                return None
            try:
                async with actor.lock:
                    decision = await self._decide_and_commit(actor, event)
                break
            except LostUpdate:
                await self._reload(actor)
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                if is_first_try:
                    _log.error(
                        "commit_delayed",
                        tracker_id=actor.tracker.tracker_id,
                        input=type(event).__name__,
                        error=str(error),
                    )
                is_first_try = False
                await self._clock.sleep(STORE_RETRY_SECONDS)
            except (DomainError, InvariantBroken) as error:
                await self.halt(actor, error)
                return None
        await self._follow_up(actor, decision)
        return decision

    async def _decide_and_commit(self, actor: PositionActor, event: Input) -> Decision:
        """Decide and commit under the actor's lock; on failure the actor is unchanged."""
        now = self._clock.now()
        decision = decide(actor.tracker, actor.pacing, event, now, self._policy)
        if decision.facts or decision.alarms:
            change = Change(actor.tracker, decision.tracker, decision.facts, decision.alarms)
            last = (*decision.facts, *decision.alarms)[-1]
            self._checkpoints.reach(f"before_commit_{fact_kind(type(last))}")
            with self._metrics.commit_seconds.time():
                await self._commit(change, now.wall_ns)
            self._checkpoints.reach(f"after_commit_{fact_kind(type(last))}")
        self.book.apply(actor, decision)
        return decision

    async def _commit(self, change: Change, at_ns: int) -> None:
        try:
            await self._store.commit(change, at_ns)
        except CommitOutcomeUnknown:
            stored = await self._store.load(change.after.tracker_id)
            if stored is None or stored.version != change.after.version:
                raise

    async def _reload(self, actor: PositionActor) -> None:
        stored = await self._store.load(actor.tracker.tracker_id)
        if stored is not None:
            actor.tracker = stored

    async def _follow_up(self, actor: PositionActor, decision: Decision) -> None:
        for alarm in decision.alarms:
            self._alarms.publish(alarm)
        if decision.facts:
            self._notify(decision.tracker)
            async with actor.changed:
                actor.changed.notify_all()
        self._schedule_wake(actor, decision.wake_at_ns)
        if self._carry_out is not None:
            self._carry_out(actor, decision)

    def _notify(self, tracker: PositionTracker) -> None:
        for listener in self._on_change:
            listener(tracker)

    def _schedule_wake(self, actor: PositionActor, wake_at_ns: int | None) -> None:
        if actor.wake_handle is not None:
            actor.wake_handle.cancel()
            actor.wake_handle = None
        if wake_at_ns is None:
            return
        delay_ns = max(0, wake_at_ns - self._clock.now().monotonic_ns)
        loop = asyncio.get_running_loop()
        actor.wake_handle = loop.call_later(delay_ns / NANOSECONDS_PER_SECOND, self._wake, actor)

    def _wake(self, actor: PositionActor) -> None:
        assert self._tasks is not None, "connected before any decision"
        self._tasks.create_task(self.tell(actor, Woke()))

    async def halt(self, actor: PositionActor, error: Exception) -> None:
        """A defect of ours within one position halts that position; others go on."""
        actor.is_halted = True
        _log.error("position_halted", tracker_id=actor.tracker.tracker_id, error=str(error))
        symbol, tracker_id = actor.tracker.instrument.trading_symbol, actor.tracker.tracker_id
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "position_halted",
            f"{symbol} ({tracker_id}) is halted by a defect: {error}. "
            "Nothing more is sent for it; close it by hand and report this.",
            tracker_id,
        )
