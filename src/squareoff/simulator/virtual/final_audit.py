"""What must hold at the end of a run, when faults have stopped and the account has come to rest.

Reads the broker's books and the database's rows by SQL; only the replay of the journal (I10) uses
the engine's own fold, which is what it is about.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.evolve import fold
from squareoff.core.state.facts import JournalEntry, TrackerFact, fact_kind
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.protocol_model.journal_path import journal_path
from squareoff.simulator.virtual.audited import Opened
from squareoff.simulator.virtual.auditor import Auditor
from squareoff.simulator.virtual.outside import Key
from squareoff.simulator.virtual.over_exit_audit import tells_of_over_exit
from squareoff.simulator.virtual.plans import PositionPlan
from squareoff.simulator.virtual.write_audit import OUR_TAG

PRICE_STEP = Decimal("0.00000001")
TRACKER_KINDS = frozenset(fact_kind(fact_type) for fact_type in TrackerFact.__args__)
"""What changes a tracker; an alarm may name one without changing it."""

_LIVE = ("TRANSIT", "PENDING", "PART_TRADED", "UNKNOWN")
_ENDED = ("TRADED", "CANCELLED", "REJECTED", "EXPIRED")

_TELLS_OF_A_BUST = frozenset(
    {
        "fills_unconfirmed", "over_exit", "exit_blocked_position_missing", "exit_resting",
        "exit_attempts_exhausted", "closed_externally", "order_vanished",
    }
)  # fmt: skip
UNKNOWN_SECONDS = 5.0
MISDATED_NS = 60_000_000_000
"""A clock wrong by more than this can date a position after what happened to it."""


def is_at_rest(auditor: Auditor, broker: SimulatedBroker) -> bool:
    """Say whether every claimed exit has ended or has a person, and no order is unknown, nor held
    for live while the night has ended it."""
    auditor.read_journal()
    unsettled = "SELECT COUNT(*) FROM orders WHERE state IN ('SENT', 'OUTCOME_UNKNOWN')"
    if auditor.database.execute(unsettled).fetchone()[0] or _holds_past_orders(auditor, broker):
        return False
    rows = _trackers(auditor.database)
    for tracker_id, opened in auditor.trackers.items():
        row = rows[tracker_id]
        is_done = row["status"] in ("EXITED", "CANCELLED") or row["intent"] == "NEEDS_HUMAN"
        is_done = is_done or opened.is_withdrawn
        if opened.claims and not is_done:
            return False
    return True


def _holds_past_orders(auditor: Auditor, broker: SimulatedBroker) -> bool:
    """Say whether an order of before the night is live with us; its key is not compared then."""
    live = f"SELECT broker_order_id FROM broker_orders WHERE status IN {_LIVE}"
    orders = broker.account().orders
    return any(
        (order := orders.get(order_id)) is not None and order.is_past
        for (order_id,) in auditor.database.execute(live)
    )


def is_overdue(auditor: Auditor) -> bool:
    """Say whether a stop stands beyond the healed market and has not fired yet."""
    auditor.read_journal()
    rows = _trackers(auditor.database)
    return any(_is_beyond(auditor, opened, rows[name]) for name, opened in auditor.trackers.items())


def audit_end(auditor: Auditor, broker: SimulatedBroker) -> None:
    """Check liveness and agreement with the broker's books."""
    auditor.read_journal()
    rows = _trackers(auditor.database)
    for tracker_id, opened in auditor.trackers.items():
        row = rows.get(tracker_id)
        if row is None:
            auditor.violate("I10", f"{tracker_id} is in the journal, not in the table")
            continue
        _check_end(auditor, opened, row)
        _check_exit_price(auditor, broker, opened, row)
        _check_level(auditor, opened, row)
    _check_account_rule(auditor, rows)
    _check_orders(auditor, broker)
    _check_told(auditor, broker)
    _check_nets(auditor, broker, rows)
    _check_crossings(auditor)
    _check_journal_kept(auditor)


