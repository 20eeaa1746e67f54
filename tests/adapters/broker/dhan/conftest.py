"""Fakes for the seams below the Dhan client: scripted HTTP, scripted sockets, a manual clock."""

import asyncio
import heapq
import json
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from async_body import settle
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.transport import (
    Forbidden,
    HttpRequest,
    HttpResponse,
    SocketEnded,
    SocketMessage,
    TransportError,
)
from squareoff.domain.ids import AccountId
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import SendFence

TOKEN = "canary-token-7f3a"
ACCOUNT = AccountId("1100000001")
WALL_NS = 1_789_446_600_000_000_000  # 2026-09-15 10:00:00 IST


class ManualClock:
    """Time moves only when a test says so."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._order = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> Now:
        return Now(WALL_NS + self._elapsed_ns, 1_000 + self._elapsed_ns)

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._order += 1
        due = self._elapsed_ns + seconds_to_ns(seconds)
        heapq.heappush(self._sleepers, (due, self._order, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in order and letting what they start run."""
        target = self._elapsed_ns + seconds_to_ns(seconds)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._elapsed_ns = max(self._elapsed_ns, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed_ns = target


class ScriptedTokens:
    """A token source that notes what it was asked."""

    def __init__(self, *following: str) -> None:
        self.token = TOKEN
        self.following = list(following)
        self.dead: list[str] = []
        self.suspected: list[str] = []
        self.refused = False
        self.replaced = asyncio.Event()

    def current(self) -> str:
        return self.token

    async def refresh(self, dead: str) -> bool:
        self.dead.append(dead)
        if self.token == dead and self.following:
            self.token = self.following.pop(0)
        return self.token != dead

    def is_refused(self) -> bool:
        return self.refused

    async def suspect(self, token: str) -> None:
        self.suspected.append(token)

    async def usable(self) -> str:
        return self.token

    def watch_replaced(self, token: str) -> Coroutine[Any, Any, None]:
        async def watch() -> None:
            await self.replaced.wait()

        return watch()


@dataclass
class ScriptedHttp:
    """Answers from a list; keeps what was asked. A `TransportError` in the list is raised."""

    answers: list[HttpResponse | TransportError] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    closed: bool = False

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        self.requests.append(request)
        self.timeouts.append(timeout_seconds)
        refusal = request.forbidden()
        if refusal is not None:
            raise Forbidden(refusal)
        answer = self.answers.pop(0)
        if isinstance(answer, TransportError):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True

    def sent_json(self) -> Any:
        """Return the body of the newest request, numbers as their text."""
        body = self.requests[-1].body
        assert body is not None
        return json.loads(body, parse_float=str, parse_int=str)


def answer(status: int, body: Any = b"") -> HttpResponse:
    """Return an answer; anything but bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {"content-type": "application/json"}, content)


class ScriptedSocket:
    """One socket: the test feeds frames, the code under test sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.ping_count = 0
        self.closed = False
        self._frames: asyncio.Queue[SocketMessage | SocketEnded] = asyncio.Queue()

    def feed(self, *frames: SocketMessage | SocketEnded) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    async def send_text(self, text: str) -> None:
        self.sent.append(text)

    async def send_ping(self) -> None:
        self.ping_count += 1

    async def receive(self) -> SocketMessage:
        frame = await self._frames.get()
        if isinstance(frame, SocketEnded):
            raise frame
        return frame

    async def close(self) -> None:
        self.closed = True


class ScriptedSockets:
    """Opens prepared sockets; an error in the list is raised. Keeps the addresses."""

    def __init__(self, sockets: Iterable[ScriptedSocket | SocketEnded]) -> None:
        self._sockets = list(sockets)
        self.urls: list[str] = []

    async def connect(self, url: str, timeout_seconds: float) -> ScriptedSocket:
        self.urls.append(url)
        socket = self._sockets.pop(0)
        if isinstance(socket, SocketEnded):
            raise socket
        return socket


@dataclass
class Fakes:
    """What tests take from here (conftest modules cannot be imported)."""

    http: Callable[..., ScriptedHttp]
    client: Callable[..., DhanRestClient]
    answer = staticmethod(answer)
    tokens = ScriptedTokens
    clock = ManualClock
    socket = ScriptedSocket
    sockets = ScriptedSockets
    settle = staticmethod(settle)
    token: str = TOKEN
    account: AccountId = ACCOUNT
    wall_ns: int = WALL_NS


@pytest.fixture
def fakes() -> Fakes:
    """Give the fakes of this file."""

    def client(
        http: ScriptedHttp,
        tokens: ScriptedTokens | None = None,
        fence: SendFence | None = None,
    ) -> DhanRestClient:
        return DhanRestClient(RestSettings(ACCOUNT), http, tokens or ScriptedTokens(), fence)

    return Fakes(http=lambda *answers: ScriptedHttp(list(answers)), client=client)
