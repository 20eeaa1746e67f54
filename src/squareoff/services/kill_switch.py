"""The durable kill switch: `new` lets only exits through, `all` lets nothing through (I9)."""

from squareoff.core.facts import KillSwitchSet
from squareoff.domain.rules import Urgency
from squareoff.ports import Clock, KillSwitchState, TrackerStore


class KillSwitch:
    """The switch as last committed, in memory for every check before a send."""

    def __init__(self, store: TrackerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._state = KillSwitchState(active=False, level="new", reason="")
        self._settings = 0

    async def load(self) -> None:
        """Read the switch as stored; done before anything can be sent."""
        self._state = await self._store.kill_switch()

    async def set(self, *, active: bool, level: str, reason: str) -> KillSwitchState:
        """Commit the switch, then apply it; throwing it takes effect before the commit."""
        wanted = KillSwitchState(active=active, level=level, reason=reason)
        self._settings += 1
        setting = self._settings
        if active:
            self._state = wanted
        fact = KillSwitchSet(active, level, reason)
        await self._store.record((fact,), self._clock.now().wall_ns)
        if setting == self._settings:  # else it was set again meanwhile, and that stands
            self._state = wanted
        return wanted

    @property
    def state(self) -> KillSwitchState:
        """The switch now."""
        return self._state

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
