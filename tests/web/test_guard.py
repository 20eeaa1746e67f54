"""Nothing reaches a route without the right host, token and form; refusals change nothing."""

import http.client
import socket

import pytest

from api_rig import TOKEN, TRAIL_KINDS, ApiRig, position_body
from squareoff.web.errors import SECURITY_HEADERS
from squareoff.web.guard import BODY_BYTES_MAX, allowed_hosts

GOOD = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer{TOKEN}",
     f"Basic {TOKEN}", TOKEN, "Bearer \xff\xfe"],
    ids=["none", "no token", "blank", "longer", "shorter", "case", "basic", "bare", "latin"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v1/trackers"), ("POST", "/api/v1/trackers"), ("GET", "/openapi.json"),
     ("GET", "/api/v1/events"), ("POST", "/api/v1/kill-switch"), ("GET", "/nowhere")],
)  # fmt: skip
def test_without_the_token_nothing_is_told(
    method: str, path: str, authorization: str, rig: ApiRig
) -> None:
    """Missing and wrong tokens get the same answer on every path, known or not."""
    body = position_body() if method == "POST" else None
    answer = rig.call(method, path, body, headers={"Authorization": authorization})

    assert (answer.status, answer.error["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost@x"])
def test_a_foreign_host_is_refused(host: str, rig: ApiRig) -> None:
    """A name that is not this machine's (DNS rebinding) is refused, token or not."""
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    connection.putrequest("GET", "/healthz", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()

    assert status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8700"])
def test_names_of_this_machine_are_let_in(host: str, rig: ApiRig) -> None:
    """Loopback names pass with any port."""
    assert rig.call("GET", "/healthz", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_pages_of_other_sites_are_refused(headers: dict[str, str], rig: ApiRig) -> None:
    """A browser's page from elsewhere cannot call, even with the token."""
    answer = rig.get("/trackers", headers=headers)

    assert (answer.status, answer.error["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_may_call(rig: ApiRig) -> None:
    """A page that this server served has this server's origin."""
    host = f"127.0.0.1:{rig.port}"
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}

    assert rig.get("/trackers", headers=headers).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_change_must_be_json(kind: str, rig: ApiRig) -> None:
    """A body of another type is refused before anyone reads it."""
    head = rig.journal_head()
    answer = rig.post("/trackers", position_body(), headers={"Content-Type": kind})

    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert rig.get(f"/journal?after={head}").json["items"] in ([], _only_reconciliations(rig, head))


def test_a_charset_may_be_named(rig: ApiRig) -> None:
    """`application/json; charset=utf-8` is JSON."""
    headers = {"Content-Type": "application/json; charset=utf-8"}

    assert rig.post("/trackers", position_body(), headers=headers).status == 201


@pytest.mark.parametrize(
    "raw",
    [b"{", b"", b"nonsense", b'{"quantity": 1,}', b"\xff\xfe{}", b'"text', b"[" * 30_000],
    ids=["cut", "empty", "word", "comma", "not utf-8", "open text", "deep"],
)
def test_malformed_json_is_refused(raw: bytes, rig: ApiRig) -> None:
    """What is no JSON gets one clear error and changes nothing."""
    answer = rig.post("/trackers", raw=raw)

    assert answer.status in (400, 422)
    assert answer.error["code"] == ("invalid_request" if raw == b"" else "malformed_json")


def test_a_large_body_is_refused(rig: ApiRig) -> None:
    """A body above the limit is refused, whether its length is told or not."""
    large = b" " * (BODY_BYTES_MAX + 1)
    told = rig.post("/trackers", raw=large)

    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    headers = {**GOOD, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    pieces = iter([large[:1_000]] * 100)
    try:
        connection.request("POST", "/api/v1/trackers", pieces, headers, encode_chunked=True)
        untold = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        untold = 413
    connection.close()

    assert (told.status, told.error["code"]) == (413, "body_too_large")
    assert untold == 413


def test_a_body_that_never_ends_is_given_up(rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that promises a body and sends none does not hold a connection for ever."""
    monkeypatch.setattr("squareoff.web.guard.BODY_SECONDS_MAX", 0.05)
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as line:
        line.sendall(
            b"POST /api/v1/trackers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
            b"Content-Type: application/json\r\n"
            + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        answer = line.recv(4_096).decode()

    assert answer.startswith("HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/nowhere", 404), ("PUT", "/api/v1/trackers", 405),
     ("POST", "/api/v1/trackers", 415), ("GET", "/api/v1/trackers/x", 404)],
)  # fmt: skip
def test_every_answer_carries_the_security_headers(
    method: str, path: str, status: int, rig: ApiRig
) -> None:
    """no-store, nosniff, CSP and the like stand on good answers and on errors."""
    raw = b"x" if status == 415 else None
    answer = rig.call(method, path, raw=raw, headers={"Content-Type": "text/plain"} if raw else {})

    assert answer.status == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers


def test_addresses_and_methods_that_do_not_exist_have_the_one_shape(rig: ApiRig) -> None:
    """404 and 405 are errors like all others; 405 says what is allowed."""
    missing, wrong = rig.get("/nothing"), rig.call("DELETE", "/api/v1/trackers")

    assert (missing.status, missing.error["code"]) == (404, "not_found")
    assert (wrong.status, wrong.error["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"] or "POST" in wrong.headers["allow"]


def test_host_names_are_compared_without_brackets_and_case() -> None:
    """The allow-list holds names as the Host header's name part."""
    assert allowed_hosts(["LocalHost", "[::1]"]) == {"localhost", "::1"}


def test_token_guessing_has_no_shortcut(rig: ApiRig) -> None:
    """The guard compares tokens of any length and alphabet without failing."""
    answers = {rig.get("/status", headers={"Authorization": f"Bearer {guess}"}).status
               for guess in ("", "a", TOKEN * 50, "\u00e9" * 5)}  # fmt: skip

    assert answers == {401}


def _only_reconciliations(rig: ApiRig, head: int) -> list[dict[str, object]]:
    items: list[dict[str, object]] = rig.get(f"/journal?after={head}").json["items"]
    return [fact for fact in items if fact["kind"] in ("books_reconciled", *TRAIL_KINDS)]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_the_token_is_taken_in_any_case(scheme: str, rig: ApiRig) -> None:
    """RFC 9110 11.1: the name of the scheme is not sensitive to case."""
    assert rig.get("/status", headers={"Authorization": f"{scheme} {TOKEN}"}).status == 200
