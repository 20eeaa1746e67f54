"""What comes too often is refused at a glance, by the guard's own counts and never otherwise."""

import http.client
import json
import random
import socket

import pytest

from api_rig import READ_TOKEN, TOKEN, ApiRig
from squareoff.web.admission import Admission, Call
from squareoff.web.errors import SECURITY_HEADERS
from squareoff.web.rate_limits import ApiLimits
from squareoff.web.roles import Role, Tokens
from squareoff.web.turnstile import HEAD_BYTES_MAX, Turnstile, is_incomplete

ADDRESS = "127.0.0.1"
SCARCE = ApiLimits(calls_per_second=0.01, calls_at_once=3, urgent_per_second=1.0)
STATUS = "/api/v1/status"


def head(path: str, token: str = "", *, method: str = "GET", more: str = "") -> bytes:
    """Return the head of a call."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {ADDRESS}\r\n{authorization}{more}\r\n".encode()


def turnstile(limits: ApiLimits = SCARCE) -> tuple[Turnstile, Admission, list[tuple[str, str]]]:
    """Return a turnstile, what it asks, and the list of refusals that it told."""
    told: list[tuple[str, str]] = []
    admission = Admission(Tokens({Role.ADMIN: TOKEN, Role.READ: READ_TOKEN}), {"/healthz"}, limits)
    return Turnstile(admission, lambda code, source: told.append((code, source))), admission, told


def test_it_refuses_exactly_what_the_guard_would_refuse_for_its_number() -> None:
    """Random calls of everybody: each verdict is that of the count that the guard then takes."""
    chance, verdicts = random.Random(7), set[bool]()
    post, admission, told = turnstile(ApiLimits(calls_per_second=2.0, calls_at_once=4))
    now = 0.0
    for _ in range(2_000):
        now += chance.random() / 2
        token, role = chance.choice([(TOKEN, Role.ADMIN), (READ_TOKEN, Role.READ)])
        method, path = chance.choice(
            [("GET", STATUS), ("GET", "/healthz"), ("POST", "/api/v1/kill-switch")]
        )
        refused = post.refusal_of(head(path, token, method=method), ADDRESS, now) is not None
        assert refused is not admission.take(Call(method, path, ADDRESS, role), now)
        verdicts.add(refused)

    assert verdicts == {True, False}
    assert set(told) == {("too_many_calls", ADDRESS)}


def test_a_look_takes_no_call() -> None:
    """However often a head is looked at, the budget stays."""
    post, admission, _ = turnstile()

    assert {post.refusal_of(head(STATUS, TOKEN), ADDRESS, 0.0) for _ in range(50)} == {None}
    assert admission.take(Call("GET", STATUS, ADDRESS, Role.ADMIN), 0.0)


def test_wrong_tokens_are_turned_away_once_enough_are_held_back() -> None:
    """Each wrong token has its turn in the guard while there is room to hold it back."""
    post, admission, _ = turnstile()

    assert post.refusal_of(head(STATUS, "wrong"), ADDRESS, 0.0) is None
    admission.delays.delayed = 16
    assert post.refusal_of(head(STATUS, "wrong"), ADDRESS, 0.0) is not None
    assert post.refusal_of(head(STATUS), ADDRESS, 0.0) is not None
    assert post.refusal_of(head(STATUS, TOKEN), ADDRESS, 0.0) is None
    assert post.refusal_of(head("/healthz"), ADDRESS, 0.0) is None


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (head(STATUS, TOKEN), False),
        (head(STATUS, TOKEN, more="User-Agent: a script\r\n"), False),
        (head(STATUS, TOKEN).replace(b"\r\n", b"\n"), False),
        (head(STATUS, TOKEN, more="Content-Length: 2\r\n") + b"{}", True),
        (head(STATUS, TOKEN, more="Content-Length: 2\r\n"), True),
        (head(STATUS, TOKEN, more="transfer-encoding: chunked\r\n"), True),
        (head(STATUS, TOKEN) * 2, True),
        (head(STATUS, TOKEN, more="Connection: close\r\n"), True),
        (head(STATUS, TOKEN, method="HEAD"), True),
        (head(STATUS, TOKEN).replace(b"HTTP/1.1", b"HTTP/1.0"), True),
    ],
)
def test_a_refusal_is_whole_and_ends_the_line_where_more_than_a_head_came(
    data: bytes, ends: bool
) -> None:
    """The answer has its length and every header; a body that was not read cannot be a call."""
    post, admission, _ = turnstile()
    while admission.take(Call("GET", STATUS, ADDRESS, Role.ADMIN), 0.0):
        pass
    refusal = post.refusal_of(data, ADDRESS, 0.0)
    assert refusal is not None
    lines, _, body = refusal.answer.partition(b"\r\n\r\n")
    first, *headers = lines.decode().split("\r\n")
    named = dict(line.split(": ", 1) for line in headers)

    assert (refusal.ends_connection, first) == (ends, "HTTP/1.1 429 Too Many Requests")
    assert int(named["content-length"]) == len(body)
    assert json.loads(body)["error"]["code"] == "too_many_calls"
    assert {name: named[name.lower()] for name in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    assert ("connection" in named) is ends


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02", b"", head(STATUS), b"x" * HEAD_BYTES_MAX, b"GET / HTTP/1.0\n\n"],
)
def test_what_is_whole_or_no_head_is_not_waited_for(data: bytes) -> None:
    """No HTTP, too much of it, and a whole head go on at once."""
    assert not is_incomplete(data)


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", head(STATUS)[:-1]])
def test_a_head_under_way_is_waited_for(data: bytes) -> None:
    """A part of a head is judged with its rest."""
    assert is_incomplete(data)


@pytest.mark.parametrize("filling", [b" ", b"a", b"\t", b"?", b"\n", b"\r\n "])
def test_no_filling_makes_a_look_go_back_over_its_steps(filling: bytes) -> None:
    """The longest heads are looked at and let on; with a pattern that goes back this takes for
    minutes."""
    post, _, _ = turnstile()
    room = HEAD_BYTES_MAX - 200
    many = filling * (room // len(filling))
    for data in (
        b"GET " + many + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nauthorization:" + many + b"x\r\n\r\n",
        b"GET / HTTP/1.1\r\nuser-agent:" + many,
    ):
        assert is_incomplete(data) is (b"\n\r\n" not in data and b"\n\n" not in data)
        assert post.refusal_of(data, ADDRESS, 0.0) is None


def test_a_kept_connection_goes_on_after_a_refusal() -> None:
    """On one connection: calls until none is left, refusals, and then a halt that is heard."""
    with ApiRig(limits=SCARCE) as rig:
        line = http.client.HTTPConnection(ADDRESS, rig.port, timeout=10)
        good = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        statuses = []
        for _ in range(6):
            line.request("GET", STATUS, headers=good)
            answer = line.getresponse()
            answer.read()
            statuses.append(answer.status)
        body = json.dumps({"active": True, "reason": "halt in a flood"})
        line.request("POST", "/api/v1/kill-switch", body, headers=good)
        halted = line.getresponse()
        halted.read()
        line.close()

    assert statuses == [200, 200, 200, 429, 429, 429]
    assert halted.status == 200


def test_a_head_that_comes_in_pieces_is_judged_as_a_whole() -> None:
    """Cut anywhere, with a pause in between, a call is refused or answered as if it came whole."""
    with ApiRig(limits=SCARCE) as rig:
        for cut, status in ((1, b"200"), (30, b"200"), (60, b"200"), (1, b"429"), (70, b"429")):
            data = head(STATUS, TOKEN, more="Connection: close\r\n")
            with socket.create_connection((ADDRESS, rig.port), timeout=10) as line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.sendall(data[:cut])
                rig.get(
                    "/openapi.json", headers={"Authorization": "Bearer x"}
                )  # a turn of the loop
                line.sendall(data[cut:])
                answer = b""
                while part := line.recv(65_536):
                    answer += part
            assert answer.split()[1] == status, (cut, answer)
