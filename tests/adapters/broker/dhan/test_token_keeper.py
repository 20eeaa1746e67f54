"""One place holds the token: it is replaced, saved, waited for and never shown."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.session_calls import SessionCalls
from squareoff.adapters.broker.dhan.session_setup import GivenCredentials, make_keeper
from squareoff.adapters.broker.dhan.token_keeper import TokenKeeper
from squareoff.adapters.broker.dhan.transport import NotSent
from squareoff.domain.errors import BrokerSessionExpired, BrokerUnreachable, ConfigError
from squareoff.domain.ids import AccountId

OLD, NEW, OTHER = "canary-old", "canary-new", "canary-other"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DP"
ACCOUNT = AccountId("1100000001")
DEAD = {"errorCode": "DH-901", "errorMessage": "expired"}


def keeper_of(fakes: Any, *answers: Any, login: bool = False, path: Path | None = None) -> Any:
    """Return a keeper whose REST and login answers come from one list."""
    http = fakes.http(*answers)
    given = GivenCredentials(
        ACCOUNT,
        OLD if path is None else None,
        path,
        "4815" if login else None,
        SECRET if login else None,
    )
    return make_keeper(given, http, http, fakes.clock()), http


def issued(token: str) -> dict[str, str]:
    return {"accessToken": token, "expiryTime": "2026-09-16T09:05:11.000"}


def test_a_refused_token_is_replaced_from_the_file(fakes: Any, tmp_path: Path) -> None:
    """The first refusal reads the file; late refusals of the old token change nothing."""
    path = tmp_path / "token"
    path.write_text(OLD)
    keeper, _ = keeper_of(fakes, path=path)

    assert asyncio.run(keeper.refresh(OLD)) is False
    assert keeper.is_refused()
    path.write_text(NEW)
    assert asyncio.run(keeper.refresh(OLD)) is True
    assert (keeper.current(), keeper.is_refused()) == (NEW, False)
    path.write_text(OTHER)
    assert asyncio.run(keeper.refresh(OLD)) is True
    assert keeper.current() == NEW


def test_a_file_that_gives_no_token_says_why(fakes: Any, tmp_path: Path) -> None:
    """Until it gives one: who has replaced it must hear that it was no use."""
    path = tmp_path / "token"
    path.write_text(OLD)
    keeper, _ = keeper_of(fakes, path=path)
    path.unlink()

    assert asyncio.run(keeper.reload()) is False
    assert "token could not be read (No such file or directory)" in keeper.file_fault
    path.write_text(NEW)
    assert asyncio.run(keeper.reload()) is True
    assert keeper.file_fault == ""


def test_a_replaced_token_is_never_taken_again(fakes: Any, tmp_path: Path) -> None:
    """The file still holds the dead token after a save that failed: it is left there."""
    path = tmp_path / "token"
    path.write_text(OLD)
    keeper, _ = keeper_of(fakes, fakes.answer(200, issued(NEW)), path=path)

    async def body() -> None:
        assert await keeper.renew() is True
        path.write_text(OLD)
        assert await keeper.reload() is False
        assert keeper.current() == NEW

    asyncio.run(body())


def test_a_new_token_is_in_use_also_where_it_cannot_be_saved(fakes: Any, tmp_path: Path) -> None:
    """A disk that fails costs the next start, not this exit."""
    path = tmp_path / "token"
    path.write_text(OLD)
    keeper, _ = keeper_of(fakes, fakes.answer(200, issued(NEW)), path=path)
    path.unlink()
    (path / "inside").mkdir(parents=True)

    assert asyncio.run(keeper.renew()) is False
    assert keeper.current() == NEW


def test_a_login_saves_privately_and_tells_the_end(fakes: Any, tmp_path: Path) -> None:
    """PIN and code make the token of a start without one; its file is its owner's alone."""
    path = tmp_path / "token"
    keeper, http = keeper_of(fakes, fakes.answer(200, issued(NEW)), login=True, path=path)
    assert keeper.is_refused() and keeper.current() == ""

    assert asyncio.run(keeper.log_in()) is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() == NEW
    assert keeper.state.expires_ns == 1_789_529_711_000_000_000
    assert http.requests[0].query["pin"] == "4815"
    assert keeper.state.generation == 1


