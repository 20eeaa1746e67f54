"""The durable kill switch: `new` lets only exits through, `all` lets nothing through (I9).

Answers for: what is held back now, in this process, whoever set it and wherever.
Invariants:
1. Throwing takes effect before its commit and even without it; releasing only by its commit.
2. A switch that another process set on the same database holds here within a second.
3. A throw that could not be committed is committed as soon as the database is back.
4. A reading of the database never undoes what was set here while it was being read.
5. Settings are committed in the order in which they were asked for, so that what holds here last
   is what the database holds last. Who sets the switch by how it stands goes by `asked`, or undoes
   what is being committed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from squareoff.core.state.facts import AccountFact, KillSwitchSet
from squareoff.domain.errors import (
    CommitOutcomeUnknown,
    InForceNotStored,
    StoreError,
    StoreUnavailable,
)
from squareoff.domain.rules import Urgency
from squareoff.ports import Clock, KillSwitchState, TrackerStore

_log = structlog.get_logger("squareoff.kill_switch")
WATCH_SECONDS = 0.5
"""Between two readings of the stored switch: two fit into the second that it may take."""

OFF = KillSwitchState(active=False, level="new", reason="")
ENTRIES_HELD = KillSwitchState(active=True, level="new", reason="")


class KillSwitch:
    """The switch as last committed, in memory for every check before a send."""

    def __init__(
        self, store: TrackerStore, clock: Clock, *, watch_seconds: float = WATCH_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._state = self._asked = OFF
        self._held_exits = False
        self._settings = 0
        self._setting_count = 0
        self._in_turn = asyncio.Lock()
        self._uncommitted: KillSwitchState | None = None
        self._on_release: list[Callable[[], Awaitable[None]]] = []
        self.store_failure: str | None = None

    def on_release(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Call `listener` whenever exits may go out again."""
        self._on_release.append(listener)

    async def load(self) -> None:
        """Read the switch as stored, unless it was set here; done before anything can be sent."""
        stored = await self._store.kill_switch()
        if not self._settings:
            self._state = self._asked = stored
            self._held_exits = self.blocks_exits

    async def run(self) -> None:
        """Follow the stored switch, and store what could not be stored; never returns."""
        while True:
            await self._clock.sleep(self._watch_seconds)
            try:
                await self._follow()
                self.store_failure = None
            except StoreError as error:
                if self.store_failure is None:
                    _log.error("kill_switch_not_read", error=str(error))
                self.store_failure = str(error)

    async def _follow(self) -> None:
        uncommitted = self._uncommitted
        if uncommitted is not None and not self._setting_count:
            await self.set(active=True, level=uncommitted.level, reason=uncommitted.reason)
            _log.warning("kill_switch_stored_late", level=uncommitted.level)
            return
        settings = self._settings
        stored = await self._store.kill_switch()
        if settings != self._settings or self._setting_count or stored == self._state:
            return
        _log.warning("kill_switch_followed", active=stored.active, level=stored.level)
        await self._apply(stored)

    async def set(
        self, *, active: bool, level: str, reason: str, facts: Sequence[AccountFact] = ()
    ) -> KillSwitchState:
        """Commit the switch, then apply it; what holds back more takes effect before the commit.

        Args:
            facts: what is committed in the same transaction, after the switch.
        """
        wanted = KillSwitchState(active=active, level=level, reason=reason)
        self._settings += 1
        setting = self._settings
        self._asked = wanted
        if strictness(wanted) > strictness(self._state):
            self._state = self._uncommitted = wanted
            self._held_exits = self._held_exits or self.blocks_exits
        fact = KillSwitchSet(active, level, reason)
        self._setting_count += 1
        try:
            async with self._in_turn:
                await self._store.record((fact, *facts), self._clock.now().wall_ns)
        except BaseException:
            if setting == self._settings:
                self._asked = self._state
            raise
        finally:
            self._setting_count -= 1
        if setting == self._settings:  # else it was set again meanwhile, and that stands
            self._uncommitted = None
            await self._apply(wanted)
        return wanted

    async def _apply(self, state: KillSwitchState) -> None:
        blocked_exits, self._state, self._asked = self._held_exits, state, state
        self._held_exits = self.blocks_exits
        if blocked_exits and not self.blocks_exits:
            for listener in self._on_release:
                await listener()

    @property
    def state(self) -> KillSwitchState:
        """The switch now."""
        return self._state

    @property
    def asked(self) -> KillSwitchState:
        """The switch as it was set last, be that committed yet or not."""
        return self._asked

    @property
    def blocks_entries(self) -> bool:
        """Say whether entries are held back."""
        return self._state.active

    def stops(self, urgency: Urgency) -> bool:
        """Say whether a write of this urgency is held back."""
        return self.blocks_entries if urgency is Urgency.ENTRY else self.blocks_exits

    @property
    def blocks_exits(self) -> bool:
        """Say whether even exits are held back."""
        return self._state.active and self._state.level == "all"


def strictness(state: KillSwitchState) -> int:
    """Rank a state by how much it holds back: nothing, entries, everything."""
    if not state.active:
        return 0
    return 2 if state.level == "all" else 1


@contextmanager
def telling_what_holds(
    switch: KillSwitch, wanted: KillSwitchState, wish: str = ""
) -> Iterator[None]:
    """Say of a commit that failed what holds all the same, by invariant 1.

    Args:
        wanted: the switch that is being thrown; a release takes effect by its commit alone.
        wish: what was to be stored with the switch and is lost unless the commit came through.

    Raises:
        InForceNotStored: the switch holds here, and is not known to be stored.
    """
    try:
        yield
    except (StoreUnavailable, CommitOutcomeUnknown) as error:
        if not wanted.active or strictness(switch.state) < strictness(wanted):
            raise
        text = (
            f"the kill switch holds in this engine at level {switch.state.level}, but its commit "
            "is not confirmed: it is stored as soon as the database is back, and a restart before "
            "that may forget it"
        )
        if wish:
            is_lost = isinstance(error, StoreUnavailable)
            fate = "was not stored and closes nothing" if is_lost else "may be stored and go on"
            text = f"{text}; {wish} {fate}: ask again, which claims nothing twice"
        raise InForceNotStored(text) from error
