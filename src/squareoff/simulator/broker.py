"""The simulated broker at the wire level, without I/O: requests in, answers and frames out.

Time is an argument in UTC nanoseconds, randomness an injected generator; whoever owns time calls
`advance` at `next_due_ns`. The server does so with a real clock, a simulation with a virtual one.

Invariants:
1. Nothing happens on its own: only in `handle`, `advance` and the admin methods.
2. Same calls, same times, same seed: same bytes.
"""

import random
from collections.abc import Iterable, Mapping
from typing import Any

from squareoff.domain.instruments import InstrumentId
from squareoff.exchange.engine import MatchingEngine
from squareoff.exchange.rules import (
    MarketPolicy,
    MatchingRules,
    ProtectionSlab,
    RejectCode,
    StopMarketPolicy,
)
from squareoff.simulator.agenda import Agenda
from squareoff.simulator.catalogue import Listing, default_listings
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.desk import OrderDesk
from squareoff.simulator.faults import NO_FAULT, FaultDecision, FaultPlan, FaultPoint
from squareoff.simulator.feed import FeedHub
from squareoff.simulator.identity import DEFAULT_CLIENT_ID, Identity
from squareoff.simulator.market import InstrumentDay, MarketClock, MarketUpdate
from squareoff.simulator.orders import Account
from squareoff.simulator.received import Entry, ReceivedLog, note_answer
from squareoff.simulator.replay import Replay
from squareoff.simulator.routes import answer
from squareoff.simulator.rows import order_row
from squareoff.simulator.sessions import FrameGate
from squareoff.simulator.updates import OrderUpdateHub
from squareoff.simulator.wire import WireRequest, WireResponse, body_fields


