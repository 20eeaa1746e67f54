"""The exit engine: decides by the core, commits, and only then lets commands out.

Answers for: `execute_exit`, and every input that concerns a tracker (`tell`). One live exit per
position: the actor's lock orders callers of this process, the database constraint those of others.
Invariants:
1. Nothing is done before the decision that wants it is committed.
2. A decision that cannot be committed is not taken: the state in memory stays the committed one.
3. Every path of `execute_exit` returns an `ExitResult`.
4. Memory that may differ from the database is replaced by it before the next decision, and no
   caller's cancellation comes between a commit and what follows from it.
5. Where the database has lost a commit the engine ends: an older state never replaces memory.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from squareoff.core.entries.opening import NewPosition, open_position
from squareoff.core.exits.exit_protocol import decide
from squareoff.core.state.change import Change
from squareoff.core.state.facts import Severity, fact_kind
from squareoff.core.state.inputs import READINGS, ExitAsked, Input, SendAnswered, SendLost, Woke
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.step import Decision
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import (
    CommitLost,
    CommitOutcomeUnknown,
    DomainError,
    InvariantBroken,
    LostUpdate,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.ids import IntentId, TrackerId
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import RuleName, Trigger, Urgency
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, seconds_to_ns
from squareoff.ports import Checkpoints, Clock, IdSource, TrackerStore
from squareoff.services.exits.certain_commit import (
    STORE_RETRY_SECONDS,
    commit_certainly,
    open_certainly,
    what_was_lost,
)
from squareoff.services.exits.change_listeners import ChangeListeners, OnChange
from squareoff.services.exits.exit_results import (
    Wait,
    answer_without_claim,
    halted_result,
    has_news,
    joined_result,
    refusal_of,
    result_of,
)
from squareoff.services.exits.see_through import see_through
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.fact_log import OnFacts
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.positions.claim_sizing import ClaimSizing
from squareoff.services.positions.position_book import PositionActor, PositionBook

_log = structlog.get_logger("squareoff.exit_engine")
EXIT_WAIT_SECONDS_MAX = 8.0
"""How long a caller of `execute_exit` waits by default: a whole gateway call."""

LOST_UPDATES_MAX = 5
"""Another writer is first once, at a takeover; a row that is lost this often is broken."""

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
        self._listeners = ChangeListeners(clock)
        self._sizing: ClaimSizing | None = None

    def connect(
        self,
        tasks: asyncio.TaskGroup,
        carry_out: Callable[[PositionActor, Decision], None],
        sizing: ClaimSizing | None = None,
    ) -> None:
        """Give the engine its task group, who carries out commands, and who sizes ahead."""
        self._tasks = tasks
        self._carry_out = carry_out
        self._sizing = sizing

    def on_change(self, listener: OnChange) -> None:
        """Call `listener` with each tracker after a change of it was committed."""
        self._listeners.add(on_change=listener)

    def on_facts(self, listener: OnFacts) -> None:
        """Call `listener` with each tracker and the facts of a commit after it, first."""
        self._listeners.add(on_facts=listener)

    def disconnect(self) -> None:
        """The task group ends: nothing wakes by itself any more and no exit is taken."""
        self._tasks = self._carry_out = None
        for actor in self.book:
            self._schedule_wake(actor, None)

    async def open(self, position: NewPosition) -> PositionTracker:
        """Take a checked position under watch, durably.

        Where the database does not say whether it was written, this waits until it does: whoever
        asks again after an error would have the position under watch twice.

        Raises:
            StoreUnavailable, LostUpdate: nothing was written.
        """
        return await see_through(self._tasks, self._open(position))

    async def _open(self, position: NewPosition) -> PositionTracker:
        now = self._clock.now()
        tracker, facts = open_position(position, now.wall_ns)
        await open_certainly(self._store, Change(None, tracker, facts), now.wall_ns, self._clock)
        actor = self.book.add(tracker)
        self._listeners.tell(tracker, facts)
        await self.tell_within(actor, Woke())
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
            return refusal_of(tracker_id, ExitCode.INVALID_REASON, "the reason is blank")
        actor = self.book.get(tracker_id)
        if actor is None:
            return refusal_of(
                tracker_id, ExitCode.INVALID_TRACKER, f"there is no tracker {tracker_id}"
            )
        if self._carry_out is None:
            return refusal_of(
                tracker_id, ExitCode.INVALID_ROUTER, "the engine is not connected to a router"
            )
        refusal = await see_through(self._tasks, self._claim(actor, reason.strip(), trigger))
        if refusal is not None and refusal.code is ExitCode.EXIT_IN_PROGRESS:
            return await self._join(actor, wait, seconds)
        if refusal is not None:
            return refusal
        if wait is not Wait.CLAIMED:
            await self._wait_for_news(actor, wait, seconds)
        if actor.is_halted and actor.tracker.status is not PositionStatus.EXITED:
            return halted_result(tracker_id)
        return result_of(actor.tracker, wait)

    async def _join(self, actor: PositionActor, wait: Wait, seconds: float) -> ExitResult:
        """Answer about the exit that another caller began; who wants it filled waits with them."""
        if wait is Wait.FILLED:
            await self._wait_for_news(actor, wait, seconds)
        return joined_result(actor.tracker, wait, is_halted=actor.is_halted)

    async def _claim(
        self, actor: PositionActor, reason: str, trigger: Trigger
    ) -> ExitResult | None:
        """Claim the exit; return the result of a refusal, None when this caller owns the exit."""
        asked = ExitAsked(IntentId(self._ids.new_id("exit")), reason, trigger)
        tracker_id = actor.tracker.tracker_id
        try:
            async with actor.lock:
                refusal = await self._claim_under_lock(actor, asked)
        except StoreError as error:
            if actor.is_in_doubt:  # the claim may be durable, and then somebody must drive it
                self._wake_in(actor, STORE_RETRY_SECONDS)
            return refusal_of(tracker_id, ExitCode.STORE_UNAVAILABLE, str(error))
        except (DomainError, InvariantBroken) as error:
            await self.halt(actor, error)
            return halted_result(tracker_id)
        return refusal

    async def _claim_under_lock(self, actor: PositionActor, asked: ExitAsked) -> ExitResult | None:
        """Validate and claim; where another writer was first, do both again on its state."""
        for _ in range(LOST_UPDATES_MAX):
            try:
                await self._resolve_doubt(actor)
                refusal = answer_without_claim(actor.tracker, is_halted=actor.is_halted)
                if refusal is None:
                    await self._decide_claim(actor, asked)
                return refusal
            except LostUpdate:
                continue
        raise self._never_written(actor)

    async def _decide_claim(self, actor: PositionActor, asked: ExitAsked) -> None:
        """Claim, and size in the same decision where nobody else sizes on the key and a reading is
        at hand. The key's lock is only tried: a claim waits for nobody's sizing."""
        if self._sizing is None:
            await self._decide_and_commit(actor, asked)
            return
        key_lock = self.book.key_lock(actor.tracker.key)
        if not key_lock.is_free:
            self._sizing.begin(actor)  # begins once the commit is under way
            await self._decide_and_commit(actor, asked)
            return
        async with key_lock:
            reading = self._sizing.at_hand(actor, Urgency.of_rule(asked.trigger.rule))
            decision: Decision | None = None
            try:
                decision = await self._decide_and_commit(actor, replace(asked, reading=reading))
            finally:
                self._sizing.return_unused(reading, decision)

    async def _wait_for_news(self, actor: PositionActor, wait: Wait, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await actor.wait_until(lambda: actor.is_halted or has_news(actor.tracker, wait))
        except TimeoutError:
            return

    async def tell(self, actor: PositionActor, event: Input) -> Decision | None:
        """Feed one input to a position; return the committed decision, None if it is halted.

        A store that is away delays the decision, for an input must not be lost; commands wait too.
        Only what was read of the broker is asked for anew by then: it may be true no more.
        A caller who is cancelled meanwhile leaves the decision to be taken.
        """
        return await see_through(self._tasks, self.tell_within(actor, event))

    async def tell_within(self, actor: PositionActor, event: Input) -> Decision | None:
        """As `tell`, for tasks of the engine's own group: only the engine's end cancels those."""
        lost_updates, is_first_failure = 0, True
        while not actor.is_halted:
            try:
                async with actor.lock:
                    await self._resolve_doubt(actor)
                    return await self._decide_and_commit(actor, event)
            except LostUpdate:
                lost_updates += 1
                if lost_updates == LOST_UPDATES_MAX:
                    await self.halt(actor, self._never_written(actor))
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                if is_first_failure:
                    name, tracker_id = type(event).__name__, actor.tracker.tracker_id
                    _log.error(
                        "commit_delayed", tracker_id=tracker_id, input=name, error=str(error)
                    )
                is_first_failure = False
                await self._clock.sleep(STORE_RETRY_SECONDS)
                if isinstance(event, READINGS):
                    event = Woke()
            except (DomainError, InvariantBroken) as error:
                await self.halt(actor, error)
        return None

    @staticmethod
    def _never_written(actor: PositionActor) -> InvariantBroken:
        return InvariantBroken(
            f"tracker {actor.tracker.tracker_id} could not be written {LOST_UPDATES_MAX} times "
            "in a row: its row is not what was read"
        )

    async def _decide_and_commit(self, actor: PositionActor, event: Input) -> Decision:
        """Decide, commit and follow up under the actor's lock; on failure nothing has changed.

        The follow-up is part of it, for the newest decision's wake-up and commands must stand.
        """
        now = self._clock.now()
        decision = self._decide(actor, event, now)
        if decision.facts or decision.alarms:
            change = Change(actor.tracker, decision.tracker, decision.facts, decision.alarms)
            last = (*decision.facts, *decision.alarms)[-1]
            self._checkpoints.reach(f"before_commit_{fact_kind(type(last))}")
            try:
                with self._metrics.commit_seconds.time():
                    await commit_certainly(self._store, change, now.wall_ns)
            except (LostUpdate, CommitOutcomeUnknown):
                actor.is_in_doubt = True
                raise
            self._checkpoints.reach(f"after_commit_{fact_kind(type(last))}")
        actor.decided_at_ns = now.monotonic_ns
        self.book.apply(actor, decision)
        self._follow_up(actor, decision)
        return decision

    def _decide(self, actor: PositionActor, event: Input, now: Now) -> Decision:
        """Decide by the core; whatever it raises is a defect, and one position's alone."""
        try:
            return decide(actor.tracker, actor.pacing, event, now, self._policy)
        except Exception as error:
            text = f"{type(event).__name__} could not be decided: {type(error).__name__}: {error}"
            raise InvariantBroken(text) from error

    async def _resolve_doubt(self, actor: PositionActor) -> None:
        """Take over what the database holds; sends that nobody is making have been lost."""
        if not actor.is_in_doubt:
            return
        stored = await self._store.load(actor.tracker.tracker_id)
        if (loss := what_was_lost(actor.tracker, stored)) is not None:
            if self._tasks is not None:  # met in the group too: a caller might keep it to himself
                self._wake_in(actor, STORE_RETRY_SECONDS)
            await self._alarms.raise_alarm(Severity.CRITICAL, "database_went_back", loss)
            raise CommitLost(loss)
        if stored is not None and stored != actor.tracker:
            self.book.replace(actor, stored, self._clock.now().monotonic_ns)
        self._alarms.look_for_unheard()  # what was committed unseen was told to nobody
        for client_order_id, number in actor.orphaned_sends():
            lost = SendLost("its commit was not known of, so nobody made the call")
            await self._decide_and_commit(actor, SendAnswered(client_order_id, number, lost))
        actor.is_in_doubt = False
        self._listeners.tell(actor.tracker)
        actor.announce()
        if self._tasks is not None:  # whatever the taken state wants, even if nothing else comes
            self._wake_in(actor, 0.0)

    def _follow_up(self, actor: PositionActor, decision: Decision) -> None:
        for alarm in decision.alarms:
            self._alarms.publish(alarm)
        if decision.facts:
            actor.announce()
        self._schedule_wake(actor, decision.wake_at_ns)
        if self._carry_out is not None:
            self._carry_out(actor, decision)
        if decision.facts and self._tasks is not None and decision.sends_an_order:
            self._listeners.tell_soon(decision.tracker, decision.facts, self._tasks)
        elif decision.facts:
            self._listeners.tell(decision.tracker, decision.facts)

    def _wake_in(self, actor: PositionActor, seconds: float) -> None:
        self._schedule_wake(actor, self._clock.now().monotonic_ns + seconds_to_ns(seconds))

    def _schedule_wake(self, actor: PositionActor, wake_at_ns: int | None) -> None:
        if actor.is_to_wake_at(wake_at_ns) or wake_at_ns is None:
            return
        seconds = max(0, wake_at_ns - self._clock.now().monotonic_ns) / NANOSECONDS_PER_SECOND
        actor.wake_handle = asyncio.get_running_loop().call_later(seconds, self._wake, actor)

    def _wake(self, actor: PositionActor) -> None:
        actor.wake_handle = None
        if self._tasks is not None:
            with suppress(asyncio.CancelledError):  # the engine ends: nothing wakes any more
                self._tasks.create_task(self.tell_within(actor, Woke()))

    async def halt(self, actor: PositionActor, error: Exception) -> None:
        """A defect of ours within one position halts that position; others go on."""
        if actor.is_halted:
            return
        actor.is_halted = True
        actor.announce()
        _log.error("position_halted", tracker_id=actor.tracker.tracker_id, error=str(error))
        symbol, tracker_id = actor.tracker.instrument.trading_symbol, actor.tracker.tracker_id
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "position_halted",
            f"{symbol} ({tracker_id}) is halted by a defect: {error}. "
            "Nothing more is sent for it; close it by hand and report this.",
            tracker_id,
        )
