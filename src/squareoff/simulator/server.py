"""`squareoff sim`: the simulated broker on real sockets.

REST under `/v2`, the login by PIN and TOTP under `/app`, order updates at `/order-update`, market
feed at `/feed`, the instrument master at `/instruments.csv`, control under `/admin`.
"""

import asyncio
import json
import signal
import threading
from contextlib import suppress
from email.utils import formatdate

from aiohttp import web

from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.simulator.admin import AdminRoutes
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import master_csv
from squareoff.simulator.faults import FaultPoint, SocketName, What
from squareoff.simulator.feed import FeedSession
from squareoff.simulator.front import Ending, answer_delay_ns, perform
from squareoff.simulator.memory import save_memory
from squareoff.simulator.setup import SimulatorOptions, build_broker
from squareoff.simulator.sockets import SocketSink, converse, reset_connection
from squareoff.simulator.wire import WireRequest, WireResponse

__all__ = ["SimulatorOptions", "SimulatorServer", "run_simulator"]

# The state file is written at most this often, and so that writing takes at most 1/20 of the time.
SAVE_INTERVAL_NS = seconds_to_ns(0.2)
SAVE_PAUSE = 20
# The longest sleep of the pump, seconds.
PUMP_SLEEP_SECONDS_MAX = 1.0
# An answer that is held back is given up after this time even if the client waits on, seconds.
HOLD_SECONDS_MAX = 120.0
HOLD_CHECK_SECONDS = 0.05
SHUTDOWN_SECONDS = 0.5
# How long a polite close waits for the client's own close frame, seconds.
CLOSE_SECONDS_MAX = 1.0


async def run_simulator(options: SimulatorOptions) -> None:
    """Serve until cancelled or told to stop by a signal; the state file is written on the way out.

    In the main thread SIGINT and SIGTERM end it cleanly: it returns.

    Raises:
        ConfigError: ticks, credentials, conduct, faults or the state file cannot be used.
        OSError: the port is taken.
    """
    server = SimulatorServer(options, build_broker(options))
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # not on Windows, where cancelling still works
                loop.add_signal_handler(number, server.stop)
    await server.run()


