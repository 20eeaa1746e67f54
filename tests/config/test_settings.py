"""What follows from settings, and that each is documented where it is declared."""

import pytest

from squareoff.config.names import setting_names
from squareoff.config.settings import LIVE_INSTRUMENTS, Settings


def test_the_default_quarantine_follows_the_order_timeout() -> None:
    """0 means the larger of 10 s and the order timeout + 5 s; a set value stands."""
    assert Settings().quarantine_seconds == 10.0
    assert Settings(timeouts={"order_seconds": 7}).quarantine_seconds == 12.0
    assert Settings(settle={"quarantine_seconds": 20}).quarantine_seconds == 20.0


def test_live_mode_has_an_instrument_master_of_its_own() -> None:
    """Empty means the broker's file in live mode, none in paper mode; a set value stands."""
    assert Settings(mode="live").instrument_master == LIVE_INSTRUMENTS
    assert Settings().instrument_master is None
    assert Settings(instruments="a.csv").instrument_master == "a.csv"


def test_nothing_reads_the_environment_behind_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings made without the loader hold defaults, whatever the process's environment."""
    monkeypatch.setenv("MODE", "live")
    monkeypatch.setenv("SQUAREOFF_MODE", "live")

    assert Settings().mode == "paper"


def test_every_setting_says_what_it_is_for() -> None:
    """docs/settings.md is made from the sentences under the fields, so each has one."""
    bare = [".".join(name.path) for name in setting_names() if not name.field.description]

    assert bare == ["account_rules"] or bare == []
