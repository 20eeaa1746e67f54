"""Tests of bootstrap: which account settings trade, and what they mean to the engine."""

import asyncio
from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from squareoff.adapters.broker.dhan.instrument_source import DailyInstruments
from squareoff.bootstrap import PAPER_ACCOUNT, account_of, engine_settings, open_engine
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


def test_an_engine_keeps_its_instrument_master_that_of_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loads the next day's master runs as long as the engine does."""
    monkeypatch.chdir(tmp_path)
    token = "a-token-of-the-broker"
    header = "EXCH_ID,SEGMENT,SECURITY_ID,INSTRUMENT,SYMBOL_NAME,LOT_SIZE,TICK_SIZE,"
    master = tmp_path / "master.csv"
    master.write_text(f"{header}\nNSE,E,1333,EQUITY,HDFCBANK,1.0,5.0000,\n")
    settings = Settings(
        mode="paper",
        instruments=str(master),
        database_url=f"sqlite:///{tmp_path}/squareoff.db",
        credentials=Credentials(client_id="1100000001", access_token=SecretStr(token)),
    )

    async def body() -> set[type[object]]:
        async with open_engine(settings) as engine:
            return {type(getattr(run, "__self__", None)) for run in engine.supervisor._background}

    assert DailyInstruments in asyncio.run(body())
