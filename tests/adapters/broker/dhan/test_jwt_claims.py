"""What a token claims, read without trust."""

import base64
import json

import pytest

from squareoff.adapters.broker.dhan.jwt_claims import claims_of, expires_ns_of, is_renewable


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzUxMiJ9.{payload}.c2lnbmF0dXJl"


def test_the_end_and_the_kind_are_read() -> None:
    """`exp` is seconds since 1970; tokens that the API made are not renewable."""
    token = jwt(exp=1_789_529_700, tokenConsumerType="SELF", dhanClientId="1100000001")

    assert expires_ns_of(token) == 1_789_529_700 * 10**9
    assert is_renewable(token)
    assert not is_renewable(jwt(tokenConsumerType="APP"))


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b", "a.b.c", "a.!!!.c", f"a.{base64.b64encode(b'[1]').decode()}.c", "é.é.é"],
)
def test_what_is_no_jwt_claims_nothing(token: str) -> None:
    """A token that cannot be read has no known end and may be renewable."""
    assert claims_of(token) == {}
    assert expires_ns_of(token) is None
    assert is_renewable(token)


@pytest.mark.parametrize("expiry", [None, "tomorrow", True, -5, 0, 10**18, 1e300])
def test_an_absurd_end_is_none(expiry: object) -> None:
    """Only a plausible number of seconds is an end."""
    assert expires_ns_of(jwt(exp=expiry)) is None
