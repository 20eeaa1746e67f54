"""Tests of bootstrap: which account settings trade, and that unserved settings are refused."""

import pytest
from pydantic import SecretStr

from squareoff.bootstrap import PAPER_ACCOUNT, account_of, refuse_unserved
from squareoff.config import Settings
from squareoff.config.settings import Credentials
from squareoff.domain.errors import ConfigError

NAMED = Credentials(client_id="1100000001")


def test_paper_positions_never_belong_to_the_live_account() -> None:
    """The same database opened in live mode must not take a paper position for a real one."""
    live = account_of(Settings(mode="live", credentials=NAMED))
    paper = account_of(Settings(mode="paper", credentials=NAMED))

    assert live == "1100000001"
    assert paper != live
    assert account_of(Settings(mode="paper")) == PAPER_ACCOUNT


def test_a_setting_that_is_not_served_is_refused_by_name() -> None:
    """Silence about a setting that does nothing would be a lie."""
    with pytest.raises(ConfigError, match="over_exit_action"):
        refuse_unserved(Settings(over_exit_action="flatten"))
    with pytest.raises(ConfigError, match="DHAN_PIN"):
        refuse_unserved(Settings(credentials=Credentials(pin=SecretStr("1234"))))
