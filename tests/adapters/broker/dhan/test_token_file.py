"""The token's file: whole before and after, and its owner's alone."""

import os
import stat
from pathlib import Path

import pytest

from squareoff.adapters.broker.dhan.token_file import TokenFile, checked_token
from squareoff.domain.errors import ConfigError


def test_a_token_is_replaced_whole_and_private(tmp_path: Path) -> None:
    """After a write the file holds the new token, mode 0600, and nothing is left beside it."""
    path = tmp_path / "token"
    path.write_text("old\n")
    path.chmod(0o644)
    before = os.stat(path).st_ino

    TokenFile(path).write("new-token")

    assert TokenFile(path).read() == "new-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before, "renamed over it, never rewritten in place"
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What the link points to is replaced; the link stays."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "token").write_text("old")
    link = tmp_path / "token"
    link.symlink_to(tmp_path / "real" / "token")

    TokenFile(link).write("new-token")

    assert link.is_symlink()
    assert (tmp_path / "real" / "token").read_text() == "new-token\n"


def test_a_write_that_fails_leaves_the_old_token(tmp_path: Path) -> None:
    """The name is taken by a folder, so the rename fails: OSError, and no scrap stays behind."""
    path = tmp_path / "token"
    (path / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="token"):
        TokenFile(path).write("new-token")

    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"x" * 9_000])
def test_an_unreadable_file_is_told_without_its_content(tmp_path: Path, content: bytes) -> None:
    """A fault names the setting."""
    path = tmp_path / "token"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="DHAN_ACCESS_TOKEN_FILE") as caught:
        TokenFile(path).read()
    assert "two words" not in str(caught.value)


def test_an_editor_of_windows_may_write_the_file(tmp_path: Path) -> None:
    """Its byte order mark and its ends of lines are no part of the token."""
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbfabc.def\r\n")

    assert TokenFile(path).read() == "abc.def"


def test_a_token_is_one_printable_word() -> None:
    """Blanks around it are dropped, blanks within refused."""
    assert checked_token(" abc.def \n", "X") == "abc.def"
    with pytest.raises(ConfigError, match="X: must be one access token"):
        checked_token("abc def", "X")
