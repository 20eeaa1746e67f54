"""All tracked positions in memory, each an actor, with the indexes to find them.

Answers for: which actor an order or key belongs to; what other exits on a key may still close;
whether fills happened on a key since a reading began. Never does I/O.
Invariant: what is here was committed; the database is the authority.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from squareoff.core.state.commands import Command, TransmitOrder
from squareoff.core.state.pacing import Pacing
from squareoff.core.state.step import Decision
from squareoff.core.state.tracker import PositionTracker, SendOutcome, TrackedOrder
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.instruments import InstrumentId, PositionKey
from squareoff.domain.orders import OrderRole, Side, TradeReport
from squareoff.services.positions.key_lock import KeyLock
from squareoff.services.positions.key_totals import KeyTotals

CommandKey = tuple[str, str, str]


def transmit_key(client_order_id: ClientOrderId, send_number: int) -> CommandKey:
    """Return the key of one numbered send while it is under way."""
    return TransmitOrder.__name__, client_order_id, str(send_number)


_NO_TRACKERS = KeyTotals()
"""Of a key that has none; never noted to."""

_CLOSED_KEPT_MAX = 1_000
"""Fills kept per key: far more than a few seconds bring."""


class PositionActor:
    """One position: its committed state, and the lock that orders its inputs.

    The lock is held for one decision and its commit, never across a call to the broker.
    `in_flight` holds the command under way for each key, so that only its own task ends it.
    `decided_at_ns` is the monotonic instant at which the newest committed decision was begun,
    `wake_at_ns` the one at which `wake_handle` wakes it.
    `is_in_doubt`: the database may hold another state than `tracker`; it is read before deciding.
    """

    def __init__(self, tracker: PositionTracker) -> None:
        self.tracker = tracker
        self.pacing = Pacing()
        self.lock = asyncio.Lock()
        self.in_flight: dict[CommandKey, Command] = {}
        self.wake_handle: asyncio.TimerHandle | None = None
        self.wake_at_ns: int | None = None
        self.is_halted = False
        self.is_in_doubt = False
        self.decided_at_ns = 0
        self._changed: asyncio.Event | None = None

    @property
    def is_busy(self) -> bool:
        """Say whether something is under way for it, or will be."""
        is_woken = self.wake_handle is not None or bool(self.in_flight)
        return is_woken or self.lock.locked() or self.is_in_doubt or self._changed is not None

    def is_to_wake_at(self, wake_at_ns: int | None) -> bool:
        """Say whether it is to be woken at this instant already; a wake-up at another is off."""
        if self.wake_handle is not None:
            if wake_at_ns == self.wake_at_ns:
                return True
            self.wake_handle.cancel()
            self.wake_handle = None
        self.wake_at_ns = wake_at_ns
        return False

    def announce(self) -> None:
        """Let everybody look again who waits for a change."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_until(self, claim: Callable[[], bool]) -> None:
        """Wait until `claim` holds; it is looked at after every change."""
        while not claim():
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()

    def end_command(self, key: CommandKey, command: Command) -> None:
        """The command is done; one of the same kind that was started since stays under way."""
        if self.in_flight.get(key) is command:
            del self.in_flight[key]

    def orphaned_sends(self) -> list[tuple[ClientOrderId, int]]:
        """Return every send that is in flight by the record and that nobody here is making."""
        return [
            (order.client_order_id, send.number)
            for order in self.tracker.orders
            for send in order.sends
            if send.outcome is SendOutcome.IN_FLIGHT
            and transmit_key(order.client_order_id, send.number) not in self.in_flight
        ]


