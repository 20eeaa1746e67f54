"""No log line holds a secret, whoever writes it and however it is wrapped."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from squareoff.cli.logs import HIDDEN, Redactor, configure_logs, in_indian_time

SECRET = "tok-abcdefgh-12345"
JWT = "eyJhbGciOiJIUzI1.eyJkaGFuQ2xpZW50.c2lnbmF0dXJl"


@pytest.fixture
def _fresh_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("squareoff")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers, root.level, ours.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        f"value {SECRET} here",
        f"wss://feed.example/?version=2&token={SECRET}xyz&clientId=1",
        f'{{"LoginReq": {{"Token": "{SECRET}"}}}}',
        f"Authorization: Bearer {SECRET}",
        f"Bearer {JWT}",
        "postgresql://user:" + SECRET + "@host/db",
        "token=unknown-token-of-the-feed",
    ],
)
def test_secrets_are_hidden_by_value_and_shape(text: str) -> None:
    """Known secrets, tokens in addresses and messages, JWTs and passwords are all replaced."""
    cleaned = Redactor([SECRET]).clean(text)

    assert SECRET not in cleaned
    assert JWT not in cleaned
    assert "unknown-token" not in cleaned
    assert HIDDEN in cleaned


def test_secrets_are_hidden_by_name_and_in_depth() -> None:
    """A key that names a secret hides its value; lists and tables are searched."""
    event = {"event": "x", "pin": "1234", "nested": {"access_token": "a", "list": [SECRET, 5]}}

    assert Redactor([SECRET])(None, "info", event) == {
        "event": "x", "pin": HIDDEN, "nested": {"access_token": HIDDEN, "list": [HIDDEN, 5]},
    }  # fmt: skip


def test_a_secret_that_came_later_is_hidden_as_well() -> None:
    """A token that was renewed while the engine runs is hidden from then on; short ones are not."""
    redactor = Redactor(["abcdefgh"])
    redactor.add(SECRET)
    redactor.add("75")

    assert redactor.clean(f"{SECRET} abcdefgh 75") == f"{HIDDEN} {HIDDEN} 75"


def test_what_is_no_secret_stays() -> None:
    """Prices, ids and short numbers pass."""
    text = "order sqx-hdqde5aovrkf-001-01 at 1234.50"

    assert Redactor(["1234"]).clean(text) == text


@pytest.mark.usefixtures("_fresh_logging")
def test_logs_are_json_lines_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """Our loggers and those of libraries write one JSON object per line, tracebacks included."""
    configure_logs([SECRET])
    structlog.get_logger("squareoff.x").info("order_sent", client_order_id="a", detail=SECRET)
    structlog.get_logger("squareoff.x").debug("wire")
    logging.getLogger("some.library").info("chatter")
    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError:
        logging.getLogger("some.library").exception("it failed with %s", SECRET)
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.err.splitlines()]

    assert captured.out == ""
    assert [line["event"] for line in lines] == ["order_sent", f"it failed with {HIDDEN}"]
    assert lines[0]["client_order_id"] == "a"
    assert "ValueError" in lines[1]["exception"]
    assert SECRET not in captured.err


def test_times_are_indian_with_their_offset_whatever_the_machine_s_zone() -> None:
    """A log line's time can be laid beside the journal's and the API's."""
    event = in_indian_time(None, "", {"timestamp": 1_789_446_600.123456, "event": "x"})

    assert event["timestamp"].startswith("2026-09-15T10:00:00.123456")
    assert event["timestamp"].endswith("+05:30")
