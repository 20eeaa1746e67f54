"""Tests of bootstrap: which account settings trade, and what they mean to the engine."""

from datetime import time
from decimal import Decimal

from squareoff.bootstrap import PAPER_ACCOUNT, account_of, engine_settings
from squareoff.config import Settings
from squareoff.config.settings import Credentials
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.instruments import ExchangeSegment

NAMED = Credentials(client_id="1100000001")


def test_paper_positions_never_belong_to_the_live_account() -> None:
    """The same database opened in live mode must not take a paper position for a real one."""
    live = account_of(Settings(mode="live", credentials=NAMED))
    paper = account_of(Settings(mode="paper", credentials=NAMED))

    assert live == "1100000001"
    assert paper != live
    assert account_of(Settings(mode="paper")) == PAPER_ACCOUNT


def test_square_off_times_are_by_segment() -> None:
    """Each segment's setting reaches the engine under the segment's own name."""
    names = [each.value.lower() for each in ExchangeSegment if each.is_tradable]
    times = {name: time(15, minute) for minute, name in enumerate(names)}
    settings = Settings(square_off=times)

    assert engine_settings(Settings()).square_off.by_segment == {}
    assert engine_settings(settings).square_off.by_segment == {
        ExchangeSegment[name.upper()]: clock for name, clock in times.items()
    }


def test_rules_of_the_account_reach_the_engine() -> None:
    """None is dropped on the way, and none refused."""
    rules = AccountRules(Decimal(5000), square_off_at=time(15, 15))

    assert engine_settings(Settings(account_rules=rules)).account_rules == rules
    assert engine_settings(Settings()).account_rules == AccountRules()


def test_flattening_follows_its_setting() -> None:
    """`over_exit_action = "flatten"` is served; the default only calls a person."""
    assert engine_settings(Settings(over_exit_action="flatten")).policy.flatten_over_exit
    assert not engine_settings(Settings()).policy.flatten_over_exit