class SimulatedBroker:
    """One broker with its accounts, market, sockets and faults.

    Args:
        chance: the only source of randomness.
        now_ns: the time of birth; the replay's market time starts here.
        conduct: the knobs; assign `conduct` to change them later.
        listings: the instruments, default the built-in ones.
        credentials: access token -> client id; empty lets any token in, to one account.
        replay: recorded market data to play, with `speed` market seconds per second.
    """

    def __init__(
        self,
        chance: random.Random,
        now_ns: int,
        *,
        conduct: BrokerConduct | None = None,
        listings: Iterable[Listing] | None = None,
        credentials: Mapping[str, str] | None = None,
        replay: Replay | None = None,
        speed: float = 1.0,
        faults: FaultPlan | None = None,
    ) -> None:
        self.now_ns = now_ns
        self._conduct = conduct or BrokerConduct()
        self.agenda = Agenda()
        self.faults = faults or FaultPlan(chance)
        self.identity = Identity(credentials or {})
        self.days: dict[InstrumentId, InstrumentDay] = {}
        self.engine = MatchingEngine(matching_rules(self._conduct))
        self.received = ReceivedLog()
        gate = FrameGate(self.faults, self.agenda, chance, self.received)
        self.updates = OrderUpdateHub(gate, self.agenda, self.get_conduct, self.identify)
        self.feed = FeedHub(gate, self.agenda, self.get_conduct, self.identify, self.days)
        self.desk = OrderDesk(self.engine, self.agenda, self.updates, self.get_conduct, chance)
        self.replay = replay or Replay([])
        self.clock = MarketClock(now_ns, speed)
        for listing in default_listings() if listings is None else listings:
            self.list_instrument(listing)
        for client_id in self.identity.client_ids() or [DEFAULT_CLIENT_ID]:
            self.desk.accounts[client_id] = Account(client_id)

    @property
    def conduct(self) -> BrokerConduct:
        """The knobs in force."""
        return self._conduct

    @conduct.setter
    def conduct(self, conduct: BrokerConduct) -> None:
        was_closed = self._conduct.market_hours == "closed"
        self._conduct = conduct
        self.engine.rules = matching_rules(conduct)
        if was_closed and conduct.market_hours == "open":
            self.desk.open_market(self.now_ns)

    def get_conduct(self) -> BrokerConduct:
        """Return the knobs in force, for parts that outlive a change of them."""
        return self._conduct

    def list_instrument(self, listing: Listing) -> None:
        """Admit an instrument, or replace its terms; its market and positions stay."""
        known = self.days.get(listing.instrument_id)
        if known is None:
            self.days[listing.instrument_id] = InstrumentDay(listing)
        else:
            known.listing = listing
        self.engine.list_instrument(listing.instrument)

    def listings(self) -> dict[InstrumentId, Listing]:
        """Return all instruments."""
        return {instrument_id: day.listing for instrument_id, day in self.days.items()}

    def account(self, client_id: str = "") -> Account:
        """Return an account: the named one, or the first. Raises KeyError for an unknown name."""
        if self.identity.is_open or not client_id:
            return next(iter(self.desk.accounts.values()))
        return self.desk.accounts[client_id]

    def identify(self, client_id: str, token: str) -> str | None:
        """Return the client a socket's credentials belong to, None where they are refused."""
        owner = self.identity.client_of(client_id, token)
        if not self._conduct.token_is_alive or owner is None or self._is_dead(token):
            return None
        if self._conduct.token_death_ends_sockets:
            self.agenda.add(self._expires_ns(token), lambda _: self.end_dead_sockets())
        return self._adopted(owner)

    def end_dead_sockets(self) -> None:
        """End the sockets of tokens that were killed or expired, where the conduct says so."""
        if self._conduct.token_death_ends_sockets:
            self.updates.end_dead(self._is_dead)
            self.feed.end_dead(self._is_dead)

    def _is_dead(self, token: str) -> bool:
        """Say whether a token was killed or has expired; a socket without one is not logged in."""
        if not token:
            return False
        return self.identity.is_dead(token) or self.now_ns >= self._expires_ns(token)

    def _expires_ns(self, token: str) -> int:
        return self.identity.expires_ns(token, self._conduct.token_hours, self.now_ns)

    def decide(self, request: WireRequest, now_ns: int) -> FaultDecision:
        """Return which fault befalls this request; call once per request, before `handle`."""
        point = FaultPoint(
            method=request.method, path=request.path, fields=self._fields_of(request)
        )
        return self.faults.decide(point, now_ns)

    def handle(
        self,
        request: WireRequest,
        now_ns: int,
        decision: FaultDecision = NO_FAULT,
        entry: Entry | None = None,
    ) -> WireResponse:
        """Act on one REST request (path without `/v2`) and return the true answer.

        What the network then does to the answer is in `decision`, for the caller to carry out.
        `entry` is that of the request's arrival, None where it arrives only now.
        """
        self.advance(now_ns)
        if entry is None:
            entry = self.received.note_call(request, decision, now_ns)
        entry["acted_ns"] = now_ns
        response = answer(self, request, now_ns, decision)
        note_answer(entry, response)
        return response

    def next_due_ns(self) -> int | None:
        """Return when something is due: an agenda entry or a step of the replay."""
        market_due = self.replay.next_due_ns()
        dues = (
            self.agenda.next_due_ns(),
            None if market_due is None else self.clock.real_due_ns(market_due),
        )
        return min((due for due in dues if due is not None), default=None)

    def advance(self, now_ns: int) -> None:
        """Do everything due up to `now_ns`, in order of time."""
        while (due_ns := self.next_due_ns()) is not None and due_ns <= now_ns:
            self.now_ns = max(self.now_ns, due_ns)
            agenda_due = self.agenda.next_due_ns()
            if agenda_due is not None and agenda_due <= due_ns:
                self.agenda.advance(agenda_due)
                continue
            market_due = self.replay.next_due_ns()
            assert market_due is not None, "what is due is the agenda's or the replay's"
            for update in self.replay.take_due(market_due):
                self.push_market(update, self.now_ns)
        self.now_ns = max(self.now_ns, now_ns)

    def push_market(self, update: MarketUpdate, now_ns: int) -> None:
        """Take one step of the market: match, then tell the feed. Raises KeyError: not listed."""
        instrument_id = update.instrument_id
        day = self.days[instrument_id]
        day.apply(update, now_ns)
        if update.depth is not None:
            events = self.engine.on_depth(instrument_id, update.depth, now_ns, update.last_price)
        elif update.last_price is not None:
            events = self.engine.on_tick(
                instrument_id, update.last_price, now_ns, update.available_quantity
            )
        else:
            events = []
        self.feed.push(instrument_id, now_ns, is_print=update.last_price is not None)
        self.desk.take_events(events)

    def _adopted(self, client_id: str | None) -> str | None:
        """Without credentials there is one account, which takes the name that clients use."""
        if client_id is None or not self.identity.is_open:
            return client_id
        account = self.account()
        if client_id and account.client_id != client_id:
            del self.desk.accounts[account.client_id]
            self.updates.rename(account.client_id, client_id)
            self.feed.rename(account.client_id, client_id)
            account.client_id = client_id
            self.desk.accounts[client_id] = account
            for order in account.orders.values():
                order.client_id = client_id
        return account.client_id

    def adopt(self, client_id: str | None) -> Account | None:
        """Return the account of a recognised client, None where it is refused."""
        adopted = self._adopted(client_id)
        return None if adopted is None else self.desk.accounts.get(adopted)

    def _fields_of(self, request: WireRequest) -> dict[str, Any]:
        """Return what a fault rule can match on: the order a path names, the query, the body."""
        fields: dict[str, Any] = {}
        name = request.path.rsplit("/", 1)[-1]
        order = self.desk.orders.get(name)
        if order is not None:
            fields |= order_row(order, self._conduct)
        elif request.path.startswith("/orders/external/"):
            fields["correlationId"] = name
        fields |= request.query
        return fields | body_fields(request.body) if request.body else fields


def matching_rules(conduct: BrokerConduct) -> MatchingRules:
    """Return the exchange's rules that these knobs mean."""
    checks = set(RejectCode)
    if conduct.check_lot_size == "off":
        checks.discard(RejectCode.LOT_SIZE)
    is_immediate = conduct.stop_loss_market == "immediate"
    return MatchingRules(
        quantity_per_print=conduct.quantity_per_print,
        market_policy=MarketPolicy[conduct.market_orders.upper()],
        stop_market_policy=StopMarketPolicy.IMMEDIATE if is_immediate else StopMarketPolicy.WAIT,
        option_slabs=tuple(ProtectionSlab(*slab) for slab in conduct.protection_slabs_options),
        other_slabs=tuple(ProtectionSlab(*slab) for slab in conduct.protection_slabs_others),
        checks=frozenset(checks),
    )
