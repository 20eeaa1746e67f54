"""Alembic's entry: migrate over the connection that `schema.py` hands in, in its transaction."""

from alembic import context

from squareoff.adapters.sql.tables import metadata

if context.is_offline_mode():
    raise SystemExit("squareoff migrates over a connection: run `squareoff db upgrade`")

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
