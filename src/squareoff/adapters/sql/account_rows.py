"""What the account's facts make of alarms and kill switch, and the remembered API answers.

Alarms and kill switch are projections: each row follows from facts of the same transaction.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.tables import alarms, idempotency_keys, kill_switch
from squareoff.core.facts import (
    AlarmAcknowledged,
    AlarmRaised,
    JournalEntry,
    KillSwitchSet,
    Severity,
)
from squareoff.domain.ids import AccountId
from squareoff.ports import Alarm, KillSwitchState, RememberedAnswer

KILL_SWITCH_OFF = KillSwitchState(active=False, level="new", reason="")


def project_entries(
    connection: Connection, account_id: AccountId, entries: Sequence[JournalEntry]
) -> None:
    """Bring alarms and kill switch up to these entries; entries of other kinds change nothing."""
    for entry in entries:
        match entry.fact:
            case AlarmRaised() as fact:
                _raise_alarm(connection, account_id, entry, fact)
            case AlarmAcknowledged() as fact:
                _acknowledge_alarm(connection, account_id, fact.alarm_seq, entry.time_ns)
            case KillSwitchSet() as fact:
                _set_kill_switch(connection, account_id, fact, entry.time_ns)
            case _:
                pass


def read_alarms(
    connection: Connection, account_id: AccountId, *, unacknowledged_only: bool
) -> tuple[Alarm, ...]:
    """Return the account's alarms, oldest first."""
    query = select(alarms).where(alarms.c.account_id == account_id)
    if unacknowledged_only:
        query = query.where(alarms.c.acknowledged_at_ns.is_(None))
    return tuple(
        Alarm(
            seq=row["seq"],
            severity=Severity(row["severity"]),
            code=row["code"],
            message=row["message"],
            tracker_id=row["tracker_id"],
            raised_at_ns=row["raised_at_ns"],
            acknowledged_at_ns=row["acknowledged_at_ns"],
        )
        for row in connection.execute(query.order_by(alarms.c.seq)).mappings()
    )


def read_kill_switch(connection: Connection, account_id: AccountId) -> KillSwitchState:
    """Return the kill switch as last set; off where it never was."""
    query = select(kill_switch).where(kill_switch.c.account_id == account_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return KILL_SWITCH_OFF
    return KillSwitchState(row["active"], row["level"], row["reason"])


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
    """Store the first answer under a key; a later one changes nothing."""
    row = {
        "account_id": account_id,
        "idempotency_key": idempotency_key,
        "body_hash": answer.body_hash,
        "status": answer.status,
        "answer": answer.answer,
        "stored_at_ns": at_ns,
    }
    insert_if_absent(connection, idempotency_keys, row)


def _raise_alarm(
    connection: Connection, account_id: AccountId, entry: JournalEntry, fact: AlarmRaised
) -> None:
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
