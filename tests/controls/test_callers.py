"""Who may call and do what: controls T2 to T5 and T7 of docs/security.md, on a real socket."""

import socket
from collections.abc import Iterator

import pytest

from api_rig import OPERATE_TOKEN, READ_TOKEN, TOKEN, TRAIL_KINDS, ApiRig, position_body
from squareoff.web.api_token import TOKEN_BYTES
from squareoff.web.roles import CHANGING_METHODS, ROLE_OF_CHANGE, Role, Tokens, role_of_call

TOKEN_OF_ROLE = {Role.READ: READ_TOKEN, Role.OPERATE: OPERATE_TOKEN, Role.ADMIN: TOKEN}


def effects(rig: ApiRig, head: int) -> list[str]:
    """Return the kinds of the facts after `head` that changed something."""
    quiet = {"books_reconciled", *TRAIL_KINDS}
    items = rig.get(f"/journal?after={head}").json["items"]
    return [fact["kind"] for fact in items if fact["kind"] not in quiet]


def spoken(rig: ApiRig, request: bytes) -> str:
    """Say these bytes on a socket and return the first of what is answered."""
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as line:
        line.sendall(request)
        return line.recv(65_536).decode("latin-1")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8700", "10.0.0.5", "localhost.evil"]
)
def test_t02_a_foreign_host_name_has_no_effect(host: str, rig: ApiRig) -> None:
    """A name that a rebinding DNS points here is refused, with the right token too."""
    head = rig.journal_head()
    answer = rig.post("/trackers", position_body(), headers={"Host": host})

    assert (answer.status, answer.error["code"]) == (421, "host_refused")
    assert effects(rig, head) == []


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"reason=x"),
        ("POST", {"Content-Type": "text/plain"}, b'{"reason": "x"}'),
        ("POST", {"Origin": "https://evil.example"}, b'{"reason": "x"}'),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, b'{"reason": "x"}'),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, b""),
        ("OPTIONS", {"Origin": "https://evil.example",
                     "Access-Control-Request-Method": "POST"}, b""),
    ],
    ids=["form", "plain text", "fetch", "fetch metadata", "image", "preflight"],
)  # fmt: skip
def test_t03_another_site_changes_nothing(
    method: str, headers: dict[str, str], body: bytes, rig: ApiRig
) -> None:
    """What a page of another site can make a browser send has no effect, and no CORS lets it."""
    mine, head = rig.track(), rig.journal_head()
    answer = rig.call(method, "/api/v1/exit-all", raw=body, headers=headers)

    assert answer.status in (403, 415)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert effects(rig, head) == []
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


def test_t03_the_bearer_header_is_the_header_of_its_own(rig: ApiRig) -> None:
    """A browser adds no Authorization by itself: without it nothing is changed, in any way."""
    head = rig.journal_head()
    statuses = {
        rig.post("/exit-all", {"reason": "x"}, headers=headers).status
        for headers in (
            {"Authorization": ""},
            {"Authorization": "", "Cookie": f"token={TOKEN}"},
        )
    }
    by_address = rig.call(
        "POST", f"/api/v1/exit-all?token={TOKEN}", {"reason": "x"}, headers={"Authorization": ""}
    )

    assert statuses | {by_address.status} == {401}
    assert effects(rig, head) == []


def test_t03_no_get_changes_anything(rig: ApiRig) -> None:
    """Every route that only reads leaves the journal without a new effect."""
    mine, head = rig.track(), rig.journal_head()
    for path in _read_paths(rig):
        rig.call("GET", path.format(tracker_id=mine))

    assert effects(rig, head) == []


