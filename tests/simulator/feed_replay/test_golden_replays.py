"""The recorded days, replayed: every exit as it is written down, and as the plain evaluator says.

`scripts/write_golden_replays.py` writes the exits anew where both agree.
"""

import pytest

from golden_replays.scenario import differences, load_scenario, replayed, scenario_names


@pytest.mark.parametrize("name", scenario_names())
def test_the_engine_exits_as_written(name: str) -> None:
    """Rule, level, price, the exchange's time and the average price, of every position."""
    scenario = load_scenario(name)

    assert replayed(scenario) == scenario["exits"]


@pytest.mark.parametrize("name", scenario_names())
def test_the_plain_evaluator_says_the_same(name: str) -> None:
    """What is written down follows from the rules' documentation and the recording alone."""
    scenario = load_scenario(name)

    assert differences(scenario, scenario["exits"]) == []


def test_pre_open_prints_fire_nothing() -> None:
    """Positions whose levels only pre-open prints reach are open at the end of each day."""
    days = [name for name in scenario_names() if name.startswith("nifty-index")]
    rows = [
        row
        for name in days
        for row in load_scenario(name)["exits"]
        if row["id"] in ("held-long-preopen-stop", "held-short-preopen-stop")
    ]

    assert len(rows) == 2 * len(days) == 6
    assert {(row["status"], row["rule"]) for row in rows} == {("ACTIVE", None)}


def test_every_rule_about_price_and_time_is_among_them() -> None:
    """The written exits show each kind of rule."""
    fired = {row["rule"] for name in scenario_names() for row in load_scenario(name)["exits"]}

    assert fired - {None} == {
        "stop_loss",
        "target",
        "trailing",
        "break_even",
        "tiers",
        "peak_drawdown",
        "max_holding_minutes",
        "square_off_at",
    }
