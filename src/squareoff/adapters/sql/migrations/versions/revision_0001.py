"""Create everything: trackers, intents, orders, journal, projections.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from squareoff.domain.errors import SchemaMismatch

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LIVE_INTENT = "status IN ('OPEN', 'BLOCKED', 'NEEDS_HUMAN')"


def upgrade() -> None:
    """Create all tables; a table comes before those that refer to it."""
    _create_alarms()
    _create_idempotency_keys()
    _create_journal()
    _create_journal_head()
    _create_kill_switch()
    _create_paper_state()
    _create_trackers()
    _create_exit_intents()
    _create_orders()
    _create_broker_orders()
    _create_order_sends()


def downgrade() -> None:
    """Refuse: a journal is never dropped.

    Raises:
        SchemaMismatch: always.
    """
    raise SchemaMismatch("revision 0001 is the first one: there is nothing older to go back to")


def _whole_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", _whole_number(), autoincrement=False, nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("tracker_id", sa.Text(), nullable=True),
        sa.Column("raised_at_ns", _whole_number(), nullable=False),
        sa.Column("acknowledged_at_ns", _whole_number(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "seq", name="pk_alarms"),
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("status", _whole_number(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("stored_at_ns", _whole_number(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "idempotency_key", name="pk_idempotency_keys"),
    )


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", _whole_number(), autoincrement=False, nullable=False),
        sa.Column("time_ns", _whole_number(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tracker_id", sa.Text(), nullable=True),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("entry_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq", name="pk_journal"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_journal_account_id_tracker_id_seq",
        "journal",
        ["account_id", "tracker_id", "seq"],
        unique=False,
    )


def _create_journal_head() -> None:
    op.create_table(
        "journal_head",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", _whole_number(), nullable=False),
        sa.Column("entry_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_journal_head"),
    )


def _create_kill_switch() -> None:
    op.create_table(
        "kill_switch",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at_ns", _whole_number(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_kill_switch"),
    )


def _create_paper_state() -> None:
    op.create_table(
        "paper_state",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ledger", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_paper_state"),
    )


def _create_trackers() -> None:
    op.create_table(
        "trackers",
        sa.Column("tracker_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("opened_seq", _whole_number(), nullable=False),
        sa.Column("exchange_segment", sa.Text(), nullable=False),
        sa.Column("security_id", sa.Text(), nullable=False),
        sa.Column("trading_symbol", sa.Text(), nullable=False),
        sa.Column("instrument_type", sa.Text(), nullable=False),
        sa.Column("lot_size", _whole_number(), nullable=False),
        sa.Column("tick_size", sa.Text(), nullable=False),
        sa.Column("freeze_quantity", _whole_number(), nullable=True),
        sa.Column("lower_circuit", sa.Text(), nullable=True),
        sa.Column("upper_circuit", sa.Text(), nullable=True),
        sa.Column("product_type", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("quantity", _whole_number(), nullable=False),
        sa.Column("entry_price", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("created_at_ns", _whole_number(), nullable=False),
        sa.Column("peak_price", _whole_number(), nullable=True),
        sa.Column("stop_level", _whole_number(), nullable=True),
        sa.Column("stop_rule", sa.Text(), nullable=False),
        sa.Column("externally_closed_quantity", _whole_number(), nullable=False),
        sa.Column("externally_closed_notional", sa.Text(), nullable=False),
        sa.Column("exit_price", sa.Text(), nullable=True),
        sa.Column("realized_pnl", sa.Text(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("exited_at_ns", _whole_number(), nullable=True),
        sa.Column("over_exited_quantity", _whole_number(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=True),
        sa.Column("version", _whole_number(), nullable=False),
        sa.PrimaryKeyConstraint("tracker_id", name="pk_trackers"),
    )
    op.create_index(
        "ix_trackers_account_id_status", "trackers", ["account_id", "status"], unique=False
    )


def _create_exit_intents() -> None:
    op.create_table(
        "exit_intents",
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("tracker_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("trigger_rule", sa.Text(), nullable=False),
        sa.Column("trigger_level", _whole_number(), nullable=True),
        sa.Column("trigger_price", _whole_number(), nullable=True),
        sa.Column("trigger_exchange_time_ns", _whole_number(), nullable=True),
        sa.Column("trigger_received_time_ns", _whole_number(), nullable=True),
        sa.Column("claimed_at_ns", _whole_number(), nullable=False),
        sa.Column("attempt", _whole_number(), nullable=False),
        sa.Column("failures", _whole_number(), nullable=False),
        sa.Column("block_reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tracker_id"], ["trackers.tracker_id"], name="fk_exit_intents_tracker_id"
        ),
        sa.PrimaryKeyConstraint("intent_id", name="pk_exit_intents"),
    )
    op.create_index(
        "one_live_intent_per_tracker",
        "exit_intents",
        ["tracker_id"],
        unique=True,
        sqlite_where=sa.text(_LIVE_INTENT),
        postgresql_where=sa.text(_LIVE_INTENT),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("tracker_id", sa.Text(), nullable=False),
        sa.Column("position", _whole_number(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("attempt", _whole_number(), nullable=False),
        sa.Column("slice_number", _whole_number(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("order_quantity", _whole_number(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("limit_price", sa.Text(), nullable=True),
        sa.Column("modifications", _whole_number(), nullable=False),
        sa.Column("failure_text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tracker_id"], ["trackers.tracker_id"], name="fk_orders_tracker_id"
        ),
        sa.PrimaryKeyConstraint("client_order_id", name="pk_orders"),
    )
    op.create_index("ix_orders_tracker_id", "orders", ["tracker_id"], unique=False)


def _create_broker_orders() -> None:
    op.create_table(
        "broker_orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("position", _whole_number(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cumulative_quantity", _whole_number(), nullable=False),
        sa.Column("average_price", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_order_id"], ["orders.client_order_id"], name="fk_broker_orders_client_order_id"
        ),
        sa.PrimaryKeyConstraint("client_order_id", "broker_order_id", name="pk_broker_orders"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_broker_orders_broker_order_id", "broker_orders", ["broker_order_id"], unique=False
    )


def _create_order_sends() -> None:
    op.create_table(
        "order_sends",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("number", _whole_number(), autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("sent_at_ns", _whole_number(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_order_id"], ["orders.client_order_id"], name="fk_order_sends_client_order_id"
        ),
        sa.PrimaryKeyConstraint("client_order_id", "number", name="pk_order_sends"),
        sqlite_with_rowid=False,
    )
