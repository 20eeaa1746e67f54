"""Which failure proves what: table of dhanhq-v2.md 1.6, 9.2, 9.3."""

import json

import pytest

from squareoff.adapters.broker.dhan.errors import (
    CallSite,
    Fault,
    error_from_response,
    error_from_transport,
    read_fault,
)
from squareoff.adapters.broker.dhan.transport import HttpResponse, NoAnswer, NotSent
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUnreachable,
    Sent,
)

WRITE = CallSite("place order sqx-1", is_write=True)
READ = CallSite("read positions", is_write=False)
HTML = b"<html><body>502 Bad Gateway</body></html>"


def refusal(code, text, kind="Order_Error"):
    return json.dumps({"errorType": kind, "errorCode": code, "errorMessage": text}).encode()


def data_refusal(code, text):
    return json.dumps({"status": "failed", "data": {code: text}}).encode()


TABLE = [
    # name, status, body, class for a write, code
    ("401 with DH-901", 401, refusal("DH-901", "expired"), BrokerSessionExpired, "DH-901"),
    ("401 with HTML", 401, HTML, BrokerSessionExpired, ""),
    ("401 empty", 401, b"", BrokerSessionExpired, ""),
    ("DH-901 under 400", 400, refusal("DH-901", "bad token"), BrokerSessionExpired, "DH-901"),
    ("Invalid Token", 400, refusal("DH-906", "Invalid Token"), BrokerSessionExpired, "DH-906"),
    (
        "invalid token, other code",
        400,
        refusal("DH-910", "invalid TOKEN"),
        BrokerSessionExpired,
        "DH-910",
    ),
    ("807", 400, data_refusal("807", "expired"), BrokerSessionExpired, "807"),
    ("809", 403, data_refusal("809", "invalid"), BrokerSessionExpired, "809"),
    ("no access, 902", 401, refusal("DH-902", "no Data APIs"), BrokerRejected, "DH-902"),
    ("no access, 903", 401, refusal("DH-903", "segment"), BrokerRejected, "DH-903"),
    ("no access, 806", 401, data_refusal("806", "not subscribed"), BrokerRejected, "806"),
    ("no access, 902 under 403", 403, refusal("DH-902", "no"), BrokerRejected, "DH-902"),
    ("902 of a bad token", 401, refusal("DH-902", "Invalid Token"), BrokerSessionExpired, "DH-902"),
    ("token dead under 200", 200, refusal("DH-901", "expired"), BrokerSessionExpired, "DH-901"),
    ("static address", 400, refusal("DH-905", "Invalid IP"), BrokerRejected, "static_ip"),
    ("static address, 911", 403, refusal("DH-911", "not allowed"), BrokerRejected, "static_ip"),
    ("rate", 429, refusal("DH-904", "Too many requests"), BrokerRateLimited, "DH-904"),
    ("data rate", 429, data_refusal("805", "Too many"), BrokerOutcomeUnknown, "805"),
    ("429 with HTML", 429, HTML, BrokerOutcomeUnknown, ""),
    ("429 empty", 429, b"", BrokerOutcomeUnknown, ""),
    ("429 other code", 429, refusal("RL001", "slow down"), BrokerOutcomeUnknown, "RL001"),
    ("bad parameters", 400, refusal("DH-905", "Missing"), BrokerRejected, "DH-905"),
    ("order error 404", 404, refusal("DH-906", "incorrect"), BrokerRejected, "DH-906"),
    (
        "gateway 404",
        404,
        b'{"timestamp":1,"status":404,"error":"Not Found","path":"/x"}',
        BrokerOutcomeUnknown,
        "",
    ),
    ("403 HTML", 403, HTML, BrokerOutcomeUnknown, ""),
    ("DH-908 under 400", 400, refusal("DH-908", "internal"), BrokerOutcomeUnknown, "DH-908"),
    ("DH-909 under 404", 404, refusal("DH-909", "network"), BrokerOutcomeUnknown, "DH-909"),
    ("DH-910 under 400", 400, refusal("DH-910", "other"), BrokerOutcomeUnknown, "DH-910"),
    (
        "400 without a code",
        400,
        b'[{"status":"ERROR","message":"x"}]',
        BrokerOutcomeUnknown,
        "",
    ),
    ("800 under 400", 400, data_refusal("800", "internal"), BrokerOutcomeUnknown, "800"),
    ("408", 408, refusal("DH-905", "Timeout"), BrokerOutcomeUnknown, "DH-905"),
    ("500 DH-908", 500, refusal("DH-908", "internal"), BrokerOutcomeUnknown, "DH-908"),
    ("500 DH-906", 500, refusal("DH-906", "closed"), BrokerOutcomeUnknown, "DH-906"),
    ("500 DH-904", 500, refusal("DH-904", "rate"), BrokerOutcomeUnknown, "DH-904"),
    ("502 HTML", 502, HTML, BrokerOutcomeUnknown, ""),
    ("504 empty", 504, b"", BrokerOutcomeUnknown, ""),
    ("redirect", 307, b"", BrokerProtocolError, ""),
    ("200 without id", 200, b"{}", BrokerProtocolError, ""),
    ("200 cut off", 200, b'{"orderId":"95', BrokerProtocolError, ""),
    ("200 error text", 200, refusal("DH-906", "odd"), BrokerProtocolError, "DH-906"),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_answers_of_a_write_are_classified(status, body, kind, code):
    """Only the broker's own word or a 401 makes a failed write one that did not happen."""
    error = error_from_response(WRITE, HttpResponse(status, {}, body), "secret")

    assert type(error) is kind
    assert (error.code, error.http_status) == (code, status)
    assert WRITE.what in str(error)


def test_a_write_is_never_proved_unsent_by_a_server_fault():
    """No 5xx and no redirect, whatever its text, says that an order was not taken."""
    bodies = (
        b"",
        HTML,
        refusal("DH-905", "Missing"),
        refusal("DH-904", "rate"),
        refusal("DH-906", "Invalid Token"),
        refusal("DH-901", "expired"),
        data_refusal("807", "expired"),
    )
    for status in (307, *range(500, 600)):
        for body in bodies:
            error = error_from_response(WRITE, HttpResponse(status, {}, body), "secret")
            assert error.sent is Sent.MAYBE


def test_a_dead_token_is_known_by_a_read_under_any_status():
    """A read has no effect, so the words of a dead token count under a 5xx too."""
    for status in (307, 400, 500, 503):
        response = HttpResponse(status, {}, refusal("DH-906", "Invalid Token"))

        assert type(error_from_response(READ, response, "secret")) is BrokerSessionExpired


def test_a_read_is_not_judged_by_what_it_might_have_done():
    """The codes that leave a write open refuse a read as any other code does."""
    for status, code in ((400, "DH-908"), (400, "DH-910"), (408, "DH-905")):
        error = error_from_response(READ, HttpResponse(status, {}, refusal(code, "x")), "secret")

        assert type(error) is BrokerRejected


def test_a_read_that_hits_429_is_told_to_wait():
    """A read has no effect, so any 429 means no more than: later."""
    bodies = (
        HTML,
        b"",
        data_refusal("805", "Too many"),
        refusal("DH-904", "Too many"),
        b'{"status":"failure","errorType":"Rate_Limit","errorCode":"RL001","errorMessage":"x"}',
        b'{"status":"ERROR","message":"Too many requests"}',
    )
    for body in bodies:
        error = error_from_response(READ, HttpResponse(429, {}, body), "secret")

        assert type(error) is BrokerRateLimited


def test_transport_failures_keep_their_proof():
    """A proved non-sending is sent = NO, everything else is MAYBE."""
    unsent = error_from_transport(WRITE, NotSent("POST /orders: refused"))
    unknown = error_from_transport(WRITE, NoAnswer("POST /orders: timed out"))

    assert type(unsent) is BrokerUnreachable
    assert type(unknown) is BrokerOutcomeUnknown


def test_the_token_is_blotted_out_of_whatever_the_broker_echoes():
    """An answer that repeats the token leaves no trace of it in the error."""
    for status, body in (
        (400, refusal("DH-905", "bad secret-1 here")),
        (502, b"x secret-1 y"),
        (200, b"secret-1" * 5_000),
        (401, b"token secret-1"),
    ):
        error = error_from_response(WRITE, HttpResponse(status, {}, body), "secret-1")
        assert "secret-1" not in str(error) + error.text + repr(error)


def test_odd_error_bodies_are_read_or_passed_over():
    """Each shape of dhanhq-v2.md 9.2 is known; what is no error body of the broker is None."""
    internal = b'{"errorCode":"DH-908","httpStatus":"500","internalErrorMessage":"boom"}'

    assert read_fault(internal).text == "boom"
    assert read_fault(data_refusal("806", "not subscribed")).code == "806"
    assert read_fault(b"[" + refusal("DH-905", "bad") + b"]") == Fault("DH-905", "bad")
    assert read_fault(b'[{"message":"Failed","status":"ERROR"}]') == Fault("", "Failed")
    assert read_fault(b'{"status":"error"}') == Fault("", "")
    for body in (
        b"",
        b"[]",
        b"null",
        HTML,
        b'{"status":"failed"}',
        b'[{"status":"ERROR"},{"status":"ERROR"}]',
        b'[{"orderStatus":"PENDING"}]',
        b'{"status":"failed","data":{"NSE_EQ":{}}}',
        b"\xff\xfe",
        b"[" * 50_000,
    ):
        assert read_fault(body) is None
