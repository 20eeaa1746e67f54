"""HTTP under `/admin` (loopback only): the hands of tests and rehearsals on the broker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from squareoff.domain.errors import ConfigError, SquareoffError
from squareoff.simulator.admin_desk import AdminDesk, describe_listing
from squareoff.simulator.admin_words import LISTENER, SOCKETS, TOKENS, parse_json, read_fields
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.conduct import conduct_from_json, conduct_to_json
from squareoff.simulator.faults import parse_rules

LOOPBACK = frozenset({"127.0.0.1", "::1"})
Answer = Callable[[web.Request], Awaitable[Any]]


class AdminRoutes:
    """The admin's routes on one broker.

    `kick` is called after anything that may make something due; `close_listener(seconds,
    asker)` stops accepting connections for a while and ends all but the asker's at once.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        now_ns: Callable[[], int],
        kick: Callable[[], None],
        close_listener: Callable[[float, asyncio.Transport | None], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._desk = AdminDesk(broker)
        self._now_ns = now_ns
        self._kick = kick
        self._close_listener = close_listener

    def add_to(self, application: web.Application) -> None:
        """Register all routes."""
        routes: list[tuple[str, str, Answer]] = [
            ("GET", "/admin/ready", self._ready),
            ("GET", "/admin/state", self._state),
            ("GET", "/admin/instruments", self._instruments),
            ("POST", "/admin/instruments", self._add_instruments),
            ("POST", "/admin/ticks", self._push_ticks),
            ("POST", "/admin/positions", self._trade_in_app),
            ("GET", "/admin/clock", self._clock),
            ("POST", "/admin/clock", self._move_clock),
            ("GET", "/admin/faults", self._faults),
            ("POST", "/admin/faults", self._add_faults),
            ("DELETE", "/admin/faults", self._clear_faults),
            ("GET", "/admin/conduct", self._conduct),
            ("POST", "/admin/conduct", self._set_conduct),
            ("POST", "/admin/orders/{order_id}/{action}", self._act_on_order),
            ("POST", "/admin/tokens", self._tokens),
            ("POST", "/admin/sockets", self._sockets),
            ("POST", "/admin/listener", self._listener),
            ("POST", "/admin/expire", self._expire),
            ("POST", "/admin/square_off", self._square_off),
            ("POST", "/admin/next_day", self._begin_next_day),
        ]
        for method, path, handler in routes:
            application.router.add_route(method, path, self._guarded(handler))

    def _guarded(self, handler: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            if request.remote not in LOOPBACK:
                return web.json_response({"error": "loopback only"}, status=403)
            self._broker.advance(self._now_ns())
            try:
                value = await handler(request)
            except (SquareoffError, ValueError, KeyError, TypeError, RecursionError) as error:
                return web.json_response({"error": str(error)}, status=400)
            self._kick()
            return web.json_response(value)

        return guarded

    async def _ready(self, _: web.Request) -> Any:
        return {"ready": True, "instruments": len(self._broker.days)}

    async def _state(self, request: web.Request) -> Any:
        state = self._desk.state(self._now_ns())
        parts = request.query.get("parts")
        if parts is None:
            return state
        names = parts.split(",")
        if unknown := [name for name in names if name not in state]:
            raise ConfigError(f"state: no part {', '.join(unknown)}; parts are: {', '.join(state)}")
        return {name: state[name] for name in names}

    async def _instruments(self, _: web.Request) -> Any:
        return [describe_listing(each) for each in self._broker.listings().values()]

    async def _add_instruments(self, request: web.Request) -> Any:
        return await _each(request, self._desk.add_instrument)

    async def _push_ticks(self, request: web.Request) -> Any:
        return await _each(request, lambda body: self._desk.push_tick(body, self._now_ns()))

    async def _trade_in_app(self, request: web.Request) -> Any:
        return await _each(request, lambda body: self._desk.trade_in_app(body, self._now_ns()))

    async def _clock(self, _: web.Request) -> Any:
        return self._desk.clock_state(self._now_ns())

    async def _move_clock(self, request: web.Request) -> Any:
        return self._desk.move_clock(await _object(request), self._now_ns())

    async def _faults(self, _: web.Request) -> Any:
        return self._broker.faults.describe()

    async def _add_faults(self, request: web.Request) -> Any:
        rules = parse_rules(await _json(request))
        return {"ids": self._broker.faults.add(rules, self._now_ns())}

    async def _clear_faults(self, request: web.Request) -> Any:
        rule_id = request.query.get("id")
        if not self._broker.faults.clear(rule_id) and rule_id is not None:
            raise ConfigError(f"faults: there is no rule {rule_id!r}")
        return self._broker.faults.describe()

    async def _conduct(self, _: web.Request) -> Any:
        return conduct_to_json(self._broker.conduct)

    async def _set_conduct(self, request: web.Request) -> Any:
        changed = conduct_from_json(await _object(request), self._broker.conduct)
        self._broker.conduct = changed
        return conduct_to_json(changed)

    async def _act_on_order(self, request: web.Request) -> Any:
        order_id, action = request.match_info["order_id"], request.match_info["action"]
        body = await _object_or_nothing(request)
        order = self._broker.desk.orders.get(order_id)
        if order is not None and order.is_terminal:
            raise ConfigError(f"orders: {order_id} has ended: {order.status}")
        return self._desk.act_on_order(order_id, action, body, self._now_ns())

    async def _tokens(self, request: web.Request) -> Any:
        fields = read_fields("tokens", await _object(request), TOKENS)
        if not fields:
            raise ConfigError("tokens: kill or kill_all is needed")
        if fields.get("kill_all"):
            self._broker.identity.kill_all()
        for token in fields.get("kill", ()):
            self._broker.identity.kill(token)
        self._broker.end_dead_sockets()
        return {"done": True}

    async def _sockets(self, request: web.Request) -> Any:
        fields = read_fields("sockets", await _object(request), SOCKETS)
        name, how = fields.get("disconnect", "all"), fields.get("how", "reset")
        if name in ("order_update", "all"):
            self._broker.updates.end_all(how)
        if name in ("feed", "all"):
            self._broker.feed.end_all(how)
        return {"done": True}

    async def _listener(self, request: web.Request) -> Any:
        fields = read_fields("listener", await _object(request), LISTENER)
        if "closed_seconds" not in fields:
            raise ConfigError("listener: closed_seconds is needed")
        await self._close_listener(fields["closed_seconds"], request.transport)
        return {"done": True}

    async def _expire(self, request: web.Request) -> Any:
        read_fields("expire", await _object_or_nothing(request), {})
        broker, now_ns = self._broker, self._now_ns()
        broker.desk.take_events(broker.engine.expire(now_ns))
        return {"done": True}

    async def _square_off(self, request: web.Request) -> Any:
        read_fields("square_off", await _object_or_nothing(request), {})
        return self._desk.square_off(self._now_ns())

    async def _begin_next_day(self, request: web.Request) -> Any:
        read_fields("next_day", await _object_or_nothing(request), {})
        return self._desk.begin_next_day(self._now_ns())


async def _json(request: web.Request) -> Any:
    return parse_json(await request.read())


async def _object(request: web.Request) -> dict[str, Any]:
    value = await _json(request)
    if not isinstance(value, dict):
        raise ConfigError("the body must be a JSON object")
    return value


async def _object_or_nothing(request: web.Request) -> dict[str, Any]:
    return await _object(request) if await request.read() else {}


async def _each(request: web.Request, act: Callable[[dict[str, Any]], Any]) -> Any:
    """Do one object or each of a list; answer in the same shape.

    Raises:
        ConfigError: one is refused; those of the list before it are done.
    """
    value = await _json(request)
    if not isinstance(value, list):
        return act(value)
    answers: list[Any] = []
    for item in value:
        try:
            answers.append(act(item))
        except SquareoffError as error:
            raise ConfigError(f"{error} (the {len(answers)} before it are done)") from error
    return answers
