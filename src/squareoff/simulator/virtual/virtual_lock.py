"""The account's lock between processes of one virtual world: dead processes hold nothing."""

from collections.abc import Callable

from squareoff.domain.errors import AccountLocked


class LockFile:
    """What the processes of one world share: who holds the lock."""

    def __init__(self) -> None:
        self.holder: VirtualLock | None = None


class VirtualLock:
    """One process's hand on the lock; fulfils `ports.ProcessLock`.

    With `proves_death` it behaves as a lock of the operating system, without as a server's, which
    `LockFile.holder = None` cuts while both sides live.
    """

    def __init__(
        self, file: LockFile, is_dead: Callable[[], bool], *, proves_death: bool = True
    ) -> None:
        self._file = file
        self._is_dead = is_dead
        self.proves_death = proves_death

    async def acquire(self) -> None:
        """Take the lock, or raise AccountLocked while a living process holds it."""
        holder = self._file.holder
        assert holder is not self, "the account lock was taken twice"
        if holder is not None and not holder._is_dead():
            raise AccountLocked("another engine owns this account: a process of this world")
        self._file.holder = self

    async def is_held(self) -> bool:
        """Say whether it is ours."""
        return self._file.holder is self

    async def release(self) -> None:
        """Give it back."""
        if self._file.holder is self:
            self._file.holder = None
