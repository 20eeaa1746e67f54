"""Everything outside the engine's process: the broker, its market, the database, time and chance.

The world's own actions run without an owner, so that they outlive every process. After each thing
the broker does, the auditor looks.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from squareoff.adapters.sql.runners import InlineRunner
from squareoff.adapters.sql.sqlite_engine import memory_engine
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import metadata
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.sessions import ALL_DAY, TradingDay
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.admin_desk import AdminDesk
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import Listing, default_listings
from squareoff.simulator.conduct import BrokerConduct, conduct_from_json
from squareoff.simulator.market import MarketUpdate
from squareoff.simulator.nights import end_orders, pass_night
from squareoff.simulator.virtual.auditor import Auditor
from squareoff.simulator.virtual.coverage import ENGINE_DOWN, Coverage
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES, OUTLAW_CLASSES
from squareoff.simulator.virtual.heard_faults import HeardFaultPlan
from squareoff.simulator.virtual.incarnation import AlertLog
from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.network import NetworkFaults, VirtualConnection
from squareoff.simulator.virtual.store_at_risk import StoreFaults
from squareoff.simulator.virtual.trace import Trace
from squareoff.simulator.virtual.virtual_lock import LockFile
from squareoff.simulator.virtual.virtual_loop import VirtualLoop
from squareoff.simulator.virtual.virtual_tokens import VirtualTokenFile

T = TypeVar("T")

ACCOUNT = AccountId("1100003626")
TOKEN = "canary-token-7b1d93c2e5f84a60"
"""The access token of every run; it must show up nowhere but in requests to the broker (I11)."""

WALL_BASE_NS = 1_765_343_700_000_000_000
"""Where virtual time begins: 2025-12-10 10:45 IST, a Wednesday in the session."""

_NIGHT_NS = (22 * 60 + 45) * 60 * 1_000_000_000
"""From 10:45 to 09:30 of the next day, which is a Thursday."""

_OFF_TICK_SHARES = (Decimal("0.4"), Decimal("-0.4"), Decimal("0.2"))
"""Parts of a price step: what lies off the grid by less than half a step has one nearest price."""

_FREEZE_PART = 3
_LISTED = ("49081", "49082", "2885", "1333")


@lru_cache(maxsize=1)
def _listings() -> tuple[Listing, ...]:
    return tuple(each for each in default_listings() if each.instrument_id.security_id in _LISTED)


@lru_cache(maxsize=1)
def _engine() -> Engine:
    """One database in memory per process of ours: compiled statements are kept between runs."""
    engine = memory_engine()
    metadata.create_all(engine)
    return engine


def raw_connection() -> sqlite3.Connection:
    """Return the database's own connection, for readers that share no code with the store."""
    connection = _engine().raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection), "the database is SQLite in memory"
    return connection


def _emptied_store() -> SqlStore:
    with _engine().begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return SqlStore(InlineRunner(_engine()), ACCOUNT)


