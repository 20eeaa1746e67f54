"""True frames and answers to start from: what the simulated broker says in a short session.

The simulated broker speaks the documented wire format; its shapes are checked against the official
client elsewhere.
"""

import json
import random
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import default_listings
from squareoff.simulator.market import MarketUpdate
from squareoff.simulator.sessions import Frame
from squareoff.simulator.wire import WireRequest

START_NS = 1_765_343_700_000_000_000
ACCOUNT, TOKEN = "1100003626", "fuzz-token"
TAG = "sqx-abcdefghijkl-001-01"
_HEADERS = {"access-token": TOKEN, "client-id": ACCOUNT}
_LISTED = ("49081", "2885")
_READS = (
    "/orders",
    "/trades",
    "/positions",
    f"/orders/external/{TAG}",
    "/fundlimit",
    "/profile",
    "/holdings",
)


@dataclass(slots=True)
class Samples:
    """True samples: order updates, packets, and answers by `METHOD /path`."""

    updates: list[bytes] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    instruments: list[Instrument] = field(default_factory=list)


class _Sink:
    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames

    def deliver(self, frame: Frame) -> None:
        """Keep a frame."""
        self._frames.append(frame.encode() if isinstance(frame, str) else frame)

    def end(self, how: str) -> None:
        """Nothing holds the end of a connection here."""


@lru_cache(maxsize=1)
def samples() -> Samples:
    """Return the samples, made once per process."""
    made = Samples()
    listings = [one for one in default_listings() if one.instrument_id.security_id in _LISTED]
    broker = SimulatedBroker(
        random.Random("fuzz samples"), START_NS, listings=listings, credentials={TOKEN: ACCOUNT}
    )
    made.instruments = [one.instrument for one in listings]
    _open_sockets(broker, made)
    now_ns = START_NS
    for step in range(6):
        now_ns += 1_000_000_000
        for listing in listings:
            _print_price(broker, listing.instrument_id, listing.previous_close + step, now_ns)
        for method, path, body in _calls(step):
            request = WireRequest(method, path, {}, _HEADERS, json.dumps(body).encode())
            response = broker.handle(request, now_ns)
            key = f"{method} {path if method == 'GET' else path.partition('/1')[0]}"
            made.answers.setdefault(key, []).append((response.status, response.body))
        broker.advance(now_ns + 500_000_000)
    return made


def _open_sockets(broker: SimulatedBroker, made: Samples) -> None:
    session = broker.updates.connect(_Sink(made.updates), START_NS)
    login = {"LoginReq": {"MsgCode": 42, "ClientId": ACCOUNT, "Token": TOKEN}, "UserType": "SELF"}
    broker.updates.receive(session, json.dumps(login), START_NS)
    query = {"version": "2", "token": TOKEN, "clientId": ACCOUNT, "authType": "2"}
    feed = broker.feed.connect(_Sink(made.packets), query, START_NS)
    for code in (15, 17, 21):
        wanted = [
            {"ExchangeSegment": i.exchange_segment.value, "SecurityId": i.security_id}
            for i in broker.days
        ]
        request = {"RequestCode": code, "InstrumentCount": len(wanted), "InstrumentList": wanted}
        broker.feed.receive(feed, json.dumps(request), START_NS)


def _print_price(
    broker: SimulatedBroker, instrument_id: InstrumentId, price: Decimal, now_ns: int
) -> None:
    levels = [Decimal("0.10") * k for k in range(1, 6)]
    bids = tuple(DepthLevel(price - level, 60) for level in levels)
    asks = tuple(DepthLevel(price + level, 60) for level in levels)
    update = MarketUpdate(instrument_id, price, 75, depth=Depth(bids, asks))
    broker.push_market(update, now_ns)


def _calls(step: int) -> list[tuple[str, str, dict[str, object]]]:
    side = "BUY" if step % 2 == 0 else "SELL"
    place: dict[str, object] = {
        "dhanClientId": ACCOUNT, "correlationId": TAG, "transactionType": side,
        "exchangeSegment": "NSE_FNO", "productType": "MARGIN", "orderType": "LIMIT",
        "validity": "DAY", "securityId": "49081", "quantity": 75 * (step + 1),
        "price": 215.0 if side == "BUY" else 205.0,
    }  # fmt: skip
    quotes: dict[str, object] = {"NSE_FNO": [49081], "NSE_EQ": [2885]}
    reads: list[tuple[str, str, dict[str, object]]] = [("GET", path, {}) for path in _READS]
    return [("POST", "/orders", place), *reads, ("POST", "/marketfeed/quote", quotes)]
