"""The simulator's page names everything that can be asked of the simulator."""

from dataclasses import fields
from pathlib import Path

import pytest

from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.faults import HowOften, Until, What, Where

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
ADMIN = (Path(__file__).parents[2] / "src/squareoff/simulator/admin.py").read_text()


@pytest.mark.parametrize(
    "names",
    [
        [each.name for each in fields(BrokerConduct)],
        [name for kind in (Where, What, HowOften, Until) for name in kind.__struct_fields__],
    ],
    ids=["knobs", "faults"],
)
def test_every_name_is_documented(names: list[str]) -> None:
    """Each knob and each field of a fault rule stands on the page."""
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_admin_route_is_documented() -> None:
    """Each route of the admin stands on the page."""
    routes = [line.split('"')[3] for line in ADMIN.splitlines() if '"/admin/' in line]

    assert routes
    assert [r for r in routes if r.replace("{order_id}", "{id}") not in PAGE] == []
