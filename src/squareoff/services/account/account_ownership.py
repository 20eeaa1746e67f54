"""Own an account: take it, wait for it as a standby, keep it, and say what may still leave.

The lock of the process is the quick proof that an owner is dead; lease and epoch hold where there
is no such proof. Arithmetic and reasons are in `core.session.lease`.
Invariants:
1. Nothing may leave before the account is taken, after the lease ran out, or once it was lost.
2. A lease that ran out comes back only by a renewal that the database accepted.
3. A standby holds the lock only while it takes the account.
"""

from collections.abc import Callable

import structlog

from squareoff.core.session.lease import (
    RENEWALS_PER_LEASE,
    AccountOwner,
    OwnerClaim,
    Sighting,
    TakeoverCause,
    difference,
    proved_cause,
    sighted,
)
from squareoff.domain.errors import (
    AccountLocked,
    CommitOutcomeUnknown,
    LostUpdate,
    OwnershipLost,
    StoreUnavailable,
)
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock, OwnerStore, ProcessLock

_log = structlog.get_logger("squareoff.ownership")
LOOK_SECONDS_MAX = 0.5
"""How often a standby looks, at the least: what a death costs beyond the recovery itself."""

LOOKS_PER_LEASE = 6
RETRIES_PER_RENEWAL = 4
"""A renewal that failed is tried again this much sooner than the next one is due."""

_TAKEOVER_CAUSES = (TakeoverCause.DEAD, TakeoverCause.LAPSED)


