"""What a standby answers to those who watch it and to those who took it for the engine."""

import asyncio
from collections.abc import Mapping

from fastapi import FastAPI
from starlette.types import Message

from squareoff.core.session.lease import AccountOwner, OwnerClaim
from squareoff.domain.time import iso_from_ns
from squareoff.web.roles import Role
from squareoff.web.standby_app import StandbyPost, create_standby_app

TOKEN = "token-of-the-standby-under-test"
SINCE_NS = 1_787_000_000_000_000_000
OWNER = AccountOwner(4, OwnerClaim("one", 7, "", "1.0", "abc", 5.0), True, False, 0, 0, 0)


def ask(
    app: FastAPI, method: str, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Make one call in-process; return status and body."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    given = {"host": "127.0.0.1", "content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700),
    }
    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in said)
    return said[0]["status"], body.decode()


def test_a_standby_lives_and_is_not_ready() -> None:
    """/healthz says yes; /readyz says 503, and for whom it stands by. Neither needs a token."""
    post = StandbyPost(SINCE_NS)
    app = create_standby_app(post, tokens={Role.ADMIN: TOKEN}, host="127.0.0.1")

    assert ask(app, "GET", "/healthz") == (200, '{"ok":true}')
    assert ask(app, "GET", "/readyz")[0] == 503
    post.note_owner(OWNER)
    assert "standing by for process 7 on one" in ask(app, "GET", "/readyz")[1]
    post.note_owner(None)
    assert "just starting" in ask(app, "GET", "/readyz")[1]


def test_everything_else_is_sent_to_the_owner() -> None:
    """A caller with the token hears who owns the account; one without hears nothing."""
    post = StandbyPost(SINCE_NS)
    post.note_owner(OWNER)
    app = create_standby_app(post, tokens={Role.ADMIN: TOKEN}, host="127.0.0.1")
    token = {"authorization": f"Bearer {TOKEN}"}

    for method, path in (("GET", "/api/v1/status"), ("POST", "/api/v1/exit-all")):
        status, body = ask(app, method, path, token)
        assert (status, '"code":"standby"' in body) == (503, True)
        assert "process 7 on one" in body
        assert ask(app, method, path)[0] == 401


def test_foreign_names_are_refused() -> None:
    """A page of another site cannot look through a name that points here."""
    app = create_standby_app(StandbyPost(SINCE_NS), tokens={Role.ADMIN: TOKEN}, host="127.0.0.1")

    assert ask(app, "GET", "/readyz", {"host": "evil.example"})[0] in (400, 403, 421)


def test_a_person_sees_a_page_that_says_so() -> None:
    """`/` needs no token, and tells for whom and since when; a host's name is no markup."""
    post = StandbyPost(SINCE_NS)
    claim = OwnerClaim("<script>one</script>", 7, "", "1.0", "abc", 5.0)
    post.note_owner(AccountOwner(4, claim, True, False, 0, 0, 0))
    app = create_standby_app(post, tokens={Role.ADMIN: TOKEN}, host="127.0.0.1")
    status, page = ask(app, "GET", "/")

    assert status == 200
    assert "Standing by for process 7 on &lt;script&gt;one" in page
    assert iso_from_ns(SINCE_NS) in page
    assert "<script" not in page
