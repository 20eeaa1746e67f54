"""The row of what the account's rules remember of their newest day: peak, and what fired.

A projection: it follows from the facts of the same transaction. A fact of another day than the
row's begins the row anew, all but the reason.
"""

from dataclasses import asdict, replace

from sqlalchemy import Connection, bindparam, delete, insert, select

from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.tables import account_day
from squareoff.core.state.facts import AccountPeakReached, AccountRuleFired
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import AccountId
from squareoff.ports import AccountDayState

_READ = Prepared(select(account_day).where(account_day.c.account_id == bindparam("account_id")))


def read_account_day(connection: Connection, account_id: AccountId) -> AccountDayState | None:
    """Return the newest day, None where there never was one."""
    for row in _READ.rows(connection, {"account_id": account_id}):
        fields = {name: row[name] for name in row if name != "account_id"}
        names = row["spent"].split(",") if row["spent"] else []
        fields["spent"] = tuple(AccountRuleName(name) for name in names)
        return AccountDayState(**fields)
    return None


def project_account_day(
    connection: Connection,
    account_id: AccountId,
    fact: AccountPeakReached | AccountRuleFired,
    at_ns: int,
) -> None:
    """Bring the row up to this fact."""
    known = read_account_day(connection, account_id) or AccountDayState(fact.day)
    row = asdict(_after(known.on(fact.day), fact, at_ns))
    row["spent"] = ",".join(rule.value for rule in row["spent"])
    connection.execute(delete(account_day).where(account_day.c.account_id == account_id))
    connection.execute(insert(account_day), {"account_id": account_id} | row)


def _after(
    before: AccountDayState, fact: AccountPeakReached | AccountRuleFired, at_ns: int
) -> AccountDayState:
    if isinstance(fact, AccountPeakReached):
        return replace(before, peak=fact.peak)
    if not fact.closes_all:
        return replace(before, spent=fact.spent)
    return replace(before, spent=fact.spent, reason=fact.reason, fired_at_ns=at_ns)
