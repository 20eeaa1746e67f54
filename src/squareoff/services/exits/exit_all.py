"""Close everything: entries are stopped and ended, shorts bought back, longs sold, one wish.

Answers for: that the wish, once taken, is carried to its end, also by the next process, and that
anybody can see what remains.
Invariants:
1. The wish and the kill switch that stops entries are one transaction; the switch stays on until a
   person lifts it, which also ends the wish.
2. Every exit is claimed like any other (durable, once); a repeat of the wish claims nothing twice.
3. Shorts go first, for buying back frees margin; longs wait for them SHORTS_FIRST_SECONDS at most.
4. The broker's own lock is asked for only after all is closed (`broker_lock`).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from squareoff.core.state.facts import AccountFact, ExitAllAsked, ExitAllEnded, Severity
from squareoff.core.state.inputs import EntryCancelAsked, HindranceLifted
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.orders import PositionSide
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock, ExitAllState, IdSource, TrackerStore
from squareoff.services.account.broker_lock import BrokerLock, LockOutcome
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.exits.exit_results import Wait, result_of
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.positions.position_book import PositionActor

_log = structlog.get_logger("squareoff.exit_all")
SHORTS_FIRST_SECONDS = 5.0
"""What the longs wait for shorts that are on their way: a limit, a chase step and its fill."""

ROUND_SECONDS = 0.25
"""How often the next step is looked for while the wish is being carried out."""

_TRIGGER = Trigger(RuleName.EXIT_ALL)
_HELD = (PositionStatus.ACTIVE, PositionStatus.EXITING)
_KILL_SWITCH_LIFTED = HindranceLifted(frozenset({BlockReason.KILL_SWITCH}))


def switch_reason(reason: str) -> str:
    """Return why the kill switch is on that a wish with this reason threw."""
    return f"exit-all: {reason}"


class ExitAll:
    """Carries out the wish to close everything."""

    def __init__(
        self,
        engine: ExitEngine,
        kill_switch: KillSwitch,
        lock: BrokerLock,
        *,
        store: TrackerStore,
        alarms: AlarmDesk,
        clock: Clock,
        ids: IdSource,
        expect_exits: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._engine = engine
        self._kill_switch = kill_switch
        self._lock = lock
        self._store = store
        self._alarms = alarms
        self._clock = clock
        self._ids = ids
        self._expect_exits = expect_exits
        self._began_ns = 0
        self._refusals: dict[str, ExitResult] = {}
        self._is_in_doubt = True
        self._is_left_behind = False
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self.state: ExitAllState | None = None
        kill_switch.on_release(self._wake_blocked)
        engine.on_change(self._note_change)

    async def ask(
        self,
        reason: str,
        *,
        lock_account: bool,
        intraday_only: bool = False,
        facts: Sequence[AccountFact] = (),
        in_place_of: str | None = None,
    ) -> ExitAllState:
        """Take the wish, durably, and make the first round: shorts are claimed on return.

        Args:
            intraday_only: leave alone what carries forward, unless a running wish means it too.
            facts: what is committed in the same transaction, before the wish.
            in_place_of: the reason of an earlier wish whose switch stands for this one from now on,
                None for that of any wish; any other reason of a switch that is on stays.

        Raises:
            StoreError: the wish may not be durable; entries are held back all the same.
        """
        running = self.running
        wants_lock = lock_account or (running is not None and running.lock_account)
        is_narrow = intraday_only and (running is None or running.intraday_only)
        operation_id = self._ids.new_id("all")
        switch = self._kill_switch.asked
        is_anothers = switch.active and not _is_of_a_wish(switch.reason, in_place_of)
        try:
            await self._kill_switch.set(
                active=True,
                level=switch.level if switch.active else "new",
                reason=switch.reason if is_anothers else switch_reason(reason),
                facts=(*facts, ExitAllAsked(operation_id, reason, wants_lock, is_narrow)),
            )
        except BaseException:  # whoever asked may be gone before the answer
            self._is_in_doubt = True  # it may be durable, and then somebody must carry it out
            self._asked.set()
            raise
        now = self._clock.now()
        self.state = ExitAllState(
            operation_id, reason, wants_lock, now.wall_ns, intraday_only=is_narrow
        )
        self._began_ns = now.monotonic_ns
        self._refusals.clear()
        self._asked.set()
        await self._take_turn(is_asked=True)
        return self.state

    @property
    def running(self) -> ExitAllState | None:
        """The wish that is carried out; one whose switch was lifted is over, noted or not yet."""
        is_running = self.state is not None and self.state.is_running
        return self.state if is_running and self._kill_switch.state.active else None

    async def run(self) -> None:
        """Go on with what the last process left, and with every new wish; never returns."""
        while True:
            if not self._is_in_doubt and (self.state is None or not self.state.is_running):
                await self._asked.wait()
            self._asked.clear()
            try:
                await self._wake_left_behind()
                await self._resolve_doubt()
                await self._take_turn(is_asked=False)
                await self._finish_when_closed()
            except StoreError as error:
                _log.error("exit_all_delayed", error=str(error))
            await self._clock.sleep(ROUND_SECONDS)

    async def _resolve_doubt(self) -> None:
        """Take over the stored wish: the last process's, or one whose commit was not answered."""
        if not self._is_in_doubt:
            return
        stored = await self._store.exit_all()
        self._is_in_doubt = False
        known = None if self.state is None else self.state.operation_id
        if stored is not None and stored.operation_id != known:
            self.state, self._began_ns = stored, self._clock.now().monotonic_ns
            if stored.is_running:
                _log.warning("exit_all_goes_on", operation_id=stored.operation_id)

    async def _take_turn(self, *, is_asked: bool) -> None:
        async with self._turn:
            if self.state is None or not self.state.is_running:
                return
            if not self._kill_switch.state.active:
                text = "the kill switch was lifted; exits that were claimed go on"
                await self._end(self.state, "lifted", text)
                return
            await self._end_entries(self.state.reason)
            await self._claim_exits(self.state.reason, is_asked=is_asked)

    async def _end_entries(self, reason: str) -> None:
        asked = EntryCancelAsked(f"everything is closed: {reason}")
        for actor in self._engine.book:
            if self._is_meant(actor.tracker) and _has_live_entry(actor.tracker):
                await self._engine.tell(actor, asked)

    async def _claim_exits(self, reason: str, *, is_asked: bool) -> None:
        """Claim what is to be closed now, of one side at once: the claims share a few commits, and
        the largest go first where they have to wait for their turn."""
        for side in (PositionSide.SHORT, PositionSide.LONG):
            if side is PositionSide.LONG and self._shorts_first():
                return
            wanted = [
                actor
                for actor in self._engine.book
                if actor.tracker.side is side
                and self._is_meant(actor.tracker)
                and _wants_claim(actor, is_asked=is_asked)
            ]
            self._expect_exits(len(wanted))
            await asyncio.gather(*(self._claim(actor, reason) for actor in wanted))

    async def _claim(self, actor: PositionActor, reason: str) -> None:
        tracker_id = actor.tracker.tracker_id
        result = await self._engine.execute_exit(
            tracker_id, reason, trigger=_TRIGGER, wait=Wait.CLAIMED
        )
        if result.success or result.intent_id is not None:
            self._refusals.pop(tracker_id, None)
        else:
            self._refusals[tracker_id] = result

    def _shorts_first(self) -> bool:
        """Say whether longs still wait, and not for too long: a short is on its way, or its claim
        could not be written and is tried again."""
        elapsed = (self._clock.now().monotonic_ns - self._began_ns) / NANOSECONDS_PER_SECOND
        return elapsed < SHORTS_FIRST_SECONDS and any(
            actor.tracker.side is PositionSide.SHORT
            and (_is_on_its_way(actor) or self._is_unclaimed(actor))
            for actor in self._engine.book
        )

    def _is_unclaimed(self, actor: PositionActor) -> bool:
        return self._is_meant(actor.tracker) and _wants_claim(actor, is_asked=False)

    def _is_meant(self, tracker: PositionTracker) -> bool:
        """Say whether the wish is about this position."""
        is_narrow = self.state is not None and self.state.intraday_only
        return tracker.product_type.is_intraday or not is_narrow

    def _unfinished(self) -> Iterator[PositionTracker]:
        for actor in self._engine.book:
            tracker = actor.tracker
            is_over = tracker.status.is_final and not _has_live_entry(tracker)
            if self._is_meant(tracker) and not is_over:
                yield tracker

    async def _finish_when_closed(self) -> None:
        """End the wish once all is closed. The lock takes its time: a new wish need not wait."""
        state = self.state
        if state is None or not state.is_running or not self._is_closed():
            return
        meant = "intraday position" if state.intraday_only else "position"
        text = f"every {meant} under watch is closed"
        if state.lock_account:
            may_lock = partial(self._may_lock, state)
            answer = await self._lock.put_on(state.operation_id, may_lock)
            if answer is None:
                return  # a person ended the wish, or something came under watch: that goes first
            outcome, said = answer
            text = f"{text}; the broker's lock: {outcome.value}, {said}"
            if outcome is LockOutcome.LOCKED:
                await self._alarms.clear("account_not_locked", "the broker's lock is on")
            else:
                await self._alarms.raise_alarm(
                    Severity.WARNING,
                    "account_not_locked",
                    f"The broker's own lock was asked for with exit-all and is not on: {said}.",
                )
        if self._is_closed():
            await self._end(state, "closed", text)

    def _may_lock(self, state: ExitAllState) -> bool:
        """Say whether this wish still stands, and nothing came under watch since all was closed."""
        running = self.running
        is_same = running is not None and running.operation_id == state.operation_id
        return is_same and self._is_closed()

    def _is_closed(self) -> bool:
        """Say whether nothing that the wish is about is left under watch."""
        return not any(self._unfinished())

    async def _end(self, state: ExitAllState, outcome: str, text: str) -> None:
        """End this wish; one that a newer one has replaced is over already."""
        if self.state is None or self.state.operation_id != state.operation_id:
            return
        fact = ExitAllEnded(state.operation_id, outcome, text)
        await self._store.record((fact,), self._clock.now().wall_ns)
        stored = await self._store.exit_all()
        if self.state.operation_id == state.operation_id:
            self.state = stored
        _log.info("exit_all_ended", outcome=outcome, text=text)

    async def _wake_blocked(self) -> None:
        """Let exits go on that the kill switch held up, the largest first."""
        held = [
            actor
            for actor in self._engine.book
            if actor.tracker.intent is not None
            and actor.tracker.intent.block_reason is BlockReason.KILL_SWITCH
        ]
        self._expect_exits(len(held))
        await asyncio.gather(*(self._engine.tell(each, _KILL_SWITCH_LIFTED) for each in held))

    def _note_change(self, tracker: PositionTracker) -> None:
        is_held = tracker.intent is not None and (
            tracker.intent.block_reason is BlockReason.KILL_SWITCH
        )
        if is_held and not self._kill_switch.blocks_exits:
            self._is_left_behind = True  # decided under the switch, committed after its end
            self._asked.set()

    async def _wake_left_behind(self) -> None:
        if self._is_left_behind:
            self._is_left_behind = False
            await self._wake_blocked()

    def results(self) -> tuple[ExitResult, ...]:
        """Return what became of each position since the wish, shorts first."""
        if self.state is None:
            return ()
        covered = [actor.tracker for actor in self._engine.book if self._is_covered(actor.tracker)]
        covered.sort(key=lambda tracker: tracker.side is PositionSide.LONG)
        return tuple(
            self._refusal_of(tracker) or result_of(tracker, Wait.CLAIMED)
            for tracker in covered
            if tracker.intent is not None or tracker.tracker_id in self._refusals
        )

    def _refusal_of(self, tracker: PositionTracker) -> ExitResult | None:
        """Return why it was not claimed; nothing where that was tried in vain and came about."""
        refusal = self._refusals.get(tracker.tracker_id)
        is_open = refusal is not None and refusal.code is ExitCode.STORE_UNAVAILABLE
        return None if is_open and tracker.status is not PositionStatus.ACTIVE else refusal

    def _is_covered(self, tracker: PositionTracker) -> bool:
        assert self.state is not None, "asked by `results`"
        if not self._is_meant(tracker):
            return False
        if tracker.status in _HELD:
            return True
        return (tracker.exited_at_ns or 0) >= self.state.asked_at_ns


