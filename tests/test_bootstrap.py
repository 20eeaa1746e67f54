"""Tests of bootstrap: which account settings trade, and what they mean to the engine."""

from squareoff.bootstrap import PAPER_ACCOUNT, account_of, engine_settings
from squareoff.config import Settings
from squareoff.config.settings import Credentials

NAMED = Credentials(client_id="1100000001")


def test_paper_positions_never_belong_to_the_live_account() -> None:
    """The same database opened in live mode must not take a paper position for a real one."""
    live = account_of(Settings(mode="live", credentials=NAMED))
    paper = account_of(Settings(mode="paper", credentials=NAMED))

    assert live == "1100000001"
    assert paper != live
    assert account_of(Settings(mode="paper")) == PAPER_ACCOUNT


def test_flattening_follows_its_setting() -> None:
    """`over_exit_action = "flatten"` is served; the default only calls a person."""
    assert engine_settings(Settings(over_exit_action="flatten")).policy.flatten_over_exit
    assert not engine_settings(Settings()).policy.flatten_over_exit
