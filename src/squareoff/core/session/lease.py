"""Who owns an account, how long that is sure, and when another engine may take it over.

No lease can fence the broker, so three spans stand between two owners. An owner sends nothing once
its lease has run out, and no order that was decided longer ago than the send deadline. Another
engine that has no proof of the owner's death waits for both, and a margin, after the last sign of
life that it saw. What an owner sent before counts as unknown then, for every send is committed
first under its epoch; the quarantine covers the time in which it may still take effect.

Invariants:
1. An owner counts its lease from before a renewal or commit began, its successor from after it saw
   it: the owner stops first. Both count on their own monotonic clocks; wall clocks are only shown.
2. Without proof of death no account changes hands before lease + send deadline + margin.
3. The end of a process proves nothing where the lock was not the owner's.
"""

from dataclasses import dataclass
from enum import Enum

from squareoff.domain.time import iso_from_ns, seconds_to_ns

SEND_DEADLINE_SECONDS = 4.0
"""An order leaves within this time of the decision that was committed for it, or not at all: room
for one connection that hangs for its 3 s and another try. The position is sized anew."""

TAKEOVER_MARGIN_SECONDS = 1.0
"""For two clocks that do not run at the same rate, and for the step from the last check to the
first byte: hundreds of times what either takes."""

RENEWALS_PER_LEASE = 3
"""Two renewals in a row may fail before a lease runs out."""


class TakeoverCause(str, Enum):
    """Why an engine may take an account."""

    FIRST = "first"
    """Nobody ever owned it."""
    RELEASED = "released"
    """Its last owner ended in good order."""
    DEAD = "dead"
    """Its last owner's process has ended: the lock that dies with it was free."""
    LAPSED = "lapsed"
    """Its owner gave no sign of life for so long that it must have stopped sending."""


@dataclass(frozen=True, slots=True)
class OwnerClaim:
    """Who wants to own the account. `process_key` names one process of one machine exactly and is
    empty where the system cannot tell; `config_hash` holds no secret."""

    host: str
    process_id: int
    process_key: str
    version: str
    config_hash: str
    lease_seconds: float

    @property
    def lease_ns(self) -> int:
        """The lease's length."""
        return seconds_to_ns(self.lease_seconds)


@dataclass(frozen=True, slots=True)
class AccountOwner:
    """The newest owner as stored. Times are UTC ns, to be shown, never to be reckoned with."""

    epoch: int
    claim: OwnerClaim
    holds_lock: bool
    is_released: bool
    renewals: int
    taken_at_ns: int
    lease_until_ns: int
    journal_seq: int = 0
    """The journal's newest entry: to write one is a sign of life too."""

    @property
    def sign_of_life(self) -> tuple[int, int, int]:
        """What changes with everything that the owner does in the database."""
        return self.epoch, self.renewals, self.journal_seq

    def describe(self) -> str:
        """Name the owner for a person."""
        claim = self.claim
        return (
            f"process {claim.process_id} on {claim.host} (version {claim.version}), "
            f"owner number {self.epoch} since {iso_from_ns(self.taken_at_ns)}, "
            f"last lease until {iso_from_ns(self.lease_until_ns)}"
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """An owner, and the monotonic instant after which no newer sign of life of it was seen."""

    owner: AccountOwner
    seen_ns: int

    def wait_ns(self, now_ns: int) -> int:
        """Return how long a successor without proof of death still has to wait, at least 0."""
        extra = seconds_to_ns(SEND_DEADLINE_SECONDS + TAKEOVER_MARGIN_SECONDS)
        return max(0, self.seen_ns + self.owner.claim.lease_ns + extra - now_ns)


def sighted(before: Sighting | None, owner: AccountOwner, now_ns: int) -> Sighting:
    """Return the newest sighting: the same one while the owner shows no new sign of life."""
    if before is not None and before.owner.sign_of_life == owner.sign_of_life:
        return before
    return Sighting(owner, now_ns)


def proved_cause(
    owner: AccountOwner | None, *, lock_proves_death: bool, process_is_gone: bool
) -> TakeoverCause | None:
    """Return why an engine that has the lock may take the account at once, None where it may not.

    Args:
        lock_proves_death: whether the lock can only have come free by the end of its holder's
            process; a lock that hangs on a connection to a server proves no such thing.
        process_is_gone: whether the system itself says that the owner's process is no more.
    """
    if owner is None:
        return TakeoverCause.FIRST
    if owner.is_released:
        return TakeoverCause.RELEASED
    if process_is_gone or (lock_proves_death and owner.holds_lock):
        return TakeoverCause.DEAD
    return None


def difference(ours: OwnerClaim, theirs: OwnerClaim) -> str:
    """Say how two engines of one account differ where they must not, "" where they do not."""
    if ours.version != theirs.version:
        return f"version {ours.version} here, {theirs.version} there"
    if ours.config_hash != theirs.config_hash:
        return f"settings {ours.config_hash} here, {theirs.config_hash} there"
    return ""