class PositionBook:
    """The actors of one account."""

    def __init__(self) -> None:
        self._actors: dict[TrackerId, PositionActor] = {}
        self._by_client_order_id: dict[ClientOrderId, TrackerId] = {}
        self._by_broker_order_id: dict[BrokerOrderId, tuple[TrackerId, ClientOrderId]] = {}
        self._by_key: dict[PositionKey, dict[TrackerId, None]] = {}
        self._keys_on: dict[InstrumentId, dict[PositionKey, None]] = {}
        self._totals: dict[PositionKey, KeyTotals] = {}
        self._key_locks: dict[PositionKey, KeyLock] = {}
        self._fill_count = 0
        self._last_fill: dict[PositionKey, int] = {}
        self._closed: dict[PositionKey, deque[tuple[int, int]]] = {}
        self._taken_back: dict[PositionKey, deque[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[PositionActor]:
        return iter(tuple(self._actors.values()))

    @property
    def has_live_exit(self) -> bool:
        """Say whether any position is claimed by an exit, driven or waiting."""
        return any(actor.tracker.has_live_intent for actor in self._actors.values())

    @property
    def has_open(self) -> bool:
        """Say whether any position is not in a final state."""
        return any(not actor.tracker.status.is_final for actor in self._actors.values())

    def add(self, tracker: PositionTracker) -> PositionActor:
        """Put a committed tracker into the book."""
        actor = PositionActor(tracker)
        self._actors[tracker.tracker_id] = actor
        self._by_key.setdefault(tracker.key, {})[tracker.tracker_id] = None
        self._keys_on.setdefault(tracker.key.instrument_id, {})[tracker.key] = None
        self._totals.setdefault(tracker.key, KeyTotals()).note(tracker)
        self._index_orders(tracker.tracker_id, tracker.orders, ())
        return actor

    def let_go(self, actor: PositionActor) -> None:
        """Take a position that has ended out of the book; the database still has it."""
        tracker = actor.tracker
        assert tracker.status.is_final and not actor.is_busy, tracker.tracker_id
        del self._actors[tracker.tracker_id]
        for order in tracker.orders:
            del self._by_client_order_id[order.client_order_id]
            for broker_order_id in _broker_order_ids_of(order):
                self._by_broker_order_id.pop(broker_order_id, None)
        self._totals[tracker.key].drop(tracker)
        del self._by_key[tracker.key][tracker.tracker_id]
        if not self._by_key[tracker.key]:
            self._forget_key(tracker.key)

    def _forget_key(self, key: PositionKey) -> None:
        for index in (self._by_key, self._totals, self._last_fill, self._closed, self._taken_back):
            index.pop(key, None)
        if (lock := self._key_locks.get(key)) is not None and lock.is_free:
            del self._key_locks[key]
        keys = self._keys_on[key.instrument_id]
        del keys[key]
        if not keys:
            del self._keys_on[key.instrument_id]

    def apply(self, actor: PositionActor, decision: Decision) -> None:
        """Take over a committed decision."""
        actor.pacing = decision.pacing
        self.replace(actor, decision.tracker, actor.decided_at_ns)

    def replace(self, actor: PositionActor, after: PositionTracker, at_ns: int) -> None:
        """Take over a committed state, decided here or elsewhere; `at_ns` is monotonic."""
        before = actor.tracker
        actor.tracker = after
        if after is before:
            return
        self._totals[after.key].note(after)
        closed = after.exited_quantity - before.exited_quantity
        if closed > 0:
            self.note_closed(after.key, closed, at_ns)
        if after.over_exited_quantity and after.orders is not before.orders:
            self._note_taken_back(after, before, at_ns)
        if after.exited_quantity != before.exited_quantity or after.quantity != before.quantity:
            self._fill_count += 1
            self._last_fill[after.key] = self._fill_count
        if after.orders is not before.orders:
            self._index_orders(after.tracker_id, after.orders, before.orders)

    def _index_orders(
        self,
        tracker_id: TrackerId,
        orders: tuple[TrackedOrder, ...],
        indexed: tuple[TrackedOrder, ...],
    ) -> None:
        """Index every order but those that are the same as before."""
        for order, known in zip_longest(orders, indexed):
            if order is None or order is known:
                continue
            self._by_client_order_id[order.client_order_id] = tracker_id
            owner = (tracker_id, order.client_order_id)
            for broker_order_id in _broker_order_ids_of(order):
                self._by_broker_order_id[broker_order_id] = owner

    def get(self, tracker_id: TrackerId) -> PositionActor | None:
        """Return one actor, or None."""
        return self._actors.get(tracker_id)

    def owner_of(
        self, client_order_id: ClientOrderId | None, broker_order_id: BrokerOrderId
    ) -> tuple[PositionActor, ClientOrderId] | None:
        """Return who a broker record belongs to: by our id first, then by the broker's."""
        if client_order_id is not None and client_order_id in self._by_client_order_id:
            tracker_id = self._by_client_order_id[client_order_id]
            return self._actors[tracker_id], client_order_id
        owner = self._by_broker_order_id.get(broker_order_id)
        return None if owner is None else (self._actors[owner[0]], owner[1])

    def own_broker_order_ids(self) -> frozenset[BrokerOrderId]:
        """Return every broker order id that is ours."""
        return frozenset(self._by_broker_order_id)

    def on_key(self, key: PositionKey) -> tuple[PositionTracker, ...]:
        """Return the trackers on one position of the broker."""
        return tuple(self._actors[tracker_id].tracker for tracker_id in self._by_key.get(key, {}))

    def on_instrument(self, instrument_id: InstrumentId) -> tuple[PositionActor, ...]:
        """Return the actors on one instrument, whatever the product."""
        return tuple(
            self._actors[tracker_id]
            for key in self._keys_on.get(instrument_id, ())
            for tracker_id in self._by_key[key]
        )

    def instrument_ids(self) -> tuple[InstrumentId, ...]:
        """Return every instrument that has trackers."""
        return tuple(self._keys_on)

    def position_keys(self) -> tuple[PositionKey, ...]:
        """Return every key that has trackers."""
        return tuple(self._by_key)

    def key_lock(self, key: PositionKey) -> KeyLock:
        """Return the lock that orders sizing decisions on one key."""
        return self._key_locks.setdefault(key, KeyLock())

    def others_leaves(self, tracker: PositionTracker) -> int:
        """Return what live and planned exits of other trackers on the key may still close."""
        return self._totals_of(tracker.key).leaves_beside(tracker)

    def others_open(self, tracker: PositionTracker) -> int:
        """Return what other trackers on the key hold on the same side."""
        return self._totals_of(tracker.key).open_beside(tracker)

    def opposed_open(self, tracker: PositionTracker) -> int:
        """Return what trackers on the other side of the key hold."""
        return self._totals_of(tracker.key).open_against(tracker)

    def beside(self, tracker: PositionTracker) -> tuple[PositionTracker, ...]:
        """Return the other trackers on the key."""
        on_key = self.on_key(tracker.key)
        return tuple(each for each in on_key if each.tracker_id != tracker.tracker_id)

    def is_moving(self, key: PositionKey) -> bool:
        """Say whether an order of ours on the key is planned, live or unknown."""
        return self._totals_of(key).is_moving()

    def is_unsettled(self, key: PositionKey) -> bool:
        """Say whether one moves that is no exit resting at the exchange."""
        return self._totals_of(key).is_unsettled()

    def exit_leaves(self, key: PositionKey) -> int:
        """Return what planned and live exits on the key may still close."""
        return self._totals_of(key).exit_leaves()

    def signed_quantity(self, key: PositionKey) -> int:
        """Return what the trackers on the key say that the broker's net is."""
        return self._totals_of(key).signed_quantity()

    def is_all_there(self, key: PositionKey, net: int) -> bool:
        """Say whether a net of the broker shows at least what each side of the key holds."""
        return self._totals_of(key).is_all_there(net)

    def signed_fills(self, key: PositionKey) -> int:
        """Return the signed sum of all known fills of ours on a key (buys above zero)."""
        return self._totals_of(key).signed_fills()

    def _totals_of(self, key: PositionKey) -> KeyTotals:
        return self._totals.get(key, _NO_TRACKERS)

    @property
    def fill_count(self) -> int:
        """A count that rises with every change of a held or closed quantity."""
        return self._fill_count

    def has_filled_since(self, key: PositionKey, fill_count: int) -> bool:
        """Say whether a quantity on the key changed after the count was `fill_count`."""
        return self._last_fill.get(key, 0) > fill_count

    def explains(
        self, key: PositionKey, exit_side: Side, trades: Iterable[TradeReport], since_ns: int
    ) -> bool:
        """Say whether `trades` hold every fill of ours on the key, and nobody else's on the exit
        side since `since_ns` (UTC ns). Positions that ended before that are not asked for."""
        on_key = [
            trade
            for trade in trades
            if trade.instrument_id == key.instrument_id and trade.product_type is key.product_type
        ]
        found: Counter[BrokerOrderId] = Counter()
        for trade in on_key:
            found[trade.broker_order_id] += trade.quantity
        lately = [
            tracker
            for tracker in self.on_key(key)
            if tracker.exited_at_ns is None or tracker.exited_at_ns >= since_ns
        ]
        is_whole = all(
            found[record.broker_order_id] >= record.cumulative_quantity
            for tracker in lately
            for order in tracker.orders
            for record in order.broker_orders
        )
        return is_whole and not any(
            trade.side is exit_side
            and trade.broker_order_id not in self._by_broker_order_id
            and (trade.exchange_time_ns is None or trade.exchange_time_ns >= since_ns)
            for trade in on_key
        )

    def note_closed(self, key: PositionKey, quantity: int, at_ns: int) -> None:
        """Note that exits of ours closed `quantity` on a key; `at_ns` is monotonic."""
        recent = self._closed.setdefault(key, deque(maxlen=_CLOSED_KEPT_MAX))
        recent.append((at_ns, quantity))

    def _note_taken_back(self, after: PositionTracker, before: PositionTracker, at_ns: int) -> None:
        taken = _taken_back_quantity(after) - _taken_back_quantity(before)
        if taken > 0:
            recent = self._taken_back.setdefault(after.key, deque(maxlen=_CLOSED_KEPT_MAX))
            recent.append((at_ns, taken))

    def others_taking_back(self, tracker: PositionTracker, since_ns: int) -> int:
        """Return what other trackers on the key may still take back of what they closed too much,
        and what was taken back there since a monotonic instant."""
        if tracker.over_exited_quantity == 0:
            return 0  # nobody asks
        may_fill = sum(
            order.leaves_quantity
            for other in self.beside(tracker)
            for order in other.orders
            if order.role is OrderRole.FLATTEN
        )
        recent = self._taken_back.get(tracker.key, ())
        return may_fill + sum(quantity for at_ns, quantity in recent if at_ns >= since_ns)

    def closed_since(self, key: PositionKey, since_ns: int) -> int:
        """Return what exits of ours closed on a key since a monotonic instant."""
        return sum(quantity for at_ns, quantity in self._closed.get(key, ()) if at_ns >= since_ns)


def _broker_order_ids_of(order: TrackedOrder) -> Iterator[BrokerOrderId]:
    yield from (record.broker_order_id for record in order.broker_orders)
    yield from (send.broker_order_id for send in order.sends if send.broker_order_id is not None)


def _taken_back_quantity(tracker: PositionTracker) -> int:
    """Return what orders of ours took back of what was closed too much."""
    return sum(
        order.cumulative_quantity for order in tracker.orders if order.role is OrderRole.FLATTEN
    )
