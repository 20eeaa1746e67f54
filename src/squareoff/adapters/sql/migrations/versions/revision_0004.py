"""Since when the first unit of a position is held.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from squareoff.domain.errors import SchemaMismatch

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time; positions of before count from when they came under watch, as they did."""
    whole_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("trackers", sa.Column("held_since_ns", whole_number, nullable=True))


def downgrade() -> None:
    """Refuse: an older program would count an entry's holding time from its placing.

    Raises:
        SchemaMismatch: always.
    """
    raise SchemaMismatch("revision 0004 cannot be taken back: older programs end entries too early")
