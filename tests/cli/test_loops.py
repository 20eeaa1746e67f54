"""A program runs until it ends, is told to end, or fails; each has its own ending."""

import asyncio
import os
import signal

import pytest

from squareoff.cli.api_client import CommandRefused
from squareoff.cli.loops import run_until_told
from squareoff.domain.errors import AccountLocked, CommitLost, ConfigError, OwnershipLost


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    """Both signals cancel the work, which cleans up; the program then ends without error."""
    seen = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("cleaned up")

    run_until_told(work())

    assert seen == ["cleaned up"]


def test_a_single_error_of_ours_comes_out_of_its_group() -> None:
    """What stopped the program is told as itself, however deep the groups."""

    async def work() -> None:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [AccountLocked("by another")])])

    with pytest.raises(AccountLocked, match="by another"):
        run_until_told(work())


def test_an_error_outside_a_group_passes() -> None:
    """A fault of the settings found at the start is that fault."""

    async def work() -> None:
        raise ConfigError("port: taken")

    with pytest.raises(ConfigError, match="port: taken"):
        run_until_told(work())


def test_a_defect_ends_with_one_line() -> None:
    """Several failures, or one that is not ours, become one refusal that points to the log."""

    async def work() -> None:
        raise ExceptionGroup("g", [ValueError("x"), AccountLocked("y")])

    with pytest.raises(CommandRefused, match=r"failure \(AccountLocked, ValueError\); see the log"):
        run_until_told(work())


def test_the_loss_of_the_account_is_told_as_itself() -> None:
    """Every part that writes hears of it at once, and others may fail by it: one line is enough."""

    async def work() -> None:
        lost = [OwnershipLost("another engine has taken it over")] * 2
        raise ExceptionGroup("g", [*lost, ValueError("x")])

    with pytest.raises(OwnershipLost, match="another engine has taken it over"):
        run_until_told(work())


def test_a_lost_commit_is_told_as_itself() -> None:
    """A database that came back older ends every part that writes; its own line says so."""

    async def work() -> None:
        raise ExceptionGroup("g", [ValueError("x"), CommitLost("the database came back older")])

    with pytest.raises(CommitLost, match="came back older"):
        run_until_told(work())