class SimulatorServer:
    """Drives one broker by the clock and serves it."""

    def __init__(self, options: SimulatorOptions, broker: SimulatedBroker) -> None:
        self._options = options
        self._broker = broker
        start = options.clock.now()
        self._wall_less_monotonic_ns = start.wall_ns - start.monotonic_ns
        self._kicked = asyncio.Event()
        self._sinks: set[SocketSink] = set()
        self._runner = web.AppRunner(
            self._application(), shutdown_timeout=SHUTDOWN_SECONDS, access_log=None
        )
        self._site: web.TCPSite | None = None
        self._group: asyncio.TaskGroup | None = None
        self._side_tasks: list[asyncio.Task[None]] = []
        self._is_changed = False
        self._is_stopping = False
        self._save_interval_ns = SAVE_INTERVAL_NS
        self.port = options.port

    def now_ns(self) -> int:
        """Return UTC nanoseconds that never step back: the wall clock of the start, run on."""
        return self._options.clock.now().monotonic_ns + self._wall_less_monotonic_ns

    def stop(self) -> None:
        """End `run` cleanly, soon."""
        self._is_stopping = True
        self._kicked.set()

    async def run(self) -> None:
        """Serve until cancelled or stopped."""
        await self._runner.setup()
        try:
            await self._listen()
            self._announce_port()
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._pump()
                for task in self._side_tasks:
                    task.cancel()
        finally:
            self._save()
            await self._runner.cleanup()

    def kick(self) -> None:
        """Say that something may be due, or worth saving."""
        self._is_changed = True
        self._kicked.set()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=8 * 2**20)
        AdminRoutes(self._broker, self.now_ns, self.kick, self._close_listener).add_to(application)
        application.router.add_get("/order-update", self._serve_order_updates)
        application.router.add_get("/feed", self._serve_feed)
        application.router.add_get("/instruments.csv", self._serve_instruments)
        application.router.add_route("*", "/v2/{path:.*}", self._serve_rest)
        application.router.add_route("*", "/app/{path:.*}", self._serve_rest)
        return application

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, self._options.host, self.port, reuse_address=True)
        await self._site.start()
        if self.port == 0:
            self.port = self._runner.addresses[0][1]

    def _announce_port(self) -> None:
        if self._options.port_file is not None:
            self._options.port_file.write_text(f"{self.port}\n")
        if self._options.on_ready is not None:
            self._options.on_ready(self.port)

    async def _pump(self) -> None:
        """Let due things happen, and keep the state file fresh, until stopped."""
        saved_ns = 0
        while not self._is_stopping:
            self._kicked.clear()
            now_ns = self.now_ns()
            due_ns = self._broker.next_due_ns()
            if due_ns is not None and due_ns <= now_ns:
                self._broker.advance(now_ns)
                self._is_changed = True
            if self._is_changed and now_ns - saved_ns > self._save_interval_ns:
                self._save()
                saved_ns = self.now_ns()
                self._save_interval_ns = max(SAVE_INTERVAL_NS, SAVE_PAUSE * (saved_ns - now_ns))
            await self._wait_for_next()

    async def _wait_for_next(self) -> None:
        due_ns = self._broker.next_due_ns()
        seconds = PUMP_SLEEP_SECONDS_MAX
        if due_ns is not None:
            seconds = min(seconds, max(0.0, (due_ns - self.now_ns()) / NANOSECONDS_PER_SECOND))
        if self._is_changed and self._options.state_file is not None:
            seconds = min(seconds, self._save_interval_ns / NANOSECONDS_PER_SECOND)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._kicked.wait()

    def _save(self) -> None:
        self._is_changed = False
        path = self._options.state_file
        if path is None:
            return
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(save_memory(self._broker)))
        fresh.replace(path)

    async def _serve_rest(self, request: web.Request) -> web.StreamResponse:
        wire = await _wire_request(request)
        broker, clock = self._broker, self._options.clock
        decision = broker.decide(wire, self.now_ns())
        entry = broker.received.note_call(wire, decision, self.now_ns())
        if decision.delay_ns:
            await clock.sleep(decision.delay_ns / NANOSECONDS_PER_SECOND)
        outcome = perform(broker, wire, decision, self.now_ns(), entry)
        self.kick()
        if broker.conduct.alert_timing == "before_answer":
            await self._flush_sinks()
        late_ns = answer_delay_ns(broker, decision)
        if late_ns:
            await clock.sleep(late_ns / NANOSECONDS_PER_SECOND)
        match outcome.ending:
            case Ending.ANSWER:
                assert outcome.response is not None
                offset_seconds = broker.conduct.date_header_offset_seconds
                return _http_response(outcome.response, self.now_ns(), offset_seconds)
            case Ending.CUT:
                assert outcome.response is not None
                return await _cut_answer(request, outcome.response)
            case Ending.HOLD:
                await _hold(request)
            case Ending.RESET:
                pass
        reset_connection(request)
        return web.Response()

    async def _flush_sinks(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                for sink in list(self._sinks):
                    await sink.drained()

    async def _serve_order_updates(self, request: web.Request) -> web.StreamResponse:
        what = self._connect_fault(request, "order_update")
        refused = _refused_upgrade(request, what)
        if refused is not None:
            return refused
        web_socket = web.WebSocketResponse(autoping=False, timeout=CLOSE_SECONDS_MAX)
        await web_socket.prepare(request)
        sink = SocketSink()
        hub = self._broker.updates
        session = hub.connect(sink, self.now_ns())
        self._sinks.add(sink)

        def note_ping() -> None:
            session.active_ns = self.now_ns()

        try:
            await converse(
                web_socket,
                request,
                sink,
                lambda frame: hub.receive(session, frame, self.now_ns()),
                note_ping=note_ping,
            )
        finally:
            self._sinks.discard(sink)
            hub.disconnect(session)
        return web_socket

    async def _serve_feed(self, request: web.Request) -> web.StreamResponse:
        what = self._connect_fault(request, "feed")
        reason = what.disconnect_reason
        refused = _refused_upgrade(request, what) if reason is None else None
        if refused is not None:
            return refused
        web_socket = web.WebSocketResponse(autoping=False, timeout=CLOSE_SECONDS_MAX)
        await web_socket.prepare(request)
        sink = SocketSink()
        hub = self._broker.feed
        session = hub.connect(sink, request.query, self.now_ns())
        if reason is not None and session.is_open:
            hub.end(session, reason)
        pong = _Pong(self.now_ns())
        try:
            async with asyncio.TaskGroup() as group:
                pinger = group.create_task(self._ping(web_socket, session, pong))
                await converse(
                    web_socket,
                    request,
                    sink,
                    lambda frame: hub.receive(session, frame, self.now_ns()),
                    lambda: pong.note(self.now_ns()),
                )
                pinger.cancel()
        finally:
            hub.disconnect(session)
        return web_socket

    async def _ping(
        self, web_socket: web.WebSocketResponse, session: FeedSession, pong: "_Pong"
    ) -> None:
        """Ping every so often; end the connection when the pongs stay out too long."""
        conduct = self._broker.conduct
        while not web_socket.closed:
            await self._options.clock.sleep(conduct.feed_ping_seconds)
            silent_ns = self.now_ns() - pong.seen_ns
            if silent_ns > conduct.feed_pong_timeout_seconds * NANOSECONDS_PER_SECOND:
                session.end("close")
                return
            with suppress(ConnectionError):
                await web_socket.ping()

    def _connect_fault(self, request: web.Request, name: SocketName) -> What:
        """Return what befalls a socket that is about to be opened."""
        broker, query, now_ns = self._broker, dict(request.query), self.now_ns()
        point = FaultPoint(socket=name, on="connect", fields=query)
        decision = broker.faults.decide(point, now_ns)
        broker.received.note_upgrade(name, query, decision, now_ns)
        return decision.what

    async def _serve_instruments(self, _: web.Request) -> web.Response:
        is_first_refused = self._broker.conduct.freeze_file_value == "first_refused"
        listings = self._broker.listings().values()
        text = master_csv(listings, freeze_is_first_refused=is_first_refused)
        return web.Response(text=text, content_type="text/csv")

    async def _close_listener(self, seconds: float, asker: asyncio.Transport | None) -> None:
        """Refuse connections for a while: the only fault in which no byte of a request leaves."""
        assert self._site is not None, "the listener is open"
        assert self._group is not None, "the admin answers only while the server runs"
        await self._site.stop()
        self._abort_connections(spared=asker)
        self._side_tasks.append(self._group.create_task(self._listen_again(seconds)))

    async def _listen_again(self, seconds: float) -> None:
        await asyncio.sleep(HOLD_CHECK_SECONDS)  # whoever asked for it gets his answer first
        self._abort_connections(spared=None)
        await self._options.clock.sleep(seconds)
        await self._listen()

    def _abort_connections(self, *, spared: asyncio.Transport | None) -> None:
        assert self._runner.server is not None, "the server runs"
        for connection in list(self._runner.server.connections):
            if connection.transport is not None and connection.transport is not spared:
                connection.transport.abort()


def _refused_upgrade(request: web.Request, what: What) -> web.Response | None:
    """Return the HTTP answer of a refused upgrade (429 in production), None to go on."""
    if what.refuse or what.disconnect is not False:
        reset_connection(request)
        return web.Response(status=503)
    return web.Response(status=what.status) if what.status else None


class _Pong:
    """When the last pong of a connection came."""

    def __init__(self, now_ns: int) -> None:
        self.seen_ns = now_ns

    def note(self, now_ns: int) -> None:
        self.seen_ns = now_ns


async def _wire_request(request: web.Request) -> WireRequest:
    return WireRequest(
        method=request.method,
        path=request.path.removeprefix("/v2"),
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
    )


def _http_response(response: WireResponse, now_ns: int, offset_seconds: float) -> web.Response:
    """Return the answer; a broker whose clock is off from ours says so in its Date header."""
    headers = dict(response.headers)
    if offset_seconds:
        headers["date"] = formatdate(now_ns / NANOSECONDS_PER_SECOND + offset_seconds, usegmt=True)
    return web.Response(status=response.status, body=response.body or None, headers=headers)


async def _cut_answer(request: web.Request, response: WireResponse) -> web.StreamResponse:
    """Send the head and half of the body, then reset."""
    stream = web.StreamResponse(status=response.status, headers=dict(response.headers))
    stream.content_length = len(response.body)
    await stream.prepare(request)
    await stream.write(response.body[: len(response.body) // 2])
    reset_connection(request)
    return stream


async def _hold(request: web.Request) -> None:
    """Wait until the client is gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HOLD_SECONDS_MAX):
            # aiohttp has no event for a client that went away while its handler runs.
            while not _is_gone(request):  # noqa: ASYNC110
                await asyncio.sleep(HOLD_CHECK_SECONDS)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
