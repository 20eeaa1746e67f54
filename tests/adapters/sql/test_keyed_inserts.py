"""Insert unless the key exists."""

from sqlalchemy import select

from async_body import run_async
from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.tables import paper_state


def test_the_first_row_of_a_key_wins(opened) -> None:
    """A second row with the same key changes nothing and raises nothing."""

    async def body() -> None:
        async with opened() as database:
            for ledger in (b"first", b"second"):
                row = {"account_id": "a", "ledger": ledger}
                await database.runner.write(lambda c, r=row: insert_if_absent(c, paper_state, r))

            query = select(paper_state.c.ledger)
            found = await database.runner.read(lambda c: c.execute(query).scalars().all())
            assert found == [b"first"]

    run_async(body())
