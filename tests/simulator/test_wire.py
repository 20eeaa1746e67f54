"""The wire's outer shapes."""

import json
from decimal import Decimal

import pytest

from squareoff.simulator.wire import (
    WireRefusal,
    body_fields,
    clock_text,
    date_text,
    day_first_text,
    decode_object,
    encode_json,
    gateway_not_found,
    ist_clock_as_epoch,
    profile_text,
    refusal,
)

MOMENT = 1_781_065_197 * 10**9


def test_times_are_indian_wall_clocks() -> None:
    """Every text shows IST, UTC only where the sandbox is imitated; never is a sentinel."""
    assert clock_text(MOMENT) == "2026-06-10 09:49:57"
    assert clock_text(MOMENT, in_utc=True) == "2026-06-10 04:19:57"
    assert clock_text(None) == "0001-01-01 00:00:00"
    assert day_first_text(MOMENT) == "10/06/2026 09:49:57"
    assert day_first_text(None) == "01/01/1980 00:00:00"
    assert profile_text(MOMENT) == "10/06/2026 09:49"
    assert date_text(MOMENT) == "2026-06-10"


def test_last_trade_time_is_ist_stored_as_epoch() -> None:
    """The feed's raw time is the one of the sheet: UTC epoch plus 19800."""
    assert ist_clock_as_epoch(MOMENT) == 1_781_084_997


def test_json_keeps_decimals_short() -> None:
    """A decimal becomes a JSON number without float noise."""
    assert encode_json({"price": Decimal("152.35")}) == b'{"price":152.35}'


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000], ids=len
)
def test_a_body_must_be_an_object(body: bytes) -> None:
    """Anything but a JSON object is DH-905, and carries no fields."""
    with pytest.raises(WireRefusal) as caught:
        decode_object(body)

    assert b"DH-905" in caught.value.response.body
    assert body_fields(body) == {}


def test_error_shapes() -> None:
    """Refusals have three fields; a wrong path has the gateway's own shape."""
    assert refusal(429, "DH-904", "slow").response.body == (
        b'{"errorType":"Rate_Limit","errorCode":"DH-904","errorMessage":"slow"}'
    )
    not_found = gateway_not_found("/v2/x", MOMENT).body
    assert json.loads(not_found) == {
        "timestamp": "2026-06-10 09:49:57", "status": 404, "error": "Not Found", "path": "/v2/x",
    }  # fmt: skip