def _trackers(database: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    cursor = database.execute(
        "SELECT t.tracker_id, t.status, t.quantity, t.exit_price, t.over_exited_quantity,"
        " t.externally_closed_quantity, i.status AS intent, i.note"
        " FROM trackers t LEFT JOIN exit_intents i ON i.intent_id = t.intent_id"
    )
    names = [column[0] for column in cursor.description]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


def _check_end(auditor: Auditor, opened: Opened, row: dict[str, Any]) -> None:
    """I4 and I7: a latched exit ended at the broker, or a person was called for a good reason."""
    if not opened.claims or row["status"] == "EXITED" or opened.is_withdrawn:
        return
    name = opened.tracker_id
    held_ns = auditor.held_from_ns(opened)
    never_held = any(at <= held_ns for at in auditor.outside_closes.get(opened.key, ()))
    if never_held and _has_alarm(auditor, name, "exit_blocked_position_missing"):
        return  # closed by hand before it was held: nobody can say at what price
    may_be_misdated = auditor.clock_error_ns > MISDATED_NS and auditor.outside_closes.get(
        opened.key
    )
    if may_be_misdated and _has_alarm(auditor, name, "exit_blocked_position_missing"):
        return  # opened by a clock hours ahead: every close by hand seems to lie before it
    is_taken = auditor.is_outlaw and _has_alarm(auditor, None, "over_exit")
    if is_taken and _has_alarm(auditor, name, "exit_blocked_position_missing"):
        return  # an outlaw order closed this position in the name of another; a person was called
    if _is_of_yesterday(auditor, opened) or name in auditor.busted:
        return
    waits = ("exit_blocked_reserved", "exit_blocked_unknown_order")
    if auditor.is_outlaw and any(_has_alarm(auditor, name, code) for code in waits):
        return  # it waits for an order that an outlaw has changed or placed, and that is told
    if row["intent"] != "NEEDS_HUMAN":
        detail = f"status {row['status']}, intent {row['intent']}, note {row['note']!r}"
        auditor.violate("I4", f"the exit of {name} was claimed and did not end: {detail}")
        return
    if not any(a["tracker_id"] == name and a["severity"] == "critical" for _, a in auditor.alarms):
        auditor.violate("I4", f"{name} needs a person and no critical alarm says so")
    tried = sum(auditor.heard.get(order_id, 0) for order_id in opened.order_ids)
    is_raced = bool(auditor.outside_closes.get(opened.key)) and row["over_exited_quantity"] > 0
    if tried < auditor.attempts_max and not auditor.is_outlaw and not is_raced:
        auditor.violate("I4", f"{name} needs a person after {tried} orders: {row['note']!r}")


def _check_account_rule(auditor: Auditor, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """I4: while what a rule of the account asked for is not over, nothing stays open unclaimed."""
    running = "SELECT e.reason FROM exit_all e JOIN account_day d ON e.reason = d.reason"
    found = auditor.database.execute(f"{running} WHERE e.outcome = 'running'").fetchone()
    if found is None:
        return
    for name, row in rows.items():
        if row["status"] in ("PENDING", "ACTIVE"):
            auditor.violate("I4", f"{name} is {row['status']} though the account was: {found[0]}")


def _is_of_yesterday(auditor: Auditor, opened: Opened) -> bool:
    """Say whether fills of a day that no book shows any more hold the exit up, and this is told."""
    if not opened.opened_ns < auditor.night_ns:
        return False
    codes = ("fills_unconfirmed", "exit_blocked_position_missing", "order_vanished")
    return any(_has_alarm(auditor, opened.tracker_id, code) for code in codes)


def _has_alarm(auditor: Auditor, tracker_id: str | None, code: str) -> bool:
    return any(
        row["code"] == code and tracker_id in (None, row["tracker_id"]) for _, row in auditor.alarms
    )


def _check_exit_price(
    auditor: Auditor, broker: SimulatedBroker, opened: Opened, row: dict[str, Any]
) -> None:
    """The exit price is the quantity-weighted average of the closing trades at the broker."""
    if row["status"] != "EXITED" or row["externally_closed_quantity"]:
        return
    if opened.tracker_id in auditor.busted:
        return
    if opened.opened_ns < auditor.night_ns:
        return  # fills of the last moments before the night are in no book that can be read
    names = set(opened.order_ids)
    account = broker.account()
    ours = {o.order_id for o in account.orders.values() if o.correlation_id in names}
    closing = "SELL" if opened.side == "LONG" else "BUY"
    trades = [t for t in account.trades if t.order_id in ours and t.side.value == closing]
    quantity = sum(trade.quantity for trade in trades)
    value = sum((trade.quantity * trade.price for trade in trades), Decimal(0))
    if not quantity:
        auditor.violate("I4", f"{opened.tracker_id} is EXITED without a trade of ours")
        return
    if quantity > row["quantity"] and auditor.is_outlaw:
        if not _has_alarm(auditor, opened.tracker_id, "over_exit"):
            auditor.violate("I2d", f"{opened.tracker_id} was closed twice and nobody was told")
        return
    if quantity != row["quantity"]:
        text = f"{opened.tracker_id} is EXITED with {quantity} of {row['quantity']} closed"
        auditor.violate("I4", text)
    stored = Decimal(str(row["exit_price"]))
    if abs(stored * quantity - value) > PRICE_STEP * quantity:
        text = f"{opened.tracker_id} says {stored}, its trades say {value} / {quantity}"
        auditor.violate("I4", text)


def _check_level(auditor: Auditor, opened: Opened, row: dict[str, Any]) -> None:
    """A stop that the healed market stands beyond must have fired."""
    if _is_beyond(auditor, opened, row):
        text = f"{opened.tracker_id}: the price stands beyond its stop and no exit was claimed"
        auditor.violate("I4", text)


def _is_beyond(auditor: Auditor, opened: Opened, row: dict[str, Any]) -> bool:
    rule = (opened.rules.get("stop_loss") or {}).get("price")
    prices = auditor.healed_prices.get(opened.key[1])
    if row["status"] != "ACTIVE" or rule is None or not prices or opened.is_withdrawn:
        return False  # with a withdrawal the rule that fired is taken out as well
    stop = Decimal(rule)
    return all((price - stop) * opened.sign < 0 for price in prices)


def _check_orders(auditor: Auditor, broker: SimulatedBroker) -> None:
    """I5 and I6: every order of ours is known by its id, with its fills and its end."""
    known = {
        name: (tag, quantity, status)
        for tag, name, quantity, status in auditor.database.execute(
            "SELECT client_order_id, broker_order_id, cumulative_quantity, status"
            " FROM broker_orders"
        )
    }
    for order in broker.account().orders.values():
        tag = order.correlation_id or ""
        if not OUR_TAG.fullmatch(tag):
            continue
        row = known.get(order.order_id)
        plan = auditor.planned.get(tag)
        is_busted = plan is not None and plan.tracker_id in auditor.busted
        if order.order_id in auditor.rival_orders or is_busted:
            continue
        if order.is_past:
            continue  # what it did in its last moments could not be read on the next day
        if row is None:
            auditor.violate("I5", f"{order.order_id} under {tag} is unknown to us")
        elif (row[0], row[1]) != (tag, order.filled_quantity):
            text = f"{order.order_id} filled {order.filled_quantity}, we hold {row}"
            auditor.violate("I6", text)
        elif (order.status in _ENDED) != (row[2] in _ENDED):
            auditor.violate("I6", f"{order.order_id} is {order.status}, we hold {row}")


def _check_told(auditor: Auditor, broker: SimulatedBroker) -> None:
    """What no engine can prevent is told: orders of a rival, and fills that were taken back."""
    told = [str(row["message"]) for _, row in auditor.alarms if row["code"] == "unknown_own_order"]
    for order_id in auditor.rival_orders:
        is_past = broker.account().orders[order_id].is_past
        if not (is_past or any(order_id in message for message in told)):
            auditor.violate("I5", f"{order_id} of another engine was noticed by nobody")
    for tracker_id in auditor.busted:
        is_told = _is_seen_waiting(auditor, tracker_id) or any(
            _has_alarm(auditor, tracker_id, code) for code in _TELLS_OF_A_BUST
        )
        if auditor.trackers[tracker_id].live_claim and not is_told:
            auditor.violate("I4", f"a fill of {tracker_id} was taken back and nobody was told")


def _is_seen_waiting(auditor: Auditor, tracker_id: str) -> bool:
    """Say whether an alarm stands that the exit waits, with its reason."""
    (standing,) = auditor.database.execute(
        "SELECT COUNT(*) FROM alarms WHERE tracker_id = ? AND code LIKE 'exit_blocked_%'"
        " AND cleared_at_ns IS NULL",
        (tracker_id,),
    ).fetchone()
    return bool(standing)


def _check_nets(auditor: Auditor, broker: SimulatedBroker, rows: dict[str, dict[str, Any]]) -> None:
    """I6: what our trackers still hold is what the broker shows, or a person was told."""
    held: dict[tuple[str, str, str], int] = {}
    for tracker_id, opened in auditor.trackers.items():
        row = rows[tracker_id]
        closed = auditor.database.execute(
            "SELECT COALESCE(SUM(CASE o.role WHEN 'EXIT' THEN b.cumulative_quantity"
            " WHEN 'FLATTEN' THEN -b.cumulative_quantity ELSE 0 END), 0) FROM broker_orders b"
            " JOIN orders o ON o.client_order_id = b.client_order_id WHERE o.tracker_id = ?",
            (tracker_id,),
        ).fetchone()[0]
        rest = row["quantity"] - closed - row["externally_closed_quantity"]
        held[opened.key] = held.get(opened.key, 0) + opened.sign * rest
    moving = {
        auditor.trackers[plan.tracker_id].key
        for order in broker.account().open_orders()
        if (plan := auditor.planned.get(order.correlation_id or "")) is not None
    }
    unseen = _keys_with_unseen_fills(auditor, broker)
    for key, quantity in held.items():
        if key in moving:
            continue
        net = auditor.net(key)
        added = auditor.outside_adds.get(key, 0)
        if net == quantity + added or auditor.unwatched.get(key) or auditor.is_outlaw:
            continue
        if added and auditor.outside_closes.get(key):
            continue  # whose units a person closed, and whose were added, nobody can say
        if key in unseen:
            continue
        if auditor.outside_closes.get(key) and _is_told_of_net(auditor, key):
            continue
        auditor.violate("I6", f"{key}: the broker shows {net}, our trackers hold {quantity}")


def _is_told_of_net(auditor: Auditor, key: Key) -> bool:
    """Say whether an alarm that names the key tells that the broker holds something else."""
    name = ":".join(key)
    return any(
        tells_of_over_exit(row, key, auditor.trackers)
        or (row["code"] == "position_mismatch" and name in row["message"])
        for _, row in auditor.alarms
    )


def _check_crossings(auditor: Auditor) -> None:
    """I2d: a net that our fill carried across zero was told at once, and as critical."""

    def is_excused(key: Key) -> bool:
        is_foreign = bool(auditor.outside_adds.get(key) or auditor.unwatched.get(key))
        return is_foreign or auditor.is_outlaw or auditor.night_ns > 0

    for fault in auditor.over_exits.faults(auditor.alarms, is_excused):
        auditor.violate("I2d", fault)


def _keys_with_unseen_fills(auditor: Auditor, broker: SimulatedBroker) -> set[Key]:
    """Return the keys on which an order filled before the night after the engine last saw it."""
    known = dict(
        auditor.database.execute("SELECT broker_order_id, cumulative_quantity FROM broker_orders")
    )
    return {
        auditor.trackers[plan.tracker_id].key
        for order in broker.account().orders.values()
        if order.is_past
        and (plan := auditor.planned.get(order.correlation_id or "")) is not None
        and known.get(order.order_id, 0) != order.filled_quantity
    }


def settling_seconds(auditor: Auditor) -> float:
    """Return how much longer than one exit the healed run may take for what is unknown now.

    What fills on a key while another order of the key is being settled takes that one's readings
    back, so that many are settled by turns.
    """
    (unknown,) = auditor.database.execute(
        "SELECT COUNT(*) FROM order_sends WHERE outcome = 'UNKNOWN'"
    ).fetchone()
    return UNKNOWN_SECONDS * int(unknown)


def note_unwatched(auditor: Auditor, plans: Iterable[PositionPlan]) -> None:
    """What a person bought and could not bring under watch is theirs to close."""
    tracked = {one.rules.get("max_holding_minutes") for one in auditor.trackers.values()}
    for plan in plans:
        if plan.is_held and plan.rules.max_holding_minutes not in tracked:
            auditor.unwatched[plan.key] = True


def _check_journal_kept(auditor: Auditor) -> None:
    """I7: nothing that was once written has changed or gone."""
    hashes = [
        row[0] for row in auditor.database.execute("SELECT entry_hash FROM journal ORDER BY seq")
    ]
    if hashes != auditor.journal_hashes:
        auditor.violate("I7", "journal entries changed or disappeared after they were written")


def audit_secrets(
    auditor: Auditor, tokens: Sequence[str], told: Mapping[str, Iterable[str]]
) -> None:
    """I11: no access token is in what was told; `told` names each kind of text."""
    for kind, texts in told.items():
        if any(token in text for text in texts for token in tokens):
            auditor.violate("I11", f"{kind} holds the access token")


async def audit_replay(auditor: Auditor, store: SqlStore) -> None:
    """I10: folding the journal of each tracker gives the stored tracker; the chain holds.

    And the journal is a path of the protocol model, which was explored on its own.
    """
    report = await store.verify_chain()
    if not report.is_intact:
        auditor.violate("I10", report.fault_text)
    entries: list[JournalEntry] = []
    while batch := await store.entries(after_seq=len(entries)):
        entries.extend(batch)
    for line in journal_path(entries):
        auditor.violate("model", f"the journal is no path of the protocol model: {line}")
    for tracker in await store.load_all():
        mine: list[Any] = [
            (entry.time_ns, entry.fact)
            for entry in entries
            if entry.fact.tracker_id == tracker.tracker_id and entry.kind in TRACKER_KINDS
        ]
        if fold(mine) != tracker:
            auditor.violate("I10", f"the journal does not rebuild {tracker.tracker_id}")
