"""The rules of the account: a row for their day, and a wish to close what is intraday only.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from squareoff.domain.errors import SchemaMismatch

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the day's row, and what a wish to close everything spares."""
    op.create_table(
        "account_day",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("peak", sa.Text(), nullable=True),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("fired_at_ns", _whole_number(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_day"),
    )
    op.add_column(
        "exit_all",
        sa.Column("intraday_only", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Refuse: an older program would forget which rules fired, and fire them again.

    Raises:
        SchemaMismatch: always.
    """
    raise SchemaMismatch("revision 0003 cannot be taken back: older programs know no account rules")


def _whole_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
