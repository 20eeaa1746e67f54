"""Every way in which the broker's contract is uncertain, one at a time, under the whole engine.

The values are those of `BrokerConduct` itself, so that a new knob is run here as soon as it is one.
docs/simulator.md names the row of the contract that each knob shows.
"""

import typing
from dataclasses import fields
from typing import Any

import pytest

from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.run_seed import run_seed

HINTS = typing.get_type_hints(BrokerConduct)
NOT_TO_BE_SURVIVED = {
    ("token_is_alive", False),
    ("static_ip_allowed", False),
    ("market_hours", "closed"),
    ("fills", "never"),
}
"""Nothing can be closed while these last; that they pass is told in tests/test_session_stories.py
and by the events of the same names."""

IN_RANGES: list[tuple[str, Any]] = [
    ("correlation_id_length_max", 30),
    ("modifications_max", 3),
    ("alert_partial_word", "Pending"),
    ("alert_partial_word", "PART-TRADED"),
    ("alert_partial_word", "Partially Executed"),
    ("lookup_lag_ms", [500, 3_000]),
    ("order_book_lag_ms", [200, 2_000]),
    ("trade_book_lag_ms", [200, 2_000]),
    ("positions_lag_ms", [200, 2_000]),
    ("update_delay_ms", [0, 2_000]),
    ("answer_delay_ms", [0, 2_500]),
    ("exchange_delay_ms", [0, 2_000]),
    ("modify_delay_ms", [0, 2_000]),
    ("cancel_delay_ms", [0, 2_000]),
    ("order_socket_idle_seconds", 5),
    ("order_socket_connections_max", 1),
    ("feed_heartbeat_seconds", 1),
]


def other_values(name: str) -> list[Any]:
    """Return the values of a knob that are not its default, where they can be counted."""
    hint, default = HINTS[name], getattr(BrokerConduct(), name)
    if hint is bool:
        return [not default]
    values = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    return [value for value in values if value != default]


VARIANTS = [
    (field.name, value)
    for field in fields(BrokerConduct)
    for value in other_values(field.name)
    if (field.name, value) not in NOT_TO_BE_SURVIVED
] + IN_RANGES


@pytest.mark.parametrize(("name", "value"), VARIANTS, ids=str)
def test_each_variant_of_the_contract_is_survived(name: str, value: Any) -> None:
    """Whatever the broker means, positions are closed in a thin market and no promise is broken."""
    conduct = {name: value}
    knobs = Knobs(chaos_seconds=10.0, position_count=4, conduct=conduct, thin_market=True)

    report = run_seed(4, knobs=knobs)

    assert report.is_good, report.summary()
    assert report.claims == report.exits > 0


@pytest.mark.parametrize("policy", ["protect", "plain", "reject"])
def test_exits_at_the_market_end_whatever_becomes_of_market_orders(policy: str) -> None:
    """Converted, taken as they are, or refused: with `exit.order_type = market` exits end (2.4)."""
    conduct = {"market_orders": policy}
    knobs = Knobs(chaos_seconds=10.0, position_count=4, conduct=conduct, order_type="market")

    report = run_seed(11, knobs=knobs)

    assert report.is_good, report.summary()
    assert report.claims == report.exits > 0