class AccountOwnership:
    """One process's claim on one account; fulfils `ports.Ownership` and `ports.SendFence`."""

    def __init__(
        self,
        store: OwnerStore,
        lock: ProcessLock,
        claim: OwnerClaim,
        clock: Clock,
        *,
        is_gone: Callable[[str], bool] = lambda process_key: False,
    ) -> None:
        self._store = store
        self._lock = lock
        self._claim = claim
        self._clock = clock
        self._is_gone = is_gone
        self._sighting: Sighting | None = None
        self._epoch: int | None = None
        self._sure_until_ns = 0
        self._is_lost = False
        self._holds_lock = False
        self._complaint = ""
        self._lock_text = ""
        self.takeover_text = ""
        self.trouble = ""
        self._on_trouble: Callable[[str], None] = lambda text: None

    def on_trouble(self, listener: Callable[[str], None]) -> None:
        """Call `listener` when the lease ran out for a failing database, and when it is back."""
        self._on_trouble = listener

    @property
    def epoch(self) -> int:
        """The owner number under which everything is written."""
        assert self._epoch is not None, "the account was taken before"
        return self._epoch

    async def take(self) -> int:
        """Take the account as its only engine; return the epoch.

        An owner whose end is likely but not proved (its connection to the server ended) is waited
        for; one that lives refuses us.

        Raises:
            AccountLocked: another engine owns it.
            StoreUnavailable: the database is away.
        """
        first = await self._store.owner()
        while True:
            if not await self._try_lock():
                raise _refusal(await self._store.owner(), self._lock_text)
            owner = await self._look()
            if owner is not None and _lives(first, owner):
                await self._lock.release()
                raise _refusal(owner, "")
            if await self._take_if_free(owner):
                return self.epoch
            _log.warning("waiting_for_a_silent_owner", owner=_named(owner))
            await self._clock.sleep(self._look_seconds)

    async def stand_by(self, on_owner: Callable[[AccountOwner | None], None]) -> int:
        """Wait until the account is free or its owner is silent for too long, and take it.

        Args:
            on_owner: told of the owner once per look.

        Raises:
            AccountLocked: the owner is of another version or has other settings.
        """
        while True:
            try:
                if await self._stand_by_once(on_owner):
                    return self.epoch
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                self._complain(str(error))
                await self._lock.release()  # taken right before the database failed
            await self._clock.sleep(self._look_seconds)

    async def _stand_by_once(self, on_owner: Callable[[AccountOwner | None], None]) -> bool:
        is_locked = await self._try_lock()
        owner = await self._look()
        on_owner(owner)
        if owner is not None and not owner.is_released:
            _assert_alike(self._claim, owner)
        if is_locked:
            return await self._take_if_free(owner)
        if self._sighting is None or self._sighting.wait_ns(self._clock.now().monotonic_ns) > 0:
            return False
        return await self._take(TakeoverCause.LAPSED, owner, holds_lock=False)

    async def _take_if_free(self, owner: AccountOwner | None) -> bool:
        """Take the account with the lock in hand; give the lock back where that is not yet due."""
        cause = proved_cause(
            owner,
            lock_proves_death=self._lock.proves_death,
            process_is_gone=owner is not None and self._is_gone(owner.claim.process_key),
        )
        if cause is None and self._sighting is not None:
            is_lapsed = self._sighting.wait_ns(self._clock.now().monotonic_ns) == 0
            cause = TakeoverCause.LAPSED if is_lapsed else None
        if cause is not None and await self._take(cause, owner, holds_lock=True):
            return True
        await self._lock.release()
        return False

    async def _take(
        self, cause: TakeoverCause, before: AccountOwner | None, *, holds_lock: bool
    ) -> bool:
        began = self._clock.now()
        try:
            self._epoch = await self._store.take(
                self._claim, cause, before, holds_lock=holds_lock, at_ns=began.wall_ns
            )
        except LostUpdate:
            return False  # another one was first, or the owner woke up
        self._sure_until_ns = began.monotonic_ns + self._claim.lease_ns
        self._holds_lock = holds_lock
        _log.info("account_taken", epoch=self._epoch, cause=cause.value, before=_named(before))
        if before is not None and cause in _TAKEOVER_CAUSES:
            self.takeover_text = _takeover_text(cause, before)
        return True

    async def _look(self) -> AccountOwner | None:
        owner = await self._store.owner()
        if owner is None:
            self._sighting = None
        else:
            # Asked after the answer came: the sign of life may be as young as that.
            now_ns = self._clock.now().monotonic_ns
            self._sighting = sighted(self._sighting, owner, now_ns)
        return owner

    async def _try_lock(self) -> bool:
        try:
            await self._lock.acquire()
        except AccountLocked as error:
            self._lock_text = str(error)
            return False
        return True

    @property
    def _look_seconds(self) -> float:
        return min(LOOK_SECONDS_MAX, self._claim.lease_seconds / LOOKS_PER_LEASE)

    def _complain(self, text: str) -> None:
        """Log a trouble once, not at every look."""
        if text != self._complaint:
            _log.warning("standby_cannot_look", error=text)
        self._complaint = text

    async def keep(self) -> None:
        """Renew the lease until cancelled; see `ports.Ownership.keep`."""
        interval = self._claim.lease_seconds / RENEWALS_PER_LEASE
        while True:
            try:
                await self._renew()
                self._note_trouble("")
                pause = interval
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                _log.warning("lease_not_renewed", error=str(error))
                if self._clock.now().monotonic_ns >= self._sure_until_ns:
                    self._note_trouble(str(error))
                pause = interval / RETRIES_PER_RENEWAL
            except OwnershipLost:
                self._is_lost = True
                raise
            await self._clock.sleep(pause)

    def _note_trouble(self, text: str) -> None:
        had_trouble, self.trouble = bool(self.trouble), text
        if had_trouble is not bool(text):
            self._on_trouble(text)

    async def _renew(self) -> None:
        # From before the renewal began: a successor counts from after it saw it.
        began = self._clock.now()
        await self._store.renew(
            self.epoch,
            holds_lock=self._holds_lock,
            lease_until_ns=began.wall_ns + self._claim.lease_ns,
        )
        self.note_sign(began.monotonic_ns)
        await self._hold_lock()

    async def _hold_lock(self) -> None:
        """See that the lock is ours; take it where the one who had it is gone by now.

        Raises:
            OwnershipLost: a lock that nobody can lose alive is lost: its file was replaced.
        """
        if self._holds_lock and await self._lock.is_held():
            return
        if self._holds_lock and self._lock.proves_death:
            raise OwnershipLost(
                "the lock file of this account was removed or replaced: another engine may own "
                "the account, nothing more is written or sent here"
            )
        await self._lock.release()
        self._holds_lock = await self._try_lock()

    def begin_sign(self) -> int:
        """A write under our epoch begins; hand the instant back once it is durable."""
        return self._clock.now().monotonic_ns

    def note_sign(self, began_ns: int) -> None:
        """It is durable, so our epoch was the newest after that instant: as good as a renewal."""
        self._sure_until_ns = max(self._sure_until_ns, began_ns + self._claim.lease_ns)

    def refusal(self, send_before_ns: int | None) -> str | None:
        """Say why nothing may leave now; see `ports.SendFence.refusal`."""
        now_ns = self._clock.now().monotonic_ns
        if self._epoch is None or self._is_lost:
            return "this engine does not own the account"
        if now_ns >= self._sure_until_ns:
            late = (now_ns - self._sure_until_ns) / NANOSECONDS_PER_SECOND
            return f"the lease on the account ran out {late:.1f} s ago and is not renewed yet"
        if send_before_ns is not None and now_ns >= send_before_ns:
            late = (now_ns - send_before_ns) / NANOSECONDS_PER_SECOND
            return f"it was decided too long ago: its send deadline passed {late:.1f} s ago"
        return None

    async def release(self) -> None:
        """Give the account back: the next engine need not wait."""
        if self._epoch is not None and not self._is_lost:
            self._is_lost = True
            try:
                await self._store.release(self._epoch)
            except (StoreUnavailable, CommitOutcomeUnknown) as error:
                _log.warning("account_not_released", error=str(error))
        await self._lock.release()


def _assert_alike(claim: OwnerClaim, owner: AccountOwner) -> None:
    found = difference(claim, owner.claim)
    if found:
        raise AccountLocked(
            f"cannot stand by for {owner.describe()}: {found}. Two engines of one account must be "
            "of one version and have the same settings; cure that and start this one again"
        )


def _lives(first: AccountOwner | None, now: AccountOwner) -> bool:
    """Say whether the owner gave a sign of life since it was first looked at."""
    if now.is_released:
        return False
    return first is None or first.sign_of_life != now.sign_of_life


def _named(owner: AccountOwner | None) -> str:
    return "nobody" if owner is None else owner.describe()


def _refusal(owner: AccountOwner | None, lock_text: str) -> AccountLocked:
    if owner is None:
        return AccountLocked(lock_text)
    return AccountLocked(
        f"another engine owns this account on this database: {owner.describe()}. Stop that one "
        "first, or start this one with --standby to take over should it die"
    )


def _takeover_text(cause: TakeoverCause, before: AccountOwner) -> str:
    what = {
        TakeoverCause.DEAD: "had ended without releasing the account",
        TakeoverCause.LAPSED: (
            "gave no sign of life for longer than its lease; should it wake, it stops by itself"
        ),
    }[cause]
    return f"this engine took the account over from {before.describe()}, which {what}"
