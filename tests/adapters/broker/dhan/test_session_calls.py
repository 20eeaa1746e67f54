"""The calls about the token and the address: what they send, read, and never tell."""

import asyncio
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.session_calls import IssuedToken, SessionCalls, read_address
from squareoff.adapters.broker.dhan.transport import NoAnswer, NotSent
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUnreachable,
    Sent,
)

OLD, NEW = "canary-old-token.aaaaaaaa.bbbb", "canary-new-token.cccccccc.dddd"
PIN, CODE = "481516", "287082"
ISSUED = {"accessToken": NEW, "expiryTime": "2026-09-16T09:05:11.000"}


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_a_renewal_is_a_get_with_both_headers(fakes: Any) -> None:
    """RenewToken is GET with the token and the client id as headers; the end is IST."""
    http = fakes.http(fakes.answer(200, ISSUED))

    issued = run(SessionCalls(fakes.account, http).renew(OLD))

    request = http.requests[0]
    assert (request.method, request.path, request.body) == ("GET", "/RenewToken", None)
    assert request.headers["access-token"] == OLD
    assert request.headers["dhanClientId"] == fakes.account
    assert issued == IssuedToken(NEW, 1_789_529_711_000_000_000)


def test_a_login_goes_to_its_own_host(fakes: Any) -> None:
    """PIN and code are in the query of a POST to the login's host, no token with it."""
    rest, auth = fakes.http(), fakes.http(fakes.answer(200, ISSUED))

    issued = run(SessionCalls(fakes.account, rest, auth).log_in(PIN, CODE))

    request = auth.requests[0]
    assert (request.method, request.path) == ("POST", "/app/generateAccessToken")
    assert dict(request.query) == {"dhanClientId": fakes.account, "pin": PIN, "totp": CODE}
    assert "access-token" not in request.headers
    assert issued.token == NEW
    assert rest.requests == []


def test_an_end_that_is_not_told_is_the_tokens_own(fakes: Any) -> None:
    """Without a readable `expiryTime` the token's claim counts; an opaque token has none."""
    http = fakes.http(fakes.answer(200, {"accessToken": NEW}))

    assert run(SessionCalls(fakes.account, http).renew(OLD)).expires_ns is None


END = "2026-09-16T09:05:11.000"
SHAPES = {
    "documented": {"dhanClientId": "1100000001", "accessToken": NEW, "expiryTime": END},
    "token": {"dhanClientId": "1100000001", "token": NEW, "expiryTime": END},
    "access_token": {"access_token": NEW, "expiryTime": END},
    "inside data": {"status": "success", "data": {"token": NEW, "expiryTime": END}},
    "array of one": [{"accessToken": NEW, "expiryTime": END}],
    "data is an array of one": {"data": [{"token": NEW, "expiryTime": END}]},
    "first name empty": {"accessToken": "", "token": NEW, "expiryTime": END},
    "first name null": {"accessToken": None, "token": NEW, "expiryTime": END},
    "first name a sentence": {"accessToken": "see below", "token": NEW, "expiryTime": END},
    "the old one beside": {"accessToken": OLD, "token": NEW, "expiryTime": END},
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_new_token_is_found_wherever_it_stands(fakes: Any, name: str) -> None:
    """The old token is dead once RenewToken has answered, so no shape may lose the new one."""
    http = fakes.http(fakes.answer(200, SHAPES[name]))

    issued = run(SessionCalls(fakes.account, http).renew(OLD))

    assert issued == IssuedToken(NEW, 1_789_529_711_000_000_000)


REFUSALS = {
    "dead": (401, {"errorCode": "DH-901", "errorMessage": "expired"}, BrokerSessionExpired),
    "Invalid Token": (
        400,
        {"errorCode": "DH-906", "errorMessage": "Invalid Token"},
        BrokerSessionExpired,
    ),
    "not renewable": (400, {"errorCode": "DH-905", "errorMessage": f"not {OLD}"}, BrokerRejected),
    "error as 200": (200, {"status": "error", "message": f"no {NEW}"}, BrokerRejected),
    "page": (502, b"<html>" + NEW.encode() + b"</html>", BrokerOutcomeUnknown),
    "token elsewhere": (200, {"detail": {"accessToken": NEW}}, BrokerProtocolError),
    "the old token": (200, {"token": OLD}, BrokerProtocolError),
    "token that is none": (200, {"accessToken": "two words"}, BrokerProtocolError),
    "no JSON": (200, b"ok", BrokerProtocolError),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_classed_and_tells_no_token(fakes: Any, name: str) -> None:
    """No error of a renewal holds the old token or a new one, wherever they stood."""
    status, body, kind = REFUSALS[name]
    http = fakes.http(fakes.answer(status, body))

    with pytest.raises(kind) as caught:
        run(SessionCalls(fakes.account, http).renew(OLD))

    error = caught.value
    told = f"{error!r} {error} {error.text} {error.__cause__!r} {error.__context__!r}"
    assert type(error) is kind
    assert "canary" not in told


@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (NotSent("no line"), BrokerUnreachable, Sent.NO),
        (NoAnswer("reset"), BrokerOutcomeUnknown, Sent.MAYBE),
    ],
)
def test_a_login_without_an_answer_may_have_made_a_token(
    fakes: Any, failure: Exception, kind: type[Exception], sent: Sent
) -> None:
    """What did not leave made none; what was not answered may have killed the old one."""
    with pytest.raises(kind) as caught:
        run(SessionCalls(fakes.account, fakes.http(), fakes.http(failure)).log_in(PIN, CODE))

    assert caught.value.sent is sent  # type: ignore[attr-defined]
    assert PIN not in str(caught.value) and CODE not in str(caught.value)


