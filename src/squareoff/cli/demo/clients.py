"""HTTP clients of the demo: the engine's API and the simulator's admin, as any script would."""

from types import TracebackType
from typing import Any, Self

import aiohttp

from squareoff.cli.demo.failure import DemoFailure

CALL_SECONDS = 10.0
JOURNAL_PAGE = 1_000


class Away(Exception):
    """The other side cannot be reached: it is starting, or it was killed."""


class JsonClient:
    """JSON over HTTP to one address of this machine."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.token = ""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """Return the answer of a GET; see `call`."""
        return await self.call("GET", path)

    async def post(self, path: str, body: Any) -> Any:
        """Return the answer of a POST; see `call`."""
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make one call and return its JSON.

        Raises:
            Away: no answer.
            DemoFailure: the call was refused; the text holds what was asked and answered.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with self._session.request(
                method, self.address + path, json=body, headers=headers
            ) as response:
                if response.status >= 400:
                    text = await response.text()
                    raise DemoFailure(f"{method} {path} was refused ({response.status}): {text}")
                return await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Away(f"{method} {path}: {error}") from error

    async def is_up(self, path: str) -> bool:
        """Say whether a GET of `path` is answered well."""
        try:
            await self.get(path)
        except (Away, DemoFailure):
            return False
        return True


class EngineClient(JsonClient):
    """The engine's API."""

    async def track(self, body: dict[str, Any]) -> str:
        """Take a position under watch; return the tracker's id."""
        tracker = await self.post("/api/v1/trackers", body)
        return str(tracker["id"])

    async def trackers(self) -> dict[str, dict[str, Any]]:
        """Return every tracker by its id."""
        answer = await self.get("/api/v1/trackers")
        return {item["id"]: item for item in answer["items"]}

    async def orders(self) -> list[dict[str, Any]]:
        """Return every order of ours."""
        answer = await self.get("/api/v1/orders")
        return list(answer["items"])

    async def alarms(self) -> list[dict[str, Any]]:
        """Return every alarm."""
        answer = await self.get("/api/v1/alarms")
        return list(answer["items"])

    async def journal_after(self, seq: int) -> list[dict[str, Any]]:
        """Return one page of journal facts above `seq`."""
        answer = await self.get(f"/api/v1/journal?after={seq}&limit={JOURNAL_PAGE}")
        return list(answer["items"])

    async def exit(self, tracker_id: str, reason: str) -> dict[str, Any]:
        """Exit a position by hand; the answer comes once the broker accepted the order."""
        body = {"reason": reason, "wait": "accepted"}
        answer: dict[str, Any] = await self.post(f"/api/v1/trackers/{tracker_id}/exit", body)
        return answer


class SimulatorClient(JsonClient):
    """The simulator's admin."""

    async def market_seconds(self) -> float:
        """Return where the replay stands."""
        return float((await self.get("/admin/clock"))["market_seconds"])

    async def steer(self, **change: Any) -> None:
        """Steer the replay: `paused`, `rewind`, `speed`."""
        await self.post("/admin/clock", change)

    async def state(self, parts: str) -> dict[str, Any]:
        """Return the named parts (comma separated) of what the broker knows."""
        answer: dict[str, Any] = await self.get(f"/admin/state?parts={parts}")
        return answer
