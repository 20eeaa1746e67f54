"""The network between one process and the broker, in-process: bytes in, bytes out, in virtual time.

Implements the transport seam of `adapters.broker.dhan.transport`. What befalls a call or a frame is
decided by the broker's fault plan (`simulator.faults`); the network's own faults are a connection
that breaks while the request is still on its way, a socket that goes dark, and spoilt answers.

Invariants:
1. A request that left arrives or is lost whatever becomes of the process that sent it.
2. Frames of one socket arrive in the order they were pushed.
3. Nothing of a dead process is delivered, and no port of it does anything but raise.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    Forbidden,
    HttpRequest,
    HttpResponse,
    NoAnswer,
    NotSent,
    SocketConnection,
    SocketEnded,
    SocketMessage,
)
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.faults import FaultDecision, FaultPoint, SocketName
from squareoff.simulator.front import Ending, Outcome, answer_delay_ns, perform
from squareoff.simulator.sessions import Frame, Session
from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES, YOUNG_NS, spoil_answer
from squareoff.simulator.virtual.event_classes import NETWORK_CLASSES
from squareoff.simulator.wire import WireRequest, WireResponse

ORDER_UPDATE_URL = "virtual://broker/order-update"
FEED_URL = "virtual://broker/feed"
_LATENCY_SECONDS = (0.001, 0.030)
"""One way; the loopback of a rehearsal and a mobile line are its ends."""

_LAG_RATES = (0.5, 0.95)
"""Seconds that a feed which lags falls back in a second."""


class NetworkFaults:
    """The network's own faults, and spoilt answers, as probabilities by class; none once healed.

    `on_strike` hears of each fault that strikes.
    """

    def __init__(self, rates: Mapping[str, float], on_strike: Callable[[str], None]) -> None:
        self.rates = {n: rates[n] for n in (*NETWORK_CLASSES, *ANSWER_CLASSES) if n in rates}
        self._on_strike = on_strike

    def hits(self, name: str, chance: random.Random) -> bool:
        """Draw one fault and tell of it."""
        rate = self.rates.get(name, 0.0)
        if rate <= 0 or chance.random() >= rate:
            return False
        self._on_strike(name)
        return True

    def spoils(self, path: str, chance: random.Random) -> list[str]:
        """Return the classes that befall one read's answer."""
        kind = path.strip("/")
        return [
            name
            for name in self.rates
            if name in ANSWER_CLASSES
            and kind in ANSWER_CLASSES[name][1]
            and self.hits(name, chance)
        ]


class Host(Protocol):
    """What the network needs of the world."""

    broker: SimulatedBroker
    network_faults: NetworkFaults
    network_chance: random.Random
    feed_late_seconds: float

    def broker_ns(self) -> int:
        """Return the broker's time, UTC nanoseconds."""
        ...

    def act(self, name: str, action: Callable[[int], Any]) -> Any:
        """Let the broker do something now, audited; return what it returns."""
        ...

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something of the world's own later, whatever becomes of any process."""
        ...

    def note_request(self, request: WireRequest, left_ns: int) -> None:
        """Hear of a request that left then and reached the broker, before it acts."""
        ...

    def note_answer(self, request: WireRequest, response: WireResponse | None) -> None:
        """Hear what the broker answered to it."""
        ...


class Process(Protocol):
    """What the network needs of the process that uses it."""

    def reach(self, name: str) -> None:
        """Pass a named point, or die there."""
        ...

    def check(self) -> None:
        """Raise ProcessKilled once the process is dead."""
        ...

    def adopt(self, connection: "VirtualConnection") -> None:
        """Note a connection that the kernel would close when the process dies."""
        ...

    is_dead: bool


def latency(host: Host) -> float:
    """Draw one way of the network, seconds."""
    return host.network_chance.uniform(*_LATENCY_SECONDS)


