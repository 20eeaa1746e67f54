"""The tables. Columns carry the names of the fields they hold; times are UTC nanoseconds.

Invariants:
1. At most one live exit intent per tracker: a partial unique index says so, whatever our code does.
2. `(account_id, seq)` numbers each account's journal from 1 without gaps: numbers are taken from
   `journal_head` under its row lock, inside the transaction that writes the entries.
3. One client order id may stand for two orders at the broker, so `broker_orders` is keyed by both.
4. `journal_head.epoch` only rises: each taking of the account raises it by one, and an engine
   whose epoch is not the newest writes nothing.
"""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from squareoff.adapters.sql.column_types import AnyText, ExactDecimal, whole_number
from squareoff.domain.states import IntentStatus

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_LIVE_INTENT = text(
    "status IN ({})".format(
        ", ".join(f"'{status.value}'" for status in IntentStatus if status.is_live)
    )
)

trackers = Table(
    "trackers",
    metadata,
    Column("tracker_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    # The sequence number of the tracker's first fact: the order in which trackers were opened.
    Column("opened_seq", whole_number(), nullable=False),
    Column("exchange_segment", Text, nullable=False),
    Column("security_id", Text, nullable=False),
    Column("trading_symbol", AnyText, nullable=False),
    Column("instrument_type", Text, nullable=False),
    Column("lot_size", whole_number(), nullable=False),
    Column("tick_size", ExactDecimal, nullable=False),
    Column("freeze_quantity", whole_number()),
    Column("lower_circuit", ExactDecimal),
    Column("upper_circuit", ExactDecimal),
    Column("product_type", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("quantity", whole_number(), nullable=False),
    Column("entry_price", ExactDecimal, nullable=False),
    Column("rules", Text, nullable=False),
    Column("created_at_ns", whole_number(), nullable=False),
    Column("peak_price", whole_number()),
    Column("stop_level", whole_number()),
    Column("stop_rule", Text, nullable=False),
    Column("externally_closed_quantity", whole_number(), nullable=False),
    Column("externally_closed_notional", ExactDecimal, nullable=False),
    Column("exit_price", ExactDecimal),
    Column("realized_pnl", ExactDecimal),
    Column("exit_reason", AnyText),
    Column("exited_at_ns", whole_number()),
    Column("held_since_ns", whole_number()),
    Column("over_exited_quantity", whole_number(), nullable=False),
    # The newest intent, live or not. No foreign key: the two tables would refer to each other.
    Column("intent_id", Text),
    Column("version", whole_number(), nullable=False),
    Index(None, "account_id", "status"),
)

exit_intents = Table(
    "exit_intents",
    metadata,
    Column("intent_id", Text, primary_key=True),
    Column("tracker_id", Text, ForeignKey("trackers.tracker_id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("trigger_rule", Text, nullable=False),
    Column("trigger_level", whole_number()),
    Column("trigger_price", whole_number()),
    Column("trigger_exchange_time_ns", whole_number()),
    Column("trigger_received_time_ns", whole_number()),
    Column("claimed_at_ns", whole_number(), nullable=False),
    Column("attempt", whole_number(), nullable=False),
    Column("failures", whole_number(), nullable=False),
    Column("block_reason", Text),
    Column("note", AnyText, nullable=False),
    Index(
        "one_live_intent_per_tracker",
        "tracker_id",
        unique=True,
        sqlite_where=_LIVE_INTENT,
        postgresql_where=_LIVE_INTENT,
    ),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("tracker_id", Text, ForeignKey("trackers.tracker_id"), nullable=False),
    Column("position", whole_number(), nullable=False),
    Column("role", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("attempt", whole_number(), nullable=False),
    Column("slice_number", whole_number(), nullable=False),
    Column("side", Text, nullable=False),
    Column("order_quantity", whole_number(), nullable=False),
    Column("state", Text, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("limit_price", ExactDecimal),
    Column("modifications", whole_number(), nullable=False),
    Column("failure_text", AnyText, nullable=False),
    Index(None, "tracker_id"),
)

order_sends = Table(
    "order_sends",
    metadata,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), primary_key=True),
    Column("number", whole_number(), primary_key=True, autoincrement=False),
    Column("outcome", Text, nullable=False),
    Column("sent_at_ns", whole_number(), nullable=False),
    Column("broker_order_id", Text),
    sqlite_with_rowid=False,
)

broker_orders = Table(
    "broker_orders",
    metadata,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), primary_key=True),
    Column("broker_order_id", Text, primary_key=True),
    Column("position", whole_number(), nullable=False),
    Column("status", Text, nullable=False),
    Column("cumulative_quantity", whole_number(), nullable=False),
    Column("average_price", ExactDecimal),
    Column("reason", AnyText, nullable=False),
    Index(None, "broker_order_id"),
    sqlite_with_rowid=False,
)

journal = Table(
    "journal",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("seq", whole_number(), primary_key=True, autoincrement=False),
    Column("time_ns", whole_number(), nullable=False),
    Column("kind", Text, nullable=False),
    Column("tracker_id", Text),
    Column("client_order_id", Text),
    Column("data", Text, nullable=False),
    Column("entry_hash", Text, nullable=False),
    Index(None, "account_id", "tracker_id", "seq"),
    sqlite_with_rowid=False,
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("seq", whole_number(), nullable=False),
    Column("entry_hash", Text, nullable=False),
    Column("epoch", whole_number(), nullable=False, server_default="0"),
)

# Who runs the account, and until when that is sure. No row: nobody ever took it.
account_owner = Table(
    "account_owner",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("epoch", whole_number(), nullable=False),
    Column("host", AnyText, nullable=False),
    Column("process_id", whole_number(), nullable=False),
    # Names one process of one machine exactly; empty where the system cannot tell.
    Column("process_key", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("holds_lock", Boolean, nullable=False),
    Column("is_released", Boolean, nullable=False),
    Column("lease_ms", whole_number(), nullable=False),
    Column("renewals", whole_number(), nullable=False),
    Column("taken_at_ns", whole_number(), nullable=False),
    Column("lease_until_ns", whole_number(), nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("seq", whole_number(), primary_key=True, autoincrement=False),
    Column("severity", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", AnyText, nullable=False),
    Column("tracker_id", Text),
    Column("raised_at_ns", whole_number(), nullable=False),
    Column("acknowledged_at_ns", whole_number()),
    # How often it was raised or told again, and when last; NULL: never again.
    Column("repeats", whole_number(), nullable=False, server_default="0"),
    Column("last_raised_at_ns", whole_number()),
    # When its cause was seen to be gone.
    Column("cleared_at_ns", whole_number()),
)

# The newest wish to close everything, one an account.
exit_all = Table(
    "exit_all",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("lock_account", Boolean, nullable=False),
    # What carries forward is left alone.
    Column("intraday_only", Boolean, nullable=False, server_default=false()),
    Column("asked_at_ns", whole_number(), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("lock_outcome", Text, nullable=False),
    Column("note", AnyText, nullable=False),
    Column("ended_at_ns", whole_number()),
)

# What the rules of the account remember of their newest day, one row an account.
account_day = Table(
    "account_day",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("day", Text, nullable=False),
    Column("peak", ExactDecimal),
    # The rules that fired that day, by name, with commas between.
    Column("spent", Text, nullable=False),
    # Of the newest rule that closed everything.
    Column("reason", AnyText, nullable=False),
    Column("fired_at_ns", whole_number()),
)

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("level", Text, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("changed_at_ns", whole_number(), nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("status", whole_number(), nullable=False),
    Column("answer", AnyText, nullable=False),
    Column("stored_at_ns", whole_number(), nullable=False),
)

paper_state = Table(
    "paper_state",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("ledger", LargeBinary, nullable=False),
)
