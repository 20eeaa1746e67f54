"""Run the rig's engine and API in a thread, and call it over real HTTP."""

import asyncio
import http.client
import json
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from api_rig.engine import INSTRUMENT, ScriptedFeed, open_test_engine
from squareoff.assembly import Engine
from squareoff.web.app import create_app
from squareoff.web.rate_limits import ApiLimits
from squareoff.web.roles import Role
from squareoff.web.server import ApiServer

T = TypeVar("T")

TOKEN = "test-token-0123456789abcdef"
OPERATE_TOKEN = "operate-token-0123456789abcdef"
READ_TOKEN = "read-token-0123456789abcdef"
TOKENS = {Role.ADMIN: TOKEN, Role.OPERATE: OPERATE_TOKEN, Role.READ: READ_TOKEN}
TRAIL_KINDS = frozenset({"command_asked", "command_answered", "caller_seen", "calls_refused"})
"""Facts that tell who asked for what, and change nothing."""

NO_LIMITS = ApiLimits(calls_per_second=1e6, calls_at_once=10**6, failure_delay_seconds_max=0.0)
"""For tests whose subject is not the limits."""
PRICE = Decimal("152.35")
DEADLINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the one shape; fails where the answer is none."""
        body = self.json
        assert set(body) == {"ok", "error"}, body
        assert body["ok"] is False
        assert set(body["error"]) == {"code", "message", "details"}
        assert isinstance(body["error"]["message"], str) and body["error"]["message"]
        found: dict[str, Any] = body["error"]
        return found


def _drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


def position_body(**changes: Any) -> dict[str, Any]:
    """Return a position that POST /trackers takes, with these fields changed (None drops one)."""
    body: dict[str, Any] = {
        "exchange_segment": "NSE_FNO",
        "security_id": INSTRUMENT.instrument_id.security_id,
        "product_type": "INTRADAY",
        "side": "LONG",
        "quantity": 75,
        "entry_price": "150.00",
    }
    body |= changes
    return {name: value for name, value in body.items() if value is not None}


class ApiRig:
    """One engine with its API on a free loopback port; use it as a context manager."""

    def __init__(self, *, metrics_public: bool = False, limits: ApiLimits = NO_LIMITS) -> None:
        self._metrics_public = metrics_public
        self._limits = limits
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_up = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._main: asyncio.Task[None]
        self.feed: ScriptedFeed
        self.engine: Engine
        self.server: ApiServer

    def __enter__(self) -> Self:
        # The engine shares this process's outputs with the commands under test: keep it silent.
        structlog.configure(processors=[_drop])
        self._thread.start()
        assert self._is_up.wait(DEADLINE_SECONDS), "the rig did not start"
        if self._failure is not None:
            raise AssertionError("the rig failed to start") from self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(DEADLINE_SECONDS)
        structlog.reset_defaults()
        assert not self._thread.is_alive(), "the rig did not end"
        if self._failure is not None and error is None:
            raise AssertionError("the rig failed") from self._failure

    @property
    def port(self) -> int:
        """Where the API listens."""
        return self.server.port

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it again
            self._failure = error
        finally:
            self._is_up.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        main = asyncio.current_task()
        assert main is not None
        self._main = main
        self.engine, self.feed = await open_test_engine()
        app = create_app(
            self.engine.desk,
            tokens=TOKENS,
            metrics_public=self._metrics_public,
            limits=self._limits,
            broker="Dhan (api.dhan.co)",
        )
        self.server = ApiServer(app, "127.0.0.1", 0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.supervisor.run())
            tasks.create_task(self.server.run())
            await self._until_ready()
            self.feed.push(PRICE)
            self._is_up.set()

    async def _until_ready(self) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not self.engine.desk.status().is_ready:
                await asyncio.sleep(0.01)

    def tick(self, price: str) -> None:
        """Print one price."""
        self._loop.call_soon_threadsafe(self.feed.push, Decimal(price))

    def run(self, work: Any) -> Any:
        """Run a coroutine in the engine's loop and return its result."""
        return self.start(work).result(DEADLINE_SECONDS)

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start a coroutine in the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Make one call with the right token; `headers` override, a None value drops one."""
        sent = {"Authorization": f"Bearer {TOKEN}"}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        sent = {name: value for name, value in sent.items() if value != ""}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        """GET below /api/v1."""
        return self.call("GET", f"/api/v1{path}", **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        """POST below /api/v1."""
        return self.call("POST", f"/api/v1{path}", body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        """PATCH below /api/v1."""
        return self.call("PATCH", f"/api/v1{path}", body, **options)

    def track(self, **changes: Any) -> str:
        """Take a position under watch and return its id."""
        answer = self.post("/trackers", position_body(**changes))
        assert answer.status == 201, answer.text
        found: str = answer.json["id"]
        return found

    def journal_head(self) -> int:
        """Return the journal's newest sequence number."""
        head: int = self.run(self.engine.desk.journal_head())
        return head

    def facts_after(self, head: int) -> list[dict[str, Any]]:
        """Return every fact of the journal after a sequence number, from all its pages."""
        found: list[dict[str, Any]] = []
        after: int | None = head
        while after is not None:
            page = self.get(f"/journal?after={after}").json
            found += page["items"]
            after = page["next"]
        return found