def test_a_refused_login_tells_the_brokers_words_only(fakes: Any) -> None:
    """The PIN and the code are blotted out, even where the broker repeats them."""
    text = f"Invalid TOTP {CODE} for pin {PIN}"
    auth = fakes.http(fakes.answer(200, {"status": "error", "message": text}))

    with pytest.raises(BrokerRejected, match="Invalid TOTP") as caught:
        run(SessionCalls(fakes.account, fakes.http(), auth).log_in(PIN, CODE))

    assert PIN not in str(caught.value) and CODE not in str(caught.value)
    assert NEW not in repr(IssuedToken(NEW, None))


ADDRESSES = {
    # name: (row, orders allowed, detected)
    "observed": (
        {"primaryIP": "1.2.3.4", "detectedIP": "5.6.7.8", "ordersAllowed": False},
        False,
        "5.6.7.8",
    ),
    "as text": ({"primaryIP": "1.2.3.4", "ordersAllowed": "true"}, True, ""),
    "match word": ({"primaryIP": "1.2.3.4", "ipMatchStatus": "MISMATCH"}, False, ""),
    "documented": ({"primaryIP": "1.2.3.4", "secondaryIP": ""}, None, ""),
    "none set": ({"primaryIP": "NA", "secondaryIP": None}, False, ""),
    "strange word": ({"primaryIP": "1.2.3.4", "ipMatchStatus": "PENDING"}, None, ""),
    "nothing of addresses": ({"status": "success", "message": "done"}, None, ""),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_shapes_of_the_address_answer(name: str) -> None:
    """Only the broker's plain word allows or refuses; without any address nothing is taken."""
    row, allowed, detected = ADDRESSES[name]

    state = read_address(row)

    assert (state.orders_allowed, state.detected) == (allowed, detected)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"errorCode": "DH-906", "errorMessage": "Invalid Token"}),
        (200, {"status": "error", "message": "Invalid Token"}),
        (200, [{"errorCode": "DH-901", "errorMessage": "expired"}]),
        (400, {"errorCode": "DH-906", "errorMessage": "Invalid Token"}),
    ],
)
@pytest.mark.parametrize("call", ["profile", "address", "renew"])
def test_a_dead_token_is_known_under_any_status(
    fakes: Any, call: str, status: int, body: Any
) -> None:
    """The question whether a token lives is answered by the broker's words, HTTP 200 or not."""
    calls = SessionCalls(fakes.account, fakes.http(fakes.answer(status, body)))

    with pytest.raises(BrokerSessionExpired):
        run(getattr(calls, call)(OLD))


WRAPPINGS = {
    "array of one": lambda row: [row],
    "data": lambda row: {"status": "success", "data": row},
    "data is an array of one": lambda row: {"data": [row]},
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_an_answer_is_read_however_it_is_wrapped(fakes: Any, name: str) -> None:
    """A token that lives is known to, or nothing would leave after one false refusal; and an
    address that is registered is no reason to call a person."""
    wrapped = WRAPPINGS[name]
    profile = wrapped({"dhanClientId": "1100000001", "tokenValidity": "16/09/2026 09:05"})
    address = wrapped({"primaryIP": "1.2.3.4", "secondaryIP": None})
    http = fakes.http(fakes.answer(200, profile), fakes.answer(200, address))
    calls = SessionCalls(fakes.account, http)

    assert run(calls.profile(OLD)).token_expires_ns == 1_789_529_700_000_000_000
    state = run(calls.address(OLD))
    assert (state.orders_allowed, state.registered) == (None, ("1.2.3.4",))


def test_an_error_that_comes_as_success_is_an_error(fakes: Any) -> None:
    """getIP was seen to fail with HTTP 200 and an array."""
    body = [{"message": "Failed to fetch IP", "status": "ERROR"}]

    with pytest.raises(BrokerRejected, match="Failed to fetch IP"):
        run(SessionCalls(fakes.account, fakes.http(fakes.answer(200, body))).address(OLD))
