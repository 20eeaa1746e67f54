"""The claim of one virtual process on the account: the real ownership on the run's own database.

`take` or `stand_by` comes before the engine is assembled. What they give goes three ways: the epoch
into the process's `SqlStore`, the ownership as fence into its `DhanRestClient`, and the ownership
into its `Ports`. A run of one process claims nothing, and its fence looks at deadlines alone.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from squareoff import __version__
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.core.session.lease import AccountOwner, OwnerClaim, TakeoverCause
from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable
from squareoff.ports import Clock
from squareoff.services.account.account_ownership import AccountOwnership
from squareoff.simulator.virtual.incarnation import Incarnation
from squareoff.simulator.virtual.store_at_risk import SLOW_SECONDS
from squareoff.simulator.virtual.virtual_lock import VirtualLock
from squareoff.simulator.virtual.world import ACCOUNT, World

LEASE_SECONDS = 5.0
T = TypeVar("T")


def virtual_ownership(
    process: Incarnation, world: World, clock: Clock, chance: random.Random
) -> AccountOwnership:
    """Return the process's claim, not yet taken; the world has the lock that all of them share.

    A process that stands still keeps the lock, a killed one loses it at once.
    """
    claim = OwnerClaim(
        host="virtual",
        process_id=process.number,
        process_key="",
        version=__version__,
        config_hash="virtual",
        lease_seconds=LEASE_SECONDS,
    )
    store = OwnersAtRisk(SqlOwnerStore(world.runner, ACCOUNT), process, world, chance)
    lock = VirtualLock(world.lock_file, lambda: process.is_dead)
    return AccountOwnership(store, lock, claim, clock)


class LonelyFence:
    """Fulfils `SendFence` in runs of one process, which has no lease to lose: what was decided too
    long ago does not leave there either."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def refusal(self, send_before_ns: int | None) -> str | None:
        """Say why nothing may leave now; see `ports.SendFence.refusal`."""
        if send_before_ns is not None and self._clock.now().monotonic_ns >= send_before_ns:
            return "it was decided too long ago: its send deadline has passed"
        return None


class OwnersAtRisk:
    """Fulfils `OwnerStore` over the real one: at times away, slow, or cut off in its COMMIT."""

    def __init__(
        self, inner: SqlOwnerStore, process: Incarnation, world: World, chance: random.Random
    ) -> None:
        self._inner = inner
        self._process = process
        self._world = world
        self._chance = chance

    async def owner(self) -> AccountOwner | None:
        """Read the owner."""
        await self._begin()
        return await self._inner.owner()

    async def take(
        self,
        claim: OwnerClaim,
        cause: TakeoverCause,
        before: AccountOwner | None,
        *,
        holds_lock: bool,
        at_ns: int,
    ) -> int:
        """Take the account, or fail as the seed says."""
        await self._begin()

        async def take() -> int:
            return await self._inner.take(claim, cause, before, holds_lock=holds_lock, at_ns=at_ns)

        return await self._committed(take)

    async def renew(self, epoch: int, *, holds_lock: bool, lease_until_ns: int) -> None:
        """Give a sign of life, or fail as the seed says."""
        await self._begin()

        async def renew() -> None:
            await self._inner.renew(epoch, holds_lock=holds_lock, lease_until_ns=lease_until_ns)

        await self._committed(renew)

    async def release(self, epoch: int) -> None:
        """Say that the owner ended in good order."""
        await self._begin()
        await self._inner.release(epoch)

    async def _begin(self) -> None:
        self._process.check()
        await asyncio.sleep(self._chance.uniform(0.0001, 0.002))
        if self._strikes("owner_slow"):
            await asyncio.sleep(self._chance.uniform(*SLOW_SECONDS))
        self._process.check()
        if self._strikes("owner_busy"):
            raise StoreUnavailable("the database is busy")

    async def _committed(self, work: Callable[[], Awaitable[T]]) -> T:
        if not self._strikes("owner_commit_unknown"):
            return await work()
        if self._chance.random() < 0.5:
            await work()
        raise CommitOutcomeUnknown("the connection broke in COMMIT")

    def _strikes(self, fault_class: str) -> bool:
        return self._world.store_faults.hits(fault_class, self._chance, self._world.strike)
