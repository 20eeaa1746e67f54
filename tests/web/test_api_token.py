"""The API's token: made once, readable by its owner only, never told."""

import stat
import threading
from pathlib import Path

import pytest

from squareoff.config import Settings
from squareoff.domain.errors import ConfigError
from squareoff.web.api_token import api_token, known_api_token, read_token


def settings_of(path: Path) -> Settings:
    """Return settings whose token is kept here."""
    return Settings(api={"token_path": path})


def test_the_first_start_makes_a_token(tmp_path: Path) -> None:
    """A long token in a new file with mode 0600; later starts and the command line find it."""
    settings = settings_of(tmp_path / "deep" / "token")
    token, path = api_token(settings)

    assert path == tmp_path / "deep" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 43
    assert api_token(settings) == (token, path)
    assert known_api_token(settings) == token
    assert [each.name for each in path.parent.iterdir()] == ["token"]


def test_a_given_token_makes_no_file(tmp_path: Path) -> None:
    """A token from the environment is used as it is."""
    settings = Settings(api={"token_path": tmp_path / "token"}, api_token="given-0123456789abcdef")

    assert api_token(settings) == ("given-0123456789abcdef", None)
    assert list(tmp_path.iterdir()) == []


def test_simultaneous_first_starts_agree(tmp_path: Path) -> None:
    """Whoever comes first makes the token; the others take it."""
    settings = settings_of(tmp_path / "token")
    start, found = threading.Barrier(8), set()

    def make() -> None:
        start.wait()
        found.add(api_token(settings)[0])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    """A file with a loose mode stops the start, and the message does not tell the token."""
    path = tmp_path / "token"
    path.write_text("loose-token-0123456789")
    path.chmod(mode)

    with pytest.raises(ConfigError, match="can be read by others") as caught:
        read_token(path)
    assert "loose-token" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"a-token\x00of-some-length", b"short-0123456\n"]
)
def test_a_file_without_a_token_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty or damaged file is named, and one whose token is too short to protect anything."""
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=r"api\.token_path"):
        read_token(path)


def test_the_command_line_makes_no_token(tmp_path: Path) -> None:
    """Where no engine ever ran, asking one says so instead of inventing a token."""
    with pytest.raises(ConfigError, match="makes it at its first start"):
        known_api_token(settings_of(tmp_path / "token"))
    assert list(tmp_path.iterdir()) == []
