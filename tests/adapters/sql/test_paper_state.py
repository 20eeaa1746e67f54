"""The paper broker's ledger."""

from async_body import run_async
from sql_samples.histories import ACCOUNT
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.domain.ids import AccountId


def test_the_ledger_comes_back_as_last_saved(opened) -> None:
    """Each save replaces the bytes of its own account; before the first there are none."""

    async def body() -> None:
        async with opened() as database:
            store = PaperStateStore(database.runner, ACCOUNT)
            assert await store.load() is None
            await store.save(b"one")
            await store.save(b"\x00two\xff")

            assert await store.load() == b"\x00two\xff"
            assert await PaperStateStore(database.runner, AccountId("other")).load() is None

    run_async(body())