class World:
    """One run's outside. `chance(name)` gives each part a generator of its own."""

    def __init__(self, seed: int, knobs: Knobs, loop: VirtualLoop, trace: Trace) -> None:
        self.seed = seed
        self.knobs = knobs
        needs_file = "token_file_torn" in (*knobs.events, *knobs.strikes)
        self.token_file = VirtualTokenFile(TOKEN) if knobs.has_token_file or needs_file else None
        self._night_ns = 0
        self.has_session_ended = False
        """Whether the first day's session is over; a run has one night at most."""
        self.loop = loop
        self.trace = trace
        self.network_chance = self.chance("network")
        self.market_chance = self.chance("market")
        self.coverage = Coverage()
        self.network_faults = NetworkFaults(knobs.rates, self.strike_engine)
        self.store_faults = StoreFaults(knobs.rates)
        broker_chance = self.chance("broker")
        self.broker = SimulatedBroker(
            broker_chance,
            WALL_BASE_NS,
            conduct=conduct_from_json(dict(knobs.conduct)),
            listings=_listings(),
            credentials={TOKEN: ACCOUNT},
            faults=HeardFaultPlan(broker_chance, self.strike_engine),
        )
        self.admin = AdminDesk(self.broker)
        self.store = _emptied_store()
        self.runner = InlineRunner(_engine())
        self.lock_file = LockFile()
        self.alerts = AlertLog(self.broker_ns)
        self.auditor = Auditor(self.broker, raw_connection(), ACCOUNT, TOKEN, self.broker_ns)
        self.note_request = self.auditor.hear
        self.note_answer = self.auditor.writes.hear_answer
        self._master = {one.instrument_id: one for one in self.instruments()}
        self.has_empty_book = False
        self.calendar_is_wrong = False
        self.connections: Callable[[], list[VirtualConnection]] = list
        """The open connections of the process that is alive; the run tells."""
        self._step_ns = 0
        self._jump_ns = 0
        self._slew = 0.0
        self._slew_from_ns = 0
        self.is_healed = False
        self.feed_late_seconds = knobs.feed_late_seconds
        self.auditor.buffered_ns += round(knobs.feed_late_seconds * 1e9)
        self.context = Context()
        self._pump_timer: asyncio.TimerHandle | None = None
        self._prices: dict[InstrumentId, Decimal] = {}
        self._add_faults()

    def store_of(self, epoch: int | None) -> SqlStore:
        """Return the store as an owner of this epoch sees it; None writes unfenced."""
        return self.store if epoch is None else SqlStore(self.runner, ACCOUNT, epoch)

    def chance(self, name: str) -> random.Random:
        """Return a generator of this seed for one purpose."""
        return random.Random(f"{name} {self.seed}")

    def broker_ns(self) -> int:
        """Return the broker's clock, UTC nanoseconds; only a night passes in one step."""
        return WALL_BASE_NS + self.loop.now_ns() + self._night_ns

    def wall_ns(self) -> int:
        """Return the machine's wall clock, which may step, jump, and run fast or slow."""
        now_ns = self.broker_ns()
        slewed_ns = round((now_ns - self._slew_from_ns) * self._slew) if self._slew else 0
        return now_ns + self._step_ns + self._jump_ns + slewed_ns

    def end_session(self) -> None:
        """Close the exchange: what works expires, and no order is taken until the next day."""
        self.has_session_ended = True
        self.note("session ends")
        self.change_conduct(market_hours="closed")
        self.act("close", partial(end_orders, self.broker))

    def begin_next_day(self) -> None:
        """Let the night pass in one step; the new day knows of the old what was carried."""
        self._stop_slew()
        self._night_ns += _NIGHT_NS
        self.auditor.night_ns = self.broker_ns()
        self.auditor.buffered_ns += _NIGHT_NS  # a socket's buffer outlasts a sleep of the machine
        pass_night(self.broker, self.broker_ns())
        self.change_conduct(market_hours="open")
        self.act("next day", lambda now_ns: None)

    def step_clock(self, by_ns: int) -> None:
        """Let a time server step the wall clock."""
        self.strike("clock_step")
        self.auditor.read_journal()  # by the clock that stamped it
        self._step_ns += by_ns
        self._note_clock()

    def jump_clock(self, seconds: float) -> None:
        """Let the wall clock stand this far off; 0 corrects it."""
        self.auditor.read_journal()
        self._jump_ns = round(seconds * 1e9)
        self._note_clock()

    def slew_clock(self, rate: float) -> None:
        """Let the wall clock run fast or slow from now on."""
        self.strike("clock_slew")
        self._stop_slew()
        self._slew, self._slew_from_ns = rate, self.broker_ns()
        self.auditor.hear_slew(round(abs(rate) * self.knobs.chaos_seconds * 1e9))

    def _stop_slew(self) -> None:
        self._step_ns = self.wall_ns() - self.broker_ns() - self._jump_ns
        self._slew = 0.0

    def _note_clock(self) -> None:
        error_ns = self.wall_ns() - self.broker_ns()
        self.auditor.hear_clock(error_ns)
        self.note("clock stepped", f"{error_ns}")

    def strike(self, fault_class: str) -> None:
        """Count a fault, which strikes now."""
        self.coverage.strike(fault_class, self.broker_ns())
        self.auditor.over_exits.hear_strike(fault_class, self.broker_ns())

    def strike_engine(self, fault_class: str) -> None:
        """Count a fault of a call or a frame; one that no engine of the account hears is none."""
        if self.coverage.engine_state() != ENGINE_DOWN:
            self.strike(fault_class)

    def note(self, kind: str, text: str = "") -> None:
        """Add a line to the trace."""
        self.trace.add(self.loop.now_ns(), kind, text)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something of the world's own later."""
        self.loop.call_later(max(0.0, seconds), action, context=self.context)

    def act(self, name: str, action: Callable[[int], T]) -> T:
        """Let the broker do something now; then let the auditor look."""
        now_ns = self.broker_ns()
        self.broker.advance(now_ns)
        result = action(now_ns)
        outcome = getattr(result, "ending", None)
        status = getattr(getattr(result, "response", None), "status", "")
        self.note("broker", f"{name} {outcome.value if outcome else ''} {status}".rstrip())
        self.auditor.look(now_ns)
        self._arm()
        return result

    def _arm(self) -> None:
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        due_ns = self.broker.next_due_ns()
        if due_ns is None:
            return
        # One nanosecond more: a float of seconds must not land before the due instant.
        seconds = max(0, due_ns - self.broker_ns() + 1) / 1e9
        self._pump_timer = self.loop.call_later(seconds, self._pump, context=self.context)

    def _pump(self) -> None:
        self._pump_timer = None
        now_ns = self.broker_ns()
        self.broker.advance(now_ns)
        self.auditor.look(now_ns)
        self._arm()

    def instruments(self) -> list[Instrument]:
        """Return what is traded in this world."""
        return [listing.instrument for listing in self.broker.listings().values()]

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return an instrument as the master file tells it: fulfils `ports.InstrumentSource`."""
        return self._master.get(instrument_id)

    def is_open(self, _segment: object, _wall_ns: int) -> bool:
        """It is always market time, says a calendar that is right: fulfils `SessionCalendar`."""
        return not self.calendar_is_wrong

    def seconds_to_open(self, _segment: object, _wall_ns: int) -> float:
        """Never closed; where the calendar is wrong it says so for an hour."""
        return 3_600.0 if self.calendar_is_wrong else 0.0

    def seconds_to_last_close(self, _segment: object, _wall_ns: int) -> float | None:
        """Never closing."""
        return None

    def trading_day(self, _segment: object, _day: object) -> TradingDay:
        """Return a day without nights."""
        return ALL_DAY

    def price(self, instrument_id: InstrumentId) -> Decimal:
        """Return the market's last price, rupees."""
        return self._prices[instrument_id]

    def print_price(self, instrument: Instrument, price: Decimal) -> None:
        """Let the market trade at a price, with depth around it."""
        tick = instrument.tick_size
        self._prices[instrument.instrument_id] = price
        thin = self.knobs.thin_market and not self.is_healed
        size = instrument.lot_size * self.market_chance.randint(1, 4) if thin else 10**7
        levels = range(1, 3)
        bids = tuple(DepthLevel(max(price - tick * k, tick), size) for k in levels)
        asks = tuple(DepthLevel(price + tick * k, size) for k in levels)
        depth = Depth((), ()) if self.has_empty_book else Depth(bids, asks)
        shown = price
        if self.network_faults.hits("feed_off_tick", self.market_chance):
            shown += tick * self.market_chance.choice(_OFF_TICK_SHARES)
        update = MarketUpdate(instrument.instrument_id, shown, instrument.lot_size, depth=depth)
        self.auditor.hear_print(instrument.instrument_id, price, self.broker_ns())
        self.act(
            f"print {instrument.instrument_id.security_id} {price}",
            lambda now_ns: self.broker.push_market(update, now_ns),
        )

    def trade_in_app(self, key: tuple[str, str, str], signed: int, price: str | None) -> None:
        """Let a person trade in the broker's own app, at the last price where none is named."""
        segment, security_id, product = key
        body = {
            "exchange_segment": segment,
            "security_id": security_id,
            "product_type": product,
            "net_quantity": signed,
        }
        if price is not None:
            body["price"] = price
        self.act(
            f"app trade {security_id} {signed}",
            lambda now_ns: self.admin.trade_in_app(body, now_ns),
        )

    def lower_freeze(self) -> None:
        """Let the exchange take less in one order than the master says, from now on."""
        for listing in self.broker.listings().values():
            freeze = self._master[listing.instrument_id].freeze_quantity
            lot = listing.instrument.lot_size
            if freeze is not None:
                lower = max(lot, freeze // _FREEZE_PART // lot * lot)
                terms = replace(listing.instrument, freeze_quantity=lower)
                self.broker.list_instrument(replace(listing, instrument=terms))

    @property
    def tokens(self) -> list[str]:
        """All access tokens of the run, the newest last."""
        return [TOKEN] if self.token_file is None else self.token_file.tokens

    def mint_token(self) -> str:
        """Let the broker make another token; all that were before it are dead."""
        hours = self.broker.conduct.token_hours
        fresh = self.broker.identity.mint(ACCOUNT, self.broker_ns(), hours)
        self.broker.end_dead_sockets()
        return fresh

    def change_conduct(self, **changes: Any) -> None:
        """Change knobs of the broker; those that are not named stay as they are."""
        self.broker.conduct = conduct_from_json(changes, self.broker.conduct)

    def _add_faults(self) -> None:
        rules = []
        for name, rate in {**self.knobs.rates, **self.knobs.outlaws}.items():
            maker = FAULT_CLASSES.get(name) or OUTLAW_CLASSES.get(name)
            if maker is not None:
                rules += maker(rate)
        self.broker.faults.add(rules, WALL_BASE_NS)

    def heal(self) -> None:
        """End every fault: the network, the broker, the database and the market work again."""
        self.is_healed = True
        self.broker.faults.clear()
        self.network_faults.rates.clear()
        self.store_faults.heal()
        self.has_empty_book = False
        self.calendar_is_wrong = False
        self.feed_late_seconds = 0.0
        self._put_good_token()
        # Once more: a renewal that was under way may have come back with a token that died of it.
        self.later(3.0, self._put_good_token)
        self.jump_clock(0.0)
        self._stop_slew()
        harmless = ("alert_", "delete_answer", "external_shape", "numbers_", "market_orders")
        kept = {n: v for n, v in self.knobs.conduct.items() if n.startswith(harmless)}
        self.broker.conduct = conduct_from_json(kept, BrokerConduct())
        for instrument in self.instruments():
            self.broker.engine.set_halted(instrument.instrument_id, is_halted=False)
        self.act("heal", self._free_orders)
        self.auditor.is_healed = True
        for instrument in self.instruments():
            self.print_price(instrument, self.price(instrument.instrument_id))
        self.note("healed")

    def _put_good_token(self) -> None:
        """A person sees to it that the file holds a token that the broker takes."""
        file = self.token_file
        if file is None:
            return
        file.finish_writing()
        if self.broker.identity.client_of(ACCOUNT, self.tokens[-1]) is None:
            file.write(self.mint_token())  # its renewal killed it and the answer was lost

    def free_late_orders(self) -> None:
        """Lift the caps of orders that were on the wire when the world was healed."""
        if any(order.fill_cap is not None for order in self.broker.account().open_orders()):
            self.act("free", self._free_orders)

    def _free_orders(self, now_ns: int) -> None:
        """Lift the caps of rehearsed partial fills."""
        for order in self.broker.account().open_orders():
            order.fill_cap = None
            if self.broker.engine.working_order(order.order_id) is not None:
                events = self.broker.engine.set_fill_cap(order.order_id, None, now_ns)
                self.broker.desk.take_events(events)
