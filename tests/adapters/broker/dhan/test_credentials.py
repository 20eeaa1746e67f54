"""Where the token comes from."""

import asyncio

import pytest

from squareoff.adapters.broker.dhan.credentials import FileToken, FixedToken
from squareoff.domain.errors import ConfigError


def test_a_file_token_is_read_again_only_when_refused(tmp_path):
    """A new token in the file is taken when the broker refuses the old one, not before."""
    path = tmp_path / "token"
    path.write_text("first\n")
    tokens = FileToken(path)
    path.write_text("second\n")

    assert tokens.current() == "first"
    assert asyncio.run(tokens.refresh("first")) is True
    assert tokens.current() == "second"


def test_a_refresh_that_brings_nothing_new_says_so(tmp_path):
    """Same token, missing file and rubbish in the file all answer False and keep the token."""
    path = tmp_path / "token"
    path.write_text("first")
    tokens = FileToken(path)

    assert asyncio.run(tokens.refresh("first")) is False
    path.write_text("two words")
    assert asyncio.run(tokens.refresh("first")) is False
    path.unlink()
    assert asyncio.run(tokens.refresh("first")) is False
    assert tokens.current() == "first"


def test_a_token_replaced_meanwhile_is_not_replaced_again(tmp_path):
    """Two calls refused for the same dead token cause one replacement."""
    path = tmp_path / "token"
    path.write_text("first")
    tokens = FileToken(path)
    path.write_text("second")
    asyncio.run(tokens.refresh("first"))
    path.write_text("third")

    assert asyncio.run(tokens.refresh("first")) is True
    assert tokens.current() == "second"


@pytest.mark.parametrize("text", ["", "  \n", "two words", "line\nline", "caf\u00e9", "x" * 9_000])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, text):
    """A bad token stops the start; the message names the setting, not the content."""
    with pytest.raises(ConfigError) as caught:
        FixedToken(text)

    assert "DHAN_ACCESS_TOKEN" in str(caught.value)
    assert not text.strip() or text not in str(caught.value)