def _is_of_a_wish(reason_of_switch: str, reason: str | None) -> bool:
    """Say whether a wish with this reason, None for any, threw a switch."""
    if reason is None:
        return reason_of_switch.startswith(switch_reason(""))
    return reason_of_switch == switch_reason(reason)


def _has_live_entry(tracker: PositionTracker) -> bool:
    return any(not order.state.is_terminal for order in tracker.entry_orders)


def _wants_claim(actor: PositionActor, *, is_asked: bool) -> bool:
    """Held and not claimed; one in a person's hands goes on once, when the wish is spoken."""
    tracker = actor.tracker
    if actor.is_halted:
        return is_asked and not tracker.status.is_final  # its refusal is part of the answer
    if tracker.status is PositionStatus.ACTIVE:
        return tracker.open_quantity > 0
    return is_asked and tracker.status is PositionStatus.EXITING and _has_stopped(tracker)


def _has_stopped(tracker: PositionTracker) -> bool:
    return tracker.is_with_a_person or tracker.is_withdrawing


def _is_on_its_way(actor: PositionActor) -> bool:
    """Say whether its exit may be closed soon: neither blocked nor in a person's hands."""
    intent = actor.tracker.intent
    is_exiting = actor.tracker.status is PositionStatus.EXITING and not actor.is_halted
    return is_exiting and intent is not None and intent.status is IntentStatus.OPEN