class VirtualHttp:
    """Fulfils `HttpTransport`."""

    def __init__(self, host: Host, process: Process) -> None:
        self._host = host
        self._process = process

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        """Send one request; see `HttpTransport.send`."""
        name = f"{request.method} {request.path.split('/')[1]}"
        self._process.reach(f"before {name}")
        if (reason := request.forbidden()) is not None:
            raise Forbidden(reason)
        wire = _wire(request)
        decision = self._host.broker.decide(wire, self._host.broker_ns())
        answer: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        if decision.what.refuse:
            self._host.later(latency(self._host), lambda: self._fail(answer, NotSent("refused")))
        else:
            self._leave(wire, decision, answer)
            self._process.reach(f"sent {name}")
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await answer
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {timeout_seconds:g} s") from error
        self._process.reach(f"answered {name}")
        return response

    def _leave(
        self, wire: WireRequest, decision: FaultDecision, answer: "asyncio.Future[HttpResponse]"
    ) -> None:
        host = self._host
        flight, left_ns = latency(host) + decision.delay_ns / 1e9, host.broker_ns()
        if host.network_faults.hits("early_reset", host.network_chance):
            broken_after = host.network_chance.uniform(0.0, flight)
            host.later(broken_after, lambda: self._fail(answer, NoAnswer("connection reset")))
        host.later(flight, lambda: self._arrive(wire, decision, answer, left_ns))

    def _arrive(
        self,
        wire: WireRequest,
        decision: FaultDecision,
        answer: "asyncio.Future[HttpResponse]",
        left_ns: int,
    ) -> None:
        host = self._host

        def take(now_ns: int) -> Outcome:
            if decision.what.drop_before:
                return perform(host.broker, wire, decision, now_ns)
            host.note_request(wire, left_ns)
            outcome = perform(host.broker, wire, decision, now_ns)
            host.note_answer(wire, outcome.response)
            return self._spoilt(wire, outcome, now_ns)

        outcome: Outcome = host.act(f"{wire.method} {wire.path}", take)
        late = answer_delay_ns(host.broker, decision) / 1e9
        date = formatdate(host.broker_ns() // NANOSECONDS_PER_SECOND, usegmt=True)
        if outcome.ending is not Ending.HOLD:
            host.later(latency(host) + late, lambda: self._deliver(outcome, date, answer))

    def _spoilt(self, wire: WireRequest, outcome: Outcome, now_ns: int) -> Outcome:
        """Let the answer of a read be whole and wrong, where a class of faults says so."""
        host, response = self._host, outcome.response
        if wire.method != "GET" or response is None or response.status != 200:
            return outcome
        for name in host.network_faults.spoils(wire.path, host.network_chance):
            orders = host.broker.account().orders.values()
            young = {o.order_id for o in orders if now_ns - o.created_ns < YOUNG_NS}
            response = spoil_answer(response, name, host.network_chance, young)
        return Outcome(outcome.ending, response)

    def _deliver(self, outcome: Outcome, date: str, answer: "asyncio.Future[HttpResponse]") -> None:
        if answer.done() or self._process.is_dead:
            return
        response = outcome.response
        if outcome.ending is Ending.ANSWER and response is not None:
            headers = {**response.headers, "date": date}
            answer.set_result(HttpResponse(response.status, headers, response.body))
        else:
            _break(answer, NoAnswer("the connection was reset"))

    def _fail(self, answer: "asyncio.Future[HttpResponse]", error: Exception) -> None:
        if not (answer.done() or self._process.is_dead):
            _break(answer, error)

    async def close(self) -> None:
        """Nothing is held."""


def _break(answer: "asyncio.Future[HttpResponse]", error: Exception) -> None:
    """Fail a call; a caller that is cancelled at this very instant need not hear of it."""
    answer.set_exception(error)
    answer.exception()


def _wire(request: HttpRequest) -> WireRequest:
    return WireRequest(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=dict(request.headers),
        body=request.body or b"",
    )


class VirtualSockets:
    """Fulfils `SocketTransport`."""

    def __init__(self, host: Host, process: Process) -> None:
        self._host = host
        self._process = process

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        """Open a socket; see `SocketTransport.connect`."""
        parts = urlsplit(url)
        name: SocketName = "feed" if parts.path == "/feed" else "order_update"
        self._process.reach(f"connect {name}")
        await asyncio.sleep(latency(self._host))
        query = dict(parse_qsl(parts.query))
        point = FaultPoint(socket=name, on="connect", fields=query)
        what = self._host.broker.faults.decide(point, self._host.broker_ns()).what
        if what.refuse or what.disconnect is not False:
            raise SocketEnded("the connection was refused")
        if what.status:
            raise SocketEnded("the upgrade was refused", http_status=what.status)
        connection = VirtualConnection(self._host, self._process, name)
        self._host.act(f"connect {name}", lambda now_ns: connection.open(query, now_ns))
        self._process.adopt(connection)
        return connection


class VirtualConnection:
    """One open socket: the client's side, and the sink that the broker pushes into."""

    def __init__(self, host: Host, process: Process, name: SocketName) -> None:
        self._host = host
        self._process = process
        self.name = name
        self._inbox: deque[SocketMessage | SocketEnded] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._last_in = self._last_out = 0.0
        self._began = asyncio.get_running_loop().time()
        is_late = name == "feed" and host.feed_late_seconds > 0
        self._lag_rate = host.network_chance.uniform(*_LAG_RATES) if is_late else 0.0
        self._session: Any = None
        self._ended: SocketEnded | None = None
        faults, chance = host.network_faults, host.network_chance
        self._dark_from: float | None = None
        if faults.hits("dark_socket", chance):
            self._dark_from = asyncio.get_running_loop().time() + chance.uniform(0.0, 20.0)

    def open(self, query: Mapping[str, str], now_ns: int) -> Session:
        """Let the broker open the session; called once, by the transport."""
        hubs = self._host.broker
        if self.name == "feed":
            self._session = hubs.feed.connect(self, query, now_ns)
        else:
            self._session = hubs.updates.connect(self, now_ns)
        session: Session = self._session
        return session

    @property
    def has_ended(self) -> bool:
        """Say whether the client knows that this connection is over."""
        return self._ended is not None

    def go_dark(self) -> None:
        """Carry nothing more in either direction from now on, and do not end."""
        self._dark_from = asyncio.get_running_loop().time()

    @property
    def _is_dark(self) -> bool:
        return self._dark_from is not None and asyncio.get_running_loop().time() >= self._dark_from

    def deliver(self, frame: Frame) -> None:
        """Carry one frame to the client."""
        self._carry_in(frame)

    def end(self, how: str) -> None:
        """Carry the end of the connection to the client, after the frames before it."""
        self._carry_in(SocketEnded(f"{how} by the broker", close_code=1006))

    def _carry_in(self, message: SocketMessage | SocketEnded) -> None:
        if self._is_dark:
            return
        now = asyncio.get_running_loop().time()
        self._last_in = max(self._last_in, now + latency(self._host) + self._held_seconds())
        self._host.later(self._last_in - now, lambda: self._put(message))

    def _held_seconds(self) -> float:
        """Return how far behind the feed is: it falls back steadily, so that it is never silent."""
        age = asyncio.get_running_loop().time() - self._began
        return min(self._host.feed_late_seconds, age * self._lag_rate)

    def _put(self, message: SocketMessage | SocketEnded) -> None:
        if self._process.is_dead:
            return
        self._inbox.append(message)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def send_text(self, text: str) -> None:
        """Send one text frame."""
        self._process.reach(f"send {self.name}")
        self._check_open()

        def receive(now_ns: int) -> None:
            hubs = self._host.broker
            if self.name == "feed":
                hubs.feed.receive(self._session, text, now_ns)
            else:
                hubs.updates.receive(self._session, text, now_ns)

        self._carry_out(lambda: self._host.act(f"frame {self.name}", receive))

    async def send_ping(self) -> None:
        """Send one ping; a dark socket answers none."""
        self._process.check()
        self._check_open()
        self._carry_out(lambda: self._carry_in(ControlFrame.PONG))

    def _carry_out(self, action: Callable[[], object]) -> None:
        if self._is_dark:
            return
        now = asyncio.get_running_loop().time()
        self._last_out = max(self._last_out, now + latency(self._host))
        self._host.later(self._last_out - now, lambda: _ignore(action()))

    async def receive(self) -> SocketMessage:
        """Wait for the next frame."""
        self._process.check()
        while not self._inbox:
            self._check_open()
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        message = self._inbox.popleft()
        if isinstance(message, SocketEnded):
            self._ended = message
            raise message
        return message

    def _check_open(self) -> None:
        if self._ended is not None:
            raise SocketEnded("the connection had ended")

    async def close(self) -> None:
        """Close from our side."""
        self._process.check()
        self._ended = SocketEnded("closed by us")
        self.drop()

    def drop(self) -> None:
        """Tell the broker that the connection is gone, as the kernel does for a dead process."""
        if self._session is None:
            return
        hubs = self._host.broker
        hub = hubs.feed if self.name == "feed" else hubs.updates
        self._host.later(latency(self._host), lambda: hub.disconnect(self._session))


def _ignore(_: object) -> None:
    return
