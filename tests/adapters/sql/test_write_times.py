"""When order writes were journalled: what a restarted rate budget counts."""

from functools import partial

import pytest

from async_body import run_async
from sql_samples.histories import ACCOUNT
from squareoff.adapters.sql import journal_rows
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state import facts as f
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.orders import OrderType

TRACKER, ORDER, AT_BROKER = TrackerId("trk-1"), ClientOrderId("sqx-1"), BrokerOrderId("B1")
SENT = f.OrderSent(TRACKER, ORDER, 1, OrderType.MARKET, None, "none")
MODIFIED = f.OrderModifySent(TRACKER, ORDER, AT_BROKER, 1, OrderType.MARKET, None)
CANCELLED = f.OrderCancelSent(TRACKER, ORDER, AT_BROKER)
ANSWERED = f.OrderAccepted(TRACKER, ORDER, 1, AT_BROKER)


def journalled(database, account_id, *entries):
    """Journal facts, each at its own time, one transaction for each run of one time."""

    async def write():
        for at_ns, facts in entries:
            await database.runner.write(
                partial(journal_rows.append_facts, account_id=account_id, facts=facts, at_ns=at_ns)
            )

    return write()


def test_sends_modifies_and_cancels_count_and_nothing_else(opened) -> None:
    """Each of the three writes counts once, of this account, since the instant, in order."""

    async def body() -> None:
        async with opened() as database:
            await journalled(database, AccountId("other"), (40, [SENT]))
            await journalled(
                database,
                ACCOUNT,
                (10, [SENT]),
                (20, [ANSWERED, MODIFIED]),
                (30, [CANCELLED, ANSWERED]),
                (40, [SENT, SENT]),
            )
            store = SqlStore(database.runner, ACCOUNT)

            assert await store.write_times(since_ns=0, limit=99) == (10, 20, 30, 40, 40)
            assert await store.write_times(since_ns=10**18, limit=99) == (10, 20, 30, 40, 40)
            assert await store.write_times(since_ns=0, limit=3) == (30, 40, 40)
            nobody = SqlStore(database.runner, AccountId("nobody"))
            assert await nobody.write_times(since_ns=0, limit=99) == ()

    run_async(body())


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_long_journal_is_read_no_further_than_needed(opened, monkeypatch, batch) -> None:
    """Reading ends with the first batch that lies wholly before the instant asked for."""
    monkeypatch.setattr(journal_rows, "VERIFY_BATCH_ENTRIES", batch)

    async def body() -> None:
        async with opened() as database:
            old = [(at_ns, [SENT]) for at_ns in range(1, 10)]
            set_back = [(5, [SENT])]  # the wall clock was wrong for one entry
            new = [(at_ns, [SENT]) for at_ns in range(100, 104)]
            await journalled(database, ACCOUNT, *old, *new[:2], *set_back, *new[2:])
            store = SqlStore(database.runner, ACCOUNT)

            times = await store.write_times(since_ns=50, limit=99)
            back_to = {1: (5,), 2: (7, 8, 9, 100, 101, 5), 3: (6, 7, 8, 9, 100, 101, 5)}
            assert times == (*back_to[batch], 102, 103)

    run_async(body())
