"""Epochs: every writer of an account's journal is fenced, and its owner has a row with a lease.

Also: alarms count their repeats and end, and the wish to close everything has a row.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from squareoff.domain.errors import SchemaMismatch

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the epoch to the journal's head, the table of owners, and what came with them."""
    _extend_alarms()
    _create_exit_all()
    op.add_column(
        "journal_head",
        sa.Column("epoch", _whole_number(), nullable=False, server_default="0"),
    )
    op.create_table(
        "account_owner",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("epoch", _whole_number(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process_id", _whole_number(), nullable=False),
        sa.Column("process_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("holds_lock", sa.Boolean(), nullable=False),
        sa.Column("is_released", sa.Boolean(), nullable=False),
        sa.Column("lease_ms", _whole_number(), nullable=False),
        sa.Column("renewals", _whole_number(), nullable=False),
        sa.Column("taken_at_ns", _whole_number(), nullable=False),
        sa.Column("lease_until_ns", _whole_number(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_owner"),
    )


def _extend_alarms() -> None:
    op.add_column(
        "alarms", sa.Column("repeats", _whole_number(), nullable=False, server_default="0")
    )
    op.add_column("alarms", sa.Column("last_raised_at_ns", _whole_number(), nullable=True))
    op.add_column("alarms", sa.Column("cleared_at_ns", _whole_number(), nullable=True))


def _create_exit_all() -> None:
    op.create_table(
        "exit_all",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lock_account", sa.Boolean(), nullable=False),
        sa.Column("asked_at_ns", _whole_number(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("lock_outcome", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ended_at_ns", _whole_number(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_exit_all"),
    )


def downgrade() -> None:
    """Refuse: an older program would write without a fence.

    Raises:
        SchemaMismatch: always.
    """
    raise SchemaMismatch("revision 0002 cannot be taken back: older programs write unfenced")


def _whole_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
