"""The knobs."""

from decimal import Decimal

import pytest

from squareoff.domain.errors import ConfigError
from squareoff.simulator.conduct import BrokerConduct, conduct_from_json, conduct_to_json


def test_knobs_survive_json() -> None:
    """What is written as JSON reads back as the same conduct."""
    conduct = conduct_from_json({"exchange_delay_ms": 5, "fund_start_of_day": "10.50"})

    assert conduct.exchange_delay_ms == (5.0, 5.0)
    assert conduct.fund_start_of_day == Decimal("10.50")
    assert conduct_from_json(conduct_to_json(conduct)) == conduct


@pytest.mark.parametrize(
    "knobs",
    [
        {"nope": 1},
        {"alert_keys": "snake"},
        {"fills": 3},
        {"protection_slabs_options": []},
        {"protection_slabs_others": [["50", "20"]]},
        {"protection_slabs_others": [["50", "20"], ["20", "10"], [None, "5"]]},
        {"protection_slabs_others": [[None, "20"], [None, "5"]]},
        {"protection_slabs_others": [[None, "-5"]]},
        {"protection_slabs_others": [[None, "150"]]},
        {"protection_slabs_others": [[None, "NaN"]]},
        {"protection_slabs_others": [["NaN", "5"], [None, "5"]]},
        {"token_hours": 1e12},
        {"token_hours": float("nan")},
        {"date_header_offset_seconds": -1e20},
        {"fund_start_of_day": "1e30"},
        {"fund_start_of_day": "NaN"},
        {"exchange_delay_ms": 1e300},
        {"quantity_per_print": 10**30},
        {"login_totp_secret": "not base32!"},
    ],
    ids=str,
)
def test_a_wrong_knob_is_named(knobs: dict[str, object]) -> None:
    """Unknown knobs and bad values are refused, with the knob's name in the message."""
    with pytest.raises(ConfigError, match=next(iter(knobs))):
        conduct_from_json(knobs)


def test_changes_leave_the_base_alone() -> None:
    """Changing one knob keeps the others and does not touch the conduct it started from."""
    base = BrokerConduct(alert_words="upper")

    changed = conduct_from_json({"delete_answer": "202_empty"}, base)

    assert (changed.alert_words, changed.delete_answer) == ("upper", "202_empty")
    assert base.delete_answer == "202_cancelled"
