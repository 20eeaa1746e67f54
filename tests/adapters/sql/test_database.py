"""From a URL of the settings to an open database."""

import errno
from pathlib import Path

import pytest

from async_body import run_async
from squareoff.adapters.sql.database import Database, open_database, open_inline_database
from squareoff.adapters.sql.runners import AsyncRunner, InlineRunner, ThreadRunner
from squareoff.adapters.sql.schema import prepare
from squareoff.domain.errors import ConfigError, StoreUnavailable

SECRET = "canary-word-51c0"


def _closed(database: Database) -> Database:
    run_async(database.close())
    return database


def test_each_kind_of_url_gets_its_runner(tmp_path: Path) -> None:
    """A file runs on threads, memory inline, PostgreSQL through asyncpg."""
    file = _closed(open_database(f"sqlite:///{tmp_path / 'a.db'}"))
    assert isinstance(file.runner, ThreadRunner)
    assert file.sqlite_path == tmp_path / "a.db"
    assert isinstance(_closed(open_database("sqlite://")).runner, InlineRunner)
    inline = _closed(open_inline_database(f"sqlite:///{tmp_path / 'b.db'}"))
    assert isinstance(inline.runner, InlineRunner)
    for scheme in ("postgresql", "postgres"):
        server = _closed(open_database(f"{scheme}://me:{SECRET}@127.0.0.1/name"))
        assert isinstance(server.runner, AsyncRunner)


def test_a_relative_file_lies_in_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    """Three slashes name a file in the working folder, as the default setting does."""
    monkeypatch.chdir(tmp_path)

    _closed(open_database("sqlite:///squareoff.db"))

    assert (tmp_path / "squareoff.db").exists()


@pytest.mark.parametrize(
    "url", ["mysql://me:canary-word-51c0@host/db", "squareoff.db", "sqlite:", "sqlite://file.db"]
)
def test_an_unknown_url_names_the_setting_and_no_secret(url: str) -> None:
    """A URL of no known kind is a ConfigError about database_url that hides the password."""
    with pytest.raises(ConfigError, match="database_url") as caught:
        open_database(url)

    assert SECRET not in str(caught.value)


def test_a_missing_folder_names_the_setting(tmp_path: Path) -> None:
    """A file in a folder that is not there is a ConfigError with the system's reason."""
    with pytest.raises(ConfigError, match=r"database_url.*No such file"):
        open_database(f"sqlite:///{tmp_path}/missing/a.db")


def test_a_fault_of_the_machine_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager gives up on wrong settings; a disk that is read-only now may be mended."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("squareoff.adapters.sql.sqlite_engine.os.open", refuse)
    with pytest.raises(StoreUnavailable, match=r"a\.db cannot be opened now: Read-only"):
        open_database(f"sqlite:///{tmp_path}/a.db")


def test_no_text_shows_the_password() -> None:
    """Neither the display URL, nor the repr, nor an error of the connection shows the password."""

    async def body() -> None:
        # Nobody listens on port 1 of this machine.
        database = open_database(f"postgresql://me:{SECRET}@127.0.0.1:1/name?password={SECRET}")
        with pytest.raises(StoreUnavailable) as caught:
            await prepare(database)
        await database.close()
        assert "nobody answers at 127.0.0.1:1: " in str(caught.value)
        assert database.display_url == "postgresql://me:***@127.0.0.1:1/name"
        causes = [caught.value, caught.value.__cause__, caught.value.__context__]
        for shown in (repr(database), str(database), *map(repr, causes), *map(str, causes)):
            assert SECRET not in shown

    run_async(body())


@pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)
def test_a_refused_password_is_not_shown(shared_opener) -> None:
    """A server's refusal becomes StoreUnavailable without the words that were tried."""

    async def body() -> None:
        good = shared_opener()
        assert good.postgres_url is not None
        user, _, rest = good.postgres_url.partition("@")
        wrong = open_database(f"{user.rsplit(':', 1)[0]}:{SECRET}@{rest}")
        with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
            await prepare(wrong)
        await good.close()
        await wrong.close()

        assert SECRET not in str(caught.value)

    run_async(body())