def _read_paths(rig: ApiRig) -> Iterator[str]:
    for path, calls in rig.call("GET", "/openapi.json").json["paths"].items():
        if "get" in calls and not path.endswith("/events"):
            yield path


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Origin: https://evil.example", 403),
        ("Accept: text/html", 401),
        (f"Authorization: Bearer {TOKEN}", 200),
    ],
    ids=["another site", "no token", "a token"],
)
def test_t04_there_is_no_socket_to_open(header: str, status: int, rig: ApiRig) -> None:
    """The dashboard needs no WebSocket, so none is served: an upgrade is a plain GET or nothing."""
    asked = (
        f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{header}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    assert spoken(rig, asked.encode()).startswith(f"HTTP/1.1 {status} ")


def test_t05_of_a_token_only_its_hash_is_kept() -> None:
    """A token is 256 bits of chance, and the running API holds none in plain text."""
    tokens = Tokens(TOKEN_OF_ROLE)
    held = repr([getattr(tokens, name) for name in vars(tokens)])

    assert TOKEN_BYTES * 8 >= 256
    assert not [token for token in TOKEN_OF_ROLE.values() if token in held]
    assert tokens.role_of(f"Bearer {READ_TOKEN}") is Role.READ


OF_ADMIN = {
    ("POST", "/api/v1/entries"),
    ("POST", "/api/v1/trackers/{tracker_id}/withdraw"),
    ("POST", "/api/v1/trackers/{tracker_id}/untrack"),
    ("POST", "/api/v1/trackers/{tracker_id}/resolve-over-exit"),
}
"""What lets out, lets go or opens; written down a second time, because it is the promise."""


def _role_by_the_promise(method: str, path: str) -> Role:
    if method not in CHANGING_METHODS:
        return Role.READ
    return Role.ADMIN if (method, path) in OF_ADMIN else Role.OPERATE


def _calls(rig: ApiRig) -> list[tuple[str, str]]:
    document = rig.call("GET", "/openapi.json").json
    return [
        (method.upper(), path)
        for path, calls in document["paths"].items()
        for method in calls
        if path.startswith("/api/") and not path.endswith("/events")
    ]


def test_t07_the_matrix_of_roles_and_calls(rig: ApiRig) -> None:
    """Every call of the API lets a role in exactly where docs/security.md says so."""
    seen = {}
    for method, template in _calls(rig):
        path = template.format(tracker_id="nobody", alarm_id=2**50)
        for role, token in TOKEN_OF_ROLE.items():
            body = {} if method in CHANGING_METHODS else None
            headers = {"Authorization": f"Bearer {token}"}
            answer = rig.call(method, path, body, headers=headers)
            seen[method, template, role] = answer.status != 403

    expected = {
        (method, template, role): role.covers(_role_by_the_promise(method, template))
        for method, template, role in seen
    }
    assert seen == expected
    assert set(ROLE_OF_CHANGE) == {
        (method, path) for method, path, _ in seen if method in CHANGING_METHODS
    }


def test_t07_an_unlisted_change_needs_admin() -> None:
    """A route that somebody adds and forgets in the table is closed to the lower roles."""
    assert role_of_call("POST", "/api/v1/something-new") is Role.ADMIN
    assert role_of_call("GET", "/api/v1/something-new") is Role.READ


def test_t07_operate_may_halt_but_not_resume(rig: ApiRig) -> None:
    """Whoever operates may hold back more, never less; admin lifts it again."""
    operate = {"Authorization": f"Bearer {OPERATE_TOKEN}"}
    steps = [
        ({"active": True, "level": "new", "reason": "halt"}, operate, 200),
        ({"active": True, "level": "all", "reason": "halt more"}, operate, 200),
        ({"active": True, "level": "new", "reason": "halt less"}, operate, 403),
        ({"active": False, "reason": "resume"}, operate, 403),
        ({"active": False, "reason": "resume"}, {}, 200),
    ]

    assert [rig.post("/kill-switch", body, headers=who).status for body, who, _ in steps] == [
        status for _, _, status in steps
    ]


def test_t07_operate_may_tighten_but_not_loosen(rig: ApiRig) -> None:
    """A stop may come nearer by the role operate; farther away it needs admin."""
    operate = {"Authorization": f"Bearer {OPERATE_TOKEN}"}
    mine = rig.track(rules={"stop_loss": {"price": "140.00"}})
    nearer = rig.patch(
        f"/trackers/{mine}", {"rules": {"stop_loss": {"price": "145.00"}}}, headers=operate
    )
    farther = rig.patch(
        f"/trackers/{mine}", {"rules": {"stop_loss": {"price": "141.00"}}}, headers=operate
    )
    none = rig.patch(f"/trackers/{mine}", {"rules": {}}, headers=operate)

    assert (nearer.status, farther.status, none.status) == (200, 403, 403)
    assert farther.error["details"]["field"] == "rules.stop_loss"
    assert rig.get(f"/trackers/{mine}").json["rules"] == {"stop_loss": {"price": "145.00"}}
