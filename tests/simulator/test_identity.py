"""Tokens and whose they are."""

import base64
import json

from squareoff.simulator.identity import Identity
from squareoff.simulator.wire import WireRequest


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_open_door_takes_any_token_but_none() -> None:
    """Without credentials any token is good; a missing or killed one is not."""
    identity = Identity({})
    identity.kill("dead")

    assert identity.client_of("11", "anything") == "11"
    assert identity.client_of("", jwt(dhanClientId="12")) == "12"
    assert identity.client_of("11", "") is None
    assert identity.client_of("11", "dead") is None


def test_credentials_bind_tokens_to_clients() -> None:
    """With credentials only their tokens are good, and only for their client."""
    identity = Identity({"a": "11", "b": "12"})

    assert identity.client_ids() == ["11", "12"]
    assert identity.client_of("", "a") == "11"
    assert identity.client_of("12", "a") is None
    assert identity.client_of("11", "c") is None


def test_client_is_read_from_headers_or_body() -> None:
    """A request names its client in a header or in its body."""
    identity = Identity({})
    by_header = WireRequest("GET", "/", headers={"access-token": "t", "client-id": "11"})
    by_body = WireRequest(
        "POST", "/", headers={"access-token": "t"}, body=b'{"dhanClientId": "12"}'
    )

    assert identity.client_of_request(by_header) == "11"
    assert identity.client_of_request(by_body) == "12"
    assert identity.client_of_request(WireRequest("GET", "/")) is None


def test_life_of_a_token() -> None:
    """A token ends by its own claim or by its age; a renewed one replaces it."""
    identity = Identity({"a": "11"})
    assert identity.expires_ns(jwt(exp=5), 24, 0) == 5 * 10**9
    assert identity.expires_ns("a", 1, 7) == 3_600 * 10**9 + 7
    assert identity.expires_ns("a", 1, 99) == 3_600 * 10**9 + 7

    fresh = identity.renew("a", "11", 10, 24)

    assert identity.is_dead("a") and identity.is_renewable(fresh)
    assert identity.expires_ns(fresh, 1, 99) == 24 * 3_600 * 10**9
    assert identity.client_of("", "a") is None
    assert identity.client_of("", fresh) == "11"
    identity.kill_all()
    assert identity.client_of("", fresh) is None


def test_a_login_kills_every_other_token_of_the_client_and_only_theirs() -> None:
    """One live token per client; those made by a login are not renewable and not made too often."""
    identity = Identity({"a": "11", "b": "12"})
    assert identity.may_log_in("11", 120, 0)

    fresh = identity.mint("11", 0, 24)

    assert identity.client_of("", "a") is None
    assert identity.client_of("", "b") == "12"
    assert identity.client_of("11", fresh) == "11"
    assert not identity.is_renewable(fresh)
    assert not identity.may_log_in("11", 120, 119 * 10**9)
    assert identity.may_log_in("11", 120, 120 * 10**9)
    assert identity.may_log_in("12", 120, 1)
