"""One order as the journal tells of it, moved by the same rules as an order of the model.

Where the model has two sends and small numbers, a journal has any. What follows from sends and
records is `order_rules` for both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from squareoff.core.state import facts as f
from squareoff.domain.orders import BrokerOrderStatus, OrderRole
from squareoff.simulator.protocol_model.order_rules import (
    OPEN,
    UNRESOLVED,
    Kind,
    Outcome,
    Record,
    Status,
    kind_of,
    leaves_of,
    merged,
    origin_of,
)

READINGS_MIN = 3
"""Absence needs at least this many readings that lack the order."""

MODIFICATIONS_MAX = 25
"""The broker's limit per order."""

_STATUS = {
    BrokerOrderStatus.TRADED: Status.FILLED,
    BrokerOrderStatus.CANCELLED: Status.CANCELLED,
    BrokerOrderStatus.EXPIRED: Status.CANCELLED,
    BrokerOrderStatus.REJECTED: Status.REJECTED,
}


@dataclass(slots=True)
class _Sent:
    outcome: Outcome
    broker_order_id: str | None = None


@dataclass(slots=True)
class JournalOrder:
    """An order of one tracker, by what its facts have told so far."""

    role: OrderRole
    quantity: int
    attempt: int
    is_planned: bool = True
    modifications: int = 0
    sends: list[_Sent] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    confirmed: dict[str, int] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What the engine must take the order for."""
        if self.is_planned and not self.records:
            return Kind.PLANNED
        outcomes = [send.outcome for send in self.sends]
        return kind_of(self.quantity, outcomes, self._listed())

    def _listed(self) -> list[Record]:
        return [
            (Status.CANCELLED, record[1]) if name in self.missing else record
            for name, record in self.records.items()
        ]

    @property
    def cumulative(self) -> int:
        """All that filled under this id."""
        return sum(filled for _, filled in self.records.values())

    @property
    def leaves(self) -> int:
        """What the order may still close."""
        return leaves_of(self.kind, self.quantity, self._listed())

    @property
    def live_records(self) -> list[str]:
        """The broker's ids of what is open there."""
        return [
            name
            for name, (status, _) in self.records.items()
            if status in OPEN and name not in self.missing
        ]

    @property
    def is_resting(self) -> bool:
        """Say whether it is open at the broker and nothing about it is unknown."""
        return bool(self.live_records) and not self.has_unresolved_send

    @property
    def has_unresolved_send(self) -> bool:
        """Say whether the outcome of some send is open."""
        return any(send.outcome in UNRESOLVED for send in self.sends)

    # One method per fact: yield what is wrong with it, then take it in.

    def watch(self, name: str) -> None:
        """Take in `EntryWatched`: somebody else placed it, and the broker has it."""
        self.is_planned = False
        self.sends.append(_Sent(Outcome.ACCEPTED, name))
        self.records[name] = (Status.LIVE, 0)

    def drop(self) -> Iterator[str]:
        """Take in `OrderDropped`."""
        if self.kind is not Kind.PLANNED:
            yield f"drops an order that is {self.kind.name}, not PLANNED"
        self.is_planned = False

    def replan(self) -> Iterator[str]:
        """Take in `OrderReplanned`."""
        if self.kind is not Kind.ABSENT:
            yield f"plans again an order that is {self.kind.name}, not proved ABSENT"
        self.is_planned = True

    def send(self, fact: f.OrderSent) -> Iterator[str]:
        """Take in `OrderSent`."""
        if self.kind is not Kind.PLANNED:
            yield f"sends an order that is {self.kind.name}, not PLANNED"
        if self.has_unresolved_send:
            yield "sends again while the outcome of an earlier send is open"
        if fact.send_number != len(self.sends) + 1:
            yield f"send {fact.send_number} follows {len(self.sends)} sends"
        self.is_planned = False
        self.sends.append(_Sent(Outcome.IN_FLIGHT))

    def answer(self, number: int, outcome: Outcome, name: str | None = None) -> Iterator[str]:
        """Take in what became of one send; `name` is the broker's id of the accepted order."""
        if not 1 <= number <= len(self.sends):
            yield f"tells of send {number}, and there were {len(self.sends)}"
            return
        sent = self.sends[number - 1]
        allowed: tuple[Outcome, ...] = UNRESOLVED
        if outcome is Outcome.ACCEPTED:
            allowed = (*UNRESOLVED, Outcome.ABSENT)
        elif outcome is Outcome.UNKNOWN:
            allowed = (Outcome.IN_FLIGHT,)
        if sent.outcome not in allowed:
            yield f"send {number} becomes {outcome.name} and was {sent.outcome.name}"
        sent.outcome = outcome
        if name is not None:
            sent.broker_order_id = name
            self.records.setdefault(name, (Status.LIVE, 0))
            self.missing.discard(name)
        elif outcome is Outcome.UNKNOWN:
            for known in self.records:
                self._attribute(known)

    def report(self, fact: f.OrderReported) -> Iterator[str]:
        """Take in `OrderReported`."""
        if not self.sends:
            yield "the broker reports an order that was never sent"
        told = (_STATUS.get(fact.status, Status.LIVE), fact.cumulative_quantity)
        if told[1] > self.quantity:
            yield f"{told[1]} units are reported filled of {self.quantity}"
        name = fact.broker_order_id
        self.records[name] = merged(self.records.get(name), told)
        self.missing.discard(name)
        self._attribute(name)

    def _attribute(self, name: str) -> None:
        if any(send.broker_order_id == name for send in self.sends):
            return
        named = [send.broker_order_id is not None for send in self.sends]
        origin = origin_of([send.outcome for send in self.sends], named)
        if origin is not None:
            self.sends[origin].outcome = Outcome.ACCEPTED
            self.sends[origin].broker_order_id = name

    def settle(self, fact: f.OrderSettled, quarantine_seconds: float) -> Iterator[str]:
        """Take in `OrderSettled`."""
        if not any(send.outcome is Outcome.UNKNOWN for send in self.sends):
            yield "declares absent what was not unknown"
        if fact.readings < READINGS_MIN:
            yield f"declares absent after {fact.readings} readings"
        if fact.waited_seconds < quarantine_seconds:
            yield f"declares absent after {fact.waited_seconds} s, before the quarantine ends"
        for send in self.sends:
            if send.outcome in UNRESOLVED:
                send.outcome = Outcome.ABSENT

    def vanish(self, fact: f.OrderVanished) -> Iterator[str]:
        """Take in `OrderVanished`."""
        if fact.broker_order_id not in self.live_records:
            yield f"{fact.broker_order_id} vanishes and was not live"
        self.missing.add(fact.broker_order_id)

    def modify(self, fact: f.OrderModifySent) -> Iterator[str]:
        """Take in `OrderModifySent`."""
        if self.live_records != [fact.broker_order_id] or self.has_unresolved_send:
            yield "modifies an order that is not the only one alive under its id"
        if not fact.modification == self.modifications + 1 <= MODIFICATIONS_MAX:
            yield f"modification {fact.modification} follows {self.modifications}"
        self.modifications = fact.modification

    def cancel(self, fact: f.OrderCancelSent) -> Iterator[str]:
        """Take in `OrderCancelSent`. What the stream ended the order book may show alive."""
        if fact.broker_order_id not in self.records:
            yield f"cancels {fact.broker_order_id}, which nobody reported"

    def confirm(self, fact: f.FillsConfirmed) -> Iterator[str]:
        """Take in `FillsConfirmed`."""
        status, filled = self.records.get(fact.broker_order_id, (Status.NONE, 0))
        if status is Status.NONE:
            yield f"confirms fills of {fact.broker_order_id}, which nobody reported"
            return
        if fact.cumulative_quantity < filled:
            yield f"confirms {fact.cumulative_quantity} of {filled} reported fills"
        self.records[fact.broker_order_id] = status, max(filled, fact.cumulative_quantity)
        self.confirmed[fact.broker_order_id] = fact.cumulative_quantity

    @property
    def is_confirmed(self) -> bool:
        """Say whether the books were read for every fill."""
        return all(
            self.confirmed.get(name) == filled
            for name, (_, filled) in self.records.items()
            if filled
        )
