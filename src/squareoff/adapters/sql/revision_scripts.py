"""Run the scripts of `migrations/`, by alembic, on a connection that somebody else opened."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_SCRIPTS = "squareoff.adapters.sql:migrations"


def run_scripts(connection: Connection, version_table: str, revision: str) -> None:
    """Bring a database up to `revision`, in the connection's transaction."""
    config = scripts_config()
    config.attributes |= {"connection": connection, "version_table": version_table}
    command.upgrade(config, revision)


def scripts_config() -> Config:
    """Return what alembic needs to find the scripts."""
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config
