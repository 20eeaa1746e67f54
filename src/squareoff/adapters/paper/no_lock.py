"""The broker's own kill switch, which paper trading has not."""

from squareoff.domain.errors import BrokerRejected


class NoAccountLock:
    """Fulfils the account locking of `ports.BrokerClient` by refusing it."""

    async def lock_account(self) -> None:
        """Refuse: there is no broker whose account could be locked.

        Raises:
            BrokerRejected: always.
        """
        raise BrokerRejected("lock the account", text="paper trading has no account to lock")

    async def is_account_locked(self) -> bool:
        """Say no: see `lock_account`."""
        return False
