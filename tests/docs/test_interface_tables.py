"""Every setting, route and command is in the docs, because their tables are made from the code."""

import pytest
import typer.main

from generate_docs import PROJECT_FOLDER
from generated_docs.interface import option_table, route_table, settings_table
from generated_docs.tables import leaf_commands
from squareoff.cli.main import app
from squareoff.config.names import setting_names


def test_every_setting_has_its_row() -> None:
    """Variable and path of each setting stand in the table, and no secret has a TOML path."""
    table = settings_table()

    for name in setting_names():
        path = ".".join(name.path)
        assert (f"`{path}`" in table) == name.is_in_toml
        if name.environment is not None:
            assert f"`{name.environment.name}`" in table


def test_every_route_has_its_row() -> None:
    """The calls of the API stand in the table, changes with the fields of their body."""
    table = route_table()

    assert "| `POST /api/v1/kill-switch` | `active`, [`level`], [`reason`], [`ticket`] |" in table
    assert "| `GET /readyz` |" in table


def test_every_command_has_its_row() -> None:
    """The commands stand in the table with what they take."""
    table = option_table("squareoff.cli.main.app")

    for path, _ in leaf_commands(typer.main.get_command(app)):
        assert f"| `{' '.join(path)}` |" in table
    assert "`TRACKER_ID` `--reason`" in table


@pytest.mark.parametrize("name", ["settings", "api", "command-line"])
def test_the_pages_are_filled(name: str) -> None:
    """The pages hold their tables."""
    text = (PROJECT_FOLDER / "docs" / f"{name}.md").read_text(encoding="utf-8")

    assert text.count("\n| `") > 10
