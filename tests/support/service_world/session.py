"""A broker session in memory: one living token, a file, a login; a test kills and refuses."""

import asyncio
from dataclasses import dataclass, replace

from service_world.virtual import VirtualClock
from squareoff.domain.errors import BrokerError, BrokerOutcomeUnknown, BrokerSessionExpired
from squareoff.domain.orders import BrokerProfile
from squareoff.ports import AddressState, TimeReading, TokenState

DAY_SECONDS = 86_400.0


@dataclass
class ScriptedSession:
    """Fulfils `ports.BrokerSession`.

    `token_number` is the engine's token, `live_number` the one the broker takes, `file_number`
    what the file holds, None for no file. New tokens live `lives_seconds`, the first one until
    `ends_seconds` where that is given. `failures` of a call are raised in their order.
    """

    can_log_in: bool = False
    file_number: int | None = None
    lives_seconds: float | None = DAY_SECONDS
    ends_seconds: float | None = None
    is_renewable: bool = True
    is_saved: bool = True

    def __post_init__(self) -> None:
        self.token_number = self.live_number = 0
        self.newest_number = 0
        self.file_fault = ""
        self.calls: list[tuple[str, float]] = []
        self.failures: dict[str, list[BrokerError]] = {}
        self.addresses: AddressState | None = AddressState(True, "10.0.0.1", ("10.0.0.1",))
        if self.ends_seconds is None:
            self.ends_seconds = self.lives_seconds
        self._state = TokenState(0, False, False, None, True)
        self._changed = asyncio.Event()

    @property
    def state(self) -> TokenState:
        """The token in use."""
        expires_ns = None
        if self.ends_seconds is not None:
            elapsed = VirtualClock().now().wall_ns - round(asyncio.get_running_loop().time() * 1e9)
            expires_ns = elapsed + round(self.ends_seconds * 1e9)
        return replace(self._state, expires_ns=expires_ns, is_renewable=self.is_renewable)

    @property
    def has_file(self) -> bool:
        """Say whether there is a file."""
        return self.file_number is not None

    def kill(self) -> None:
        """Another program makes a token: ours is dead, and nobody has told us."""
        self.newest_number += 1
        self.live_number = self.newest_number

    def refuse(self) -> None:
        """A call was refused for the token."""
        self._set(is_refused=True)

    def suspect(self) -> None:
        """A socket ended as those of dead tokens do."""
        self._set(is_suspected=True)

    def count(self, name: str) -> int:
        """Return how often a call was made."""
        return sum(1 for call, _ in self.calls if call == name)

    def times(self, name: str) -> list[float]:
        """Return when a call was made, virtual seconds."""
        return [at for call, at in self.calls if call == name]

    async def wait_for_change(self, known: TokenState) -> None:
        """Return once the state is another."""
        while self.state == known:
            await self._changed.wait()

    async def reload(self) -> bool:
        """Take what the file holds, if that is news."""
        if self.file_number in (None, self.token_number):
            return False
        assert self.file_number is not None
        if self.file_number < self.token_number:
            return False
        self._take(self.file_number)
        return True

    async def profile(self) -> BrokerProfile:
        """Answer for a living token."""
        await self._call("profile")
        if self.token_number != self.live_number:
            self._set(is_refused=True, is_suspected=False)
            raise BrokerSessionExpired("dead")
        self._set(is_refused=False, is_suspected=False)
        return BrokerProfile("1100000001", self.state.expires_ns)

    async def renew(self) -> bool:
        """Replace a living token."""
        await self._call("renew")
        if self.token_number != self.live_number:
            raise BrokerSessionExpired("dead")
        return self._issue()

    async def log_in(self) -> bool:
        """Make a token."""
        await self._call("log_in")
        return self._issue()

    async def address(self) -> AddressState:
        """Answer as told."""
        await self._call("address")
        if self.addresses is None:
            raise BrokerOutcomeUnknown("no answer")
        return self.addresses

    async def _call(self, name: str) -> None:
        self.calls.append((name, asyncio.get_running_loop().time()))
        await asyncio.sleep(0.01)
        waiting = self.failures.get(name)
        if waiting:
            raise waiting.pop(0)

    def _issue(self) -> bool:
        self.kill()
        self._take(self.live_number)
        if self.has_file and self.is_saved:
            self.file_number = self.live_number
        return self.is_saved

    def _take(self, number: int) -> None:
        self.token_number = number
        if self.lives_seconds is not None:
            self.ends_seconds = asyncio.get_running_loop().time() + self.lives_seconds
        self._state = replace(
            self._state,
            generation=self._state.generation + 1,
            is_refused=False,
            is_suspected=False,
        )
        self._announce()

    def _set(self, **changes: bool) -> None:
        before = self._state
        self._state = replace(before, **changes)
        if self._state != before:
            self._announce()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class ScriptedTimes:
    """Fulfils `ports.BrokerTime`: a broker's clock that is `offset_seconds` behind ours."""

    def __init__(self) -> None:
        self.offset_seconds: float | None = 0.0
        self.way_seconds = 0.1

    def take(self) -> tuple[TimeReading, ...]:
        """Return one reading each time, as if a call had just been answered."""
        if self.offset_seconds is None:
            return ()
        now_ns = VirtualClock().now().wall_ns
        theirs_ns = now_ns - round(self.offset_seconds * 1e9)
        whole_ns = theirs_ns - theirs_ns % 10**9
        return (TimeReading(whole_ns, now_ns - round(self.way_seconds * 1e9), now_ns),)
