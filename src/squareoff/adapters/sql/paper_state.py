"""The paper broker's own ledger, kept per account so that paper positions outlive a restart."""

from functools import partial

from sqlalchemy import Connection, select, update

from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.owners import assert_newest
from squareoff.adapters.sql.runners import Runner
from squareoff.adapters.sql.tables import paper_state
from squareoff.domain.ids import AccountId


class PaperStateStore:
    """Saves and loads one account's paper ledger, opaque bytes. Raises the store errors.

    `epoch` is the owner number of an engine: once it is not the newest, nothing is saved. None
    saves unfenced.
    """

    def __init__(self, runner: Runner, account_id: AccountId, epoch: int | None = None) -> None:
        self._runner = runner
        self._account_id = account_id
        self._epoch = epoch

    async def save(self, ledger: bytes) -> None:
        """Replace the stored ledger, durable on return."""
        await self._runner.write(
            partial(_save, account_id=self._account_id, ledger=ledger, epoch=self._epoch)
        )

    async def load(self) -> bytes | None:
        """Return the ledger as last saved, None where none was."""
        return await self._runner.read(partial(_load, account_id=self._account_id))


def _save(connection: Connection, account_id: AccountId, ledger: bytes, epoch: int | None) -> None:
    if epoch is not None:
        assert_newest(connection, account_id, epoch)
    insert_if_absent(connection, paper_state, {"account_id": account_id, "ledger": ledger})
    key = paper_state.c.account_id == account_id
    connection.execute(update(paper_state).where(key).values(ledger=ledger))


def _load(connection: Connection, account_id: AccountId) -> bytes | None:
    query = select(paper_state.c.ledger).where(paper_state.c.account_id == account_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)
