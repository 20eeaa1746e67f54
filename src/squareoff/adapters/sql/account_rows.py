"""What the account's facts make of alarms, kill switch and exit-all; the remembered API answers.

All but the answers are projections: each row follows from facts of the same transaction.
Invariant: alarms of one code about one position (about the account: of one code and text) that
stand unseen are one row, which counts how often it was raised and told again.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from squareoff.adapters.sql.account_days import project_account_day
from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.tables import alarms, exit_all, idempotency_keys, kill_switch
from squareoff.core.state.facts import (
    AccountPeakReached,
    AccountRuleFired,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmRaised,
    AlarmRepeated,
    BrokerLockAnswered,
    BrokerLockSent,
    ExitAllAsked,
    ExitAllEnded,
    JournalEntry,
    KillSwitchSet,
    Severity,
)
from squareoff.domain.ids import AccountId
from squareoff.domain.time import DAY_NS
from squareoff.ports import Alarm, ExitAllState, KillSwitchState, RememberedAnswer

ANSWERS_KEPT_NS = 7 * DAY_NS
"""Nobody repeats a call a week later; the API promises a day."""

KILL_SWITCH_OFF = KillSwitchState(active=False, level="new", reason="")
_ALARMS = select(alarms).where(alarms.c.account_id == bindparam("account_id"))
_READ_ALARMS = Prepared(_ALARMS.order_by(alarms.c.seq))
_IS_OPEN = alarms.c.acknowledged_at_ns.is_(None) & alarms.c.cleared_at_ns.is_(None)
_READ_OPEN_ALARMS = Prepared(_ALARMS.where(_IS_OPEN).order_by(alarms.c.seq))
_READ_ALARMS_SINCE = Prepared(
    _ALARMS.where(_IS_OPEN | (alarms.c.raised_at_ns >= bindparam("since_ns"))).order_by(
        alarms.c.seq
    )
)
_READ_EXIT_ALL = Prepared(select(exit_all).where(exit_all.c.account_id == bindparam("account_id")))
_READ_KILL_SWITCH = Prepared(
    select(kill_switch).where(kill_switch.c.account_id == bindparam("account_id"))
)


def project_entries(
    connection: Connection, account_id: AccountId, entries: Sequence[JournalEntry]
) -> None:
    """Bring the rows up to these entries; entries of other kinds change nothing."""
    for entry in entries:
        match entry.fact:
            case AlarmRaised() as fact:
                _raise_alarm(connection, account_id, entry, fact)
            case AlarmAcknowledged() as fact:
                _acknowledge_alarm(connection, account_id, fact.alarm_seq, entry.time_ns)
            case AlarmRepeated(alarm_seq, repeats):
                told = {"repeats": repeats, "last_raised_at_ns": entry.time_ns}
                _update_alarm(connection, account_id, alarm_seq, told)
            case AlarmCleared(alarm_seq):
                cleared = {"cleared_at_ns": entry.time_ns}
                _update_alarm(connection, account_id, alarm_seq, cleared)
            case KillSwitchSet() as fact:
                _set_kill_switch(connection, account_id, fact, entry.time_ns)
            case AccountPeakReached() | AccountRuleFired() as fact:
                project_account_day(connection, account_id, fact, entry.time_ns)
            case ExitAllAsked() as fact:
                _begin_exit_all(connection, account_id, fact, entry.time_ns)
            case BrokerLockSent(operation_id):
                _update_exit_all(connection, account_id, operation_id, {"lock_outcome": "sent"})
            case BrokerLockAnswered(operation_id, outcome, text):
                answer = {"lock_outcome": outcome, "note": text}
                _update_exit_all(connection, account_id, operation_id, answer)
            case ExitAllEnded(operation_id, outcome, text):
                end = {"outcome": outcome, "note": text, "ended_at_ns": entry.time_ns}
                _update_exit_all(connection, account_id, operation_id, end)
            case _:
                pass


def read_alarms(
    connection: Connection, account_id: AccountId, *, open_only: bool, since_ns: int | None
) -> tuple[Alarm, ...]:
    """Return the account's alarms, oldest first."""
    wanted: dict[str, object] = {"account_id": account_id}
    query = _READ_OPEN_ALARMS if open_only else _READ_ALARMS
    if since_ns is not None and not open_only:
        query, wanted["since_ns"] = _READ_ALARMS_SINCE, since_ns
    return tuple(
        Alarm(
            seq=row["seq"],
            severity=Severity(row["severity"]),
            code=row["code"],
            message=row["message"],
            tracker_id=row["tracker_id"],
            raised_at_ns=row["raised_at_ns"],
            acknowledged_at_ns=row["acknowledged_at_ns"],
            repeats=row["repeats"],
            last_raised_at_ns=row["last_raised_at_ns"],
            cleared_at_ns=row["cleared_at_ns"],
        )
        for row in query.rows(connection, wanted)
    )


