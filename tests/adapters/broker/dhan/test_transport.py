"""The seam's values keep secrets out of sight."""

from squareoff.adapters.broker.dhan.transport import HttpRequest


def test_a_request_does_not_show_its_headers_or_query():
    """The repr of a request holds neither headers nor query, which carry the token."""
    request = HttpRequest("GET", "/profile", {"token": "canary"}, {"access-token": "canary"})

    assert "canary" not in repr(request)
