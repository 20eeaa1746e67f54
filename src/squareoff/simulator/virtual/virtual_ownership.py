"""The claim of one virtual process on the account: the real ownership on the run's own database.

`take` or `stand_by` comes before the engine is assembled. What they give goes three ways: the epoch
into the process's `SqlStore`, the ownership as fence into its `DhanRestClient`, and the ownership
into its `Ports`.
"""

from squareoff import __version__
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.adapters.sql.runners import Runner
from squareoff.core.lease import OwnerClaim
from squareoff.domain.ids import AccountId
from squareoff.ports import Clock
from squareoff.services.account_ownership import AccountOwnership
from squareoff.simulator.virtual.incarnation import Incarnation
from squareoff.simulator.virtual.virtual_lock import LockFile, VirtualLock

LEASE_SECONDS = 5.0


def virtual_ownership(
    process: Incarnation, runner: Runner, account_id: AccountId, clock: Clock, lock: LockFile
) -> AccountOwnership:
    """Return the process's claim, not yet taken; `lock` is the one file that all processes share.

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
    store = SqlOwnerStore(runner, account_id)
    return AccountOwnership(store, VirtualLock(lock, lambda: process.is_dead), claim, clock)