def test_the_profile_settles_whether_the_token_is_dead(fakes: Any) -> None:
    """Dead by its word, alive by its word, and nothing by no word."""
    alive = {"dhanClientId": ACCOUNT, "tokenValidity": "16/09/2026 09:05"}
    keeper, _ = keeper_of(
        fakes, fakes.answer(401, DEAD), NotSent("no line"), fakes.answer(200, alive)
    )

    async def body() -> None:
        with pytest.raises(BrokerSessionExpired):
            await keeper.profile()
        assert keeper.is_refused()
        with pytest.raises(BrokerUnreachable):
            await keeper.profile()
        assert keeper.is_refused()
        await keeper.profile()
        assert not keeper.is_refused()

    asyncio.run(body())


def test_who_waits_is_woken_by_a_new_token(fakes: Any) -> None:
    """Connections wait for a usable token, and running ones learn that theirs was replaced."""
    keeper, _ = keeper_of(fakes, fakes.answer(200, issued(NEW)), login=True)

    async def body() -> None:
        async with asyncio.TaskGroup() as tasks:
            replaced = tasks.create_task(keeper.watch_replaced(OLD))
            await keeper.refresh(OLD)
            usable = tasks.create_task(keeper.usable())
            await fakes.settle()
            assert not replaced.done() and not usable.done()
            await keeper.log_in()
            await fakes.settle()
            assert replaced.done() and await usable == NEW

    asyncio.run(body())


def test_suspicion_concerns_the_token_in_use_only(fakes: Any) -> None:
    """A socket of an older token says nothing of the new one."""
    keeper, _ = keeper_of(fakes)

    asyncio.run(keeper.suspect(OTHER))
    assert not keeper.state.is_suspected
    asyncio.run(keeper.suspect(OLD))
    assert keeper.state.is_suspected and not keeper.is_refused()


def test_what_is_given_decides(fakes: Any, tmp_path: Path) -> None:
    """A file that is missing stops a start that could not make its own token."""
    http, clock = fakes.http(), fakes.clock()
    missing = GivenCredentials(ACCOUNT, token_file=tmp_path / "none")

    with pytest.raises(ConfigError, match="DHAN_ACCESS_TOKEN_FILE"):
        make_keeper(missing, http, http, clock)
    with pytest.raises(ConfigError, match="DHAN_ACCESS_TOKEN: is needed"):
        make_keeper(GivenCredentials(ACCOUNT), http, http, clock)
    bad = GivenCredentials(ACCOUNT, pin="4815", totp_secret="canary no base32!")
    with pytest.raises(ConfigError, match="DHAN_TOTP_SECRET: must be") as caught:
        make_keeper(bad, http, http, clock)
    assert "canary" not in str(caught.value) and caught.value.__cause__ is None


def test_no_repr_tells_a_secret(fakes: Any, tmp_path: Path) -> None:
    """Printed by mistake, nothing here tells what it holds."""
    keeper, _ = keeper_of(fakes, login=True)
    given = GivenCredentials(ACCOUNT, OLD, tmp_path, "4815", SECRET)

    told = f"{keeper!r} {keeper.state!r} {given!r} {vars(keeper)['_login']!r}"
    assert "canary" not in told and "4815" not in told and SECRET not in told
    assert isinstance(keeper, TokenKeeper)
    assert "canary" not in repr(SessionCalls(ACCOUNT, fakes.http()))


@pytest.mark.parametrize("is_heard_of", [True, False])
def test_a_renewal_that_answers_late_replaces_no_newer_token(
    fakes: Any, tmp_path: Path, is_heard_of: bool
) -> None:
    """Only a living token is renewed, so whatever stands in the file by then was made after it and
    killed what the renewal brings: it is kept, and taken."""
    path = tmp_path / "token"
    path.write_text(OLD)
    keeper, http = keeper_of(fakes, path=path)

    async def answer_late(request: Any, timeout_seconds: float) -> Any:
        path.write_text(OTHER)  # a person's, made on the web page right after the renewal
        if is_heard_of:
            assert await keeper.refresh(OLD) is True
        return fakes.answer(200, issued(NEW))

    http.send = answer_late

    async def body() -> None:
        await keeper.renew()
        assert path.read_text().strip() == OTHER
        await keeper.refresh(NEW)
        assert (keeper.current(), keeper.is_refused()) == (OTHER, False)

    asyncio.run(body())
