"""What the simulator's tests share: a bench without sockets, and a real server in a thread."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from squareoff.adapters.system import SystemClock
from squareoff.simulator.admin_desk import AdminDesk
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.conduct import conduct_from_json
from squareoff.simulator.embedded import EmbeddedSimulator
from squareoff.simulator.faults import parse_rules
from squareoff.simulator.front import Outcome, perform
from squareoff.simulator.server import SimulatorOptions
from squareoff.simulator.wire import WireRequest

SEED = 7
START_NS = 1_790_000_000 * 10**9
MS = 10**6
SECOND = 10**9


class Sink:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.ended = ""

    def deliver(self, frame: Any) -> None:
        self.frames.append(frame)

    def end(self, how: str) -> None:
        self.ended = how

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.frames]

    def data(self) -> list[dict[str, Any]]:
        return [message["Data"] for message in self.messages()]


class Bench:
    """One broker in virtual time, driven by hand. Delays are zero or as the knobs say."""

    def __init__(self, credentials: dict[str, str] | None = None, **knobs: Any) -> None:
        still = {f"{name}_delay_ms": 10 for name in ("exchange", "modify", "cancel")}
        unlimited = {"rate_limits": {}, "update_delay_ms": 1}
        self.now = START_NS
        print(f"seed {SEED}")
        self.broker = SimulatedBroker(
            random.Random(SEED),
            self.now,
            conduct=conduct_from_json(still | unlimited | knobs),
            credentials=credentials,
        )
        self.admin = AdminDesk(self.broker)
        self.headers = {"access-token": "token", "client-id": "1100000001"}

    def knobs(self, **knobs: Any) -> None:
        self.broker.conduct = conduct_from_json(knobs, self.broker.conduct)

    def fault(self, **rule: Any) -> None:
        self.broker.faults.add(parse_rules([rule]), self.now)

    def run(self, milliseconds: float = 1_000) -> None:
        self.now += round(milliseconds * MS)
        self.broker.advance(self.now)

    def outcome(self, method: str, path: str, body: Any = None, **query: str) -> Outcome:
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        request = WireRequest(method, path, query, self.headers, raw)
        return perform(self.broker, request, self.broker.decide(request, self.now), self.now)

    def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        response = self.outcome(method, path, body, **query).response
        assert response is not None
        return response.status, json.loads(response.body) if response.body else None

    def body(self, **changes: Any) -> dict[str, Any]:
        terms = {
            "dhanClientId": "1100000001", "correlationId": "tag-1", "transactionType": "BUY",
            "exchangeSegment": "NSE_FNO", "productType": "INTRADAY", "orderType": "LIMIT",
            "validity": "DAY", "securityId": "49543", "quantity": 75, "price": 26000.0,
        } | changes  # fmt: skip
        return {name: value for name, value in terms.items() if value is not ...}

    def place(self, **changes: Any) -> str:
        status, answer = self.call("POST", "/orders", self.body(**changes))
        assert status == 200, answer
        return answer["orderId"]

    def row(self, order_id: str) -> dict[str, Any]:
        status, rows = self.call("GET", f"/orders/{order_id}")
        assert status == 200
        return rows[0] if isinstance(rows, list) else rows

    def tick(
        self, price: Any, security_id: str = "49543", segment: str = "NSE_FNO", **more: Any
    ) -> None:
        body = {"exchange_segment": segment, "security_id": security_id, "last_price": price} | more
        self.admin.push_tick(body, self.now)

    def listen(self) -> Sink:
        sink = Sink()
        session = self.broker.updates.connect(sink, self.now)
        login = {"MsgCode": 42, "ClientId": "1100000001", "Token": "token"}
        frame = json.dumps({"LoginReq": login, "UserType": "SELF"})
        self.broker.updates.receive(session, frame, self.now)
        return sink

    def subscribe(self, mode: int, *ids: tuple[str, str]) -> tuple[Sink, Any]:
        sink = Sink()
        query = {"version": "2", "token": "token", "clientId": "1100000001", "authType": "2"}
        session = self.broker.feed.connect(sink, query, self.now)
        wanted = [{"ExchangeSegment": s, "SecurityId": i} for s, i in ids]
        request = {"RequestCode": mode, "InstrumentCount": len(wanted), "InstrumentList": wanted}
        self.broker.feed.receive(session, json.dumps(request), self.now)
        return sink, session


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_server() -> Iterator[Callable[..., EmbeddedSimulator]]:
    running: list[EmbeddedSimulator] = []

    def start(**options: Any) -> EmbeddedSimulator:
        simulator = EmbeddedSimulator(
            SimulatorOptions(clock=SystemClock(), **({"port": 0, "seed": SEED} | options))
        )
        running.append(simulator.__enter__())
        return simulator

    yield start
    for simulator in running:
        simulator.stop()