def read_kill_switch(connection: Connection, account_id: AccountId) -> KillSwitchState:
    """Return the kill switch as last set; off where it never was."""
    for row in _READ_KILL_SWITCH.rows(connection, {"account_id": account_id}):
        return KillSwitchState(row["active"], row["level"], row["reason"])
    return KILL_SWITCH_OFF


def read_exit_all(connection: Connection, account_id: AccountId) -> ExitAllState | None:
    """Return the newest wish to close everything, None where there never was one."""
    for row in _READ_EXIT_ALL.rows(connection, {"account_id": account_id}):
        return ExitAllState(**{name: row[name] for name in row if name != "account_id"})
    return None


def read_answer(
    connection: Connection, account_id: AccountId, idempotency_key: str
) -> RememberedAnswer | None:
    """Return the answer stored under the key, if any."""
    table = idempotency_keys
    query = select(table).where(
        table.c.account_id == account_id, table.c.idempotency_key == idempotency_key
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else RememberedAnswer(row["body_hash"], row["status"], row["answer"])


def store_answer(
    connection: Connection,
    account_id: AccountId,
    idempotency_key: str,
    answer: RememberedAnswer,
    at_ns: int,
) -> None:
    """Store the first answer under a key, and forget the old ones; a later one changes nothing."""
    table = idempotency_keys
    is_old = table.c.stored_at_ns < at_ns - ANSWERS_KEPT_NS
    connection.execute(delete(table).where(table.c.account_id == account_id, is_old))
    row = {
        "account_id": account_id,
        "idempotency_key": idempotency_key,
        "body_hash": answer.body_hash,
        "status": answer.status,
        "answer": answer.answer,
        "stored_at_ns": at_ns,
    }
    insert_if_absent(connection, table, row)


def _raise_alarm(
    connection: Connection, account_id: AccountId, entry: JournalEntry, fact: AlarmRaised
) -> None:
    """A repeat of one that stands unseen is counted there; its words are the newest."""
    is_standing = and_(
        alarms.c.account_id == account_id,
        alarms.c.code == fact.code,
        alarms.c.acknowledged_at_ns.is_(None),
        alarms.c.cleared_at_ns.is_(None),
        (
            and_(alarms.c.tracker_id.is_(None), alarms.c.message == fact.message)
            if fact.tracker_id is None
            else alarms.c.tracker_id == fact.tracker_id
        ),
    )
    newest: dict[str, Any] = {"message": fact.message}
    if fact.severity is Severity.CRITICAL:  # what was critical once stays so
        newest["severity"] = fact.severity.value
    repeated = newest | {"repeats": alarms.c.repeats + 1, "last_raised_at_ns": entry.time_ns}
    if connection.execute(update(alarms).where(is_standing).values(repeated)).rowcount:
        return
    row = {
        "account_id": account_id,
        "seq": entry.seq,
        "severity": fact.severity.value,
        "code": fact.code,
        "message": fact.message,
        "tracker_id": fact.tracker_id,
        "raised_at_ns": entry.time_ns,
    }
    connection.execute(insert(alarms), row)


def _update_alarm(
    connection: Connection, account_id: AccountId, alarm_seq: int, columns: dict[str, Any]
) -> None:
    key = and_(alarms.c.account_id == account_id, alarms.c.seq == alarm_seq)
    connection.execute(update(alarms).where(key).values(columns))


def _acknowledge_alarm(
    connection: Connection, account_id: AccountId, alarm_seq: int, at_ns: int
) -> None:
    """A second acknowledgement leaves the first one's time."""
    statement = update(alarms).where(
        alarms.c.account_id == account_id,
        alarms.c.seq == alarm_seq,
        alarms.c.acknowledged_at_ns.is_(None),
    )
    connection.execute(statement.values(acknowledged_at_ns=at_ns))


def _set_kill_switch(
    connection: Connection, account_id: AccountId, fact: KillSwitchSet, at_ns: int
) -> None:
    columns: dict[str, Any] = {
        "active": fact.active,
        "level": fact.level,
        "reason": fact.reason,
        "changed_at_ns": at_ns,
    }
    insert_if_absent(connection, kill_switch, {"account_id": account_id} | columns)
    key = kill_switch.c.account_id == account_id
    connection.execute(update(kill_switch).where(key).values(columns))


def _begin_exit_all(
    connection: Connection, account_id: AccountId, fact: ExitAllAsked, at_ns: int
) -> None:
    connection.execute(delete(exit_all).where(exit_all.c.account_id == account_id))
    state = ExitAllState(
        fact.operation_id,
        fact.reason,
        fact.lock_account,
        at_ns,
        intraday_only=fact.intraday_only,
    )
    connection.execute(insert(exit_all), {"account_id": account_id} | asdict(state))


def _update_exit_all(
    connection: Connection, account_id: AccountId, operation_id: str, columns: dict[str, Any]
) -> None:
    """An end of an operation that a newer one has replaced changes nothing."""
    key = and_(exit_all.c.account_id == account_id, exit_all.c.operation_id == operation_id)
    connection.execute(update(exit_all).where(key).values(columns))
