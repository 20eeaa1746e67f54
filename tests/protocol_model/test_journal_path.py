"""Journals of simulated runs are paths of the protocol, and spoiled ones are not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from seed_journals import Journal, journal_of_seed
from squareoff.core.state import facts as f
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason, OrderState
from squareoff.simulator.protocol_model.journal_path import JournalPath, journal_path
from squareoff.simulator.protocol_model.order_rules import Kind

# Run where the page folds the same journals, which a process makes once for all (`seed_journals`).
pytestmark = pytest.mark.xdist_group("chromium")

SEEDS = 100
CHUNK = 25
SPOILED_SEEDS = range(30)

_KINDS = {
    OrderState.PLANNED: Kind.PLANNED,
    OrderState.ABSENT: Kind.ABSENT,
    OrderState.FILLED: Kind.FILLED,
}


def _kind_in_engine(state: OrderState) -> Kind:
    if state.is_live:
        return Kind.LIVE
    return _KINDS.get(state, Kind.ENDED_SHORT)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_journals_of_simulated_runs_are_paths(first: int) -> None:
    """Whatever faults and crashes a seed has, its journal takes only steps of the protocol."""
    found = {seed: journal_path(journal_of_seed(seed)) for seed in range(first, first + CHUNK)}

    assert {seed: faults for seed, faults in found.items() if faults} == {}
    assert all(journal_of_seed(seed) for seed in found)


@pytest.mark.parametrize("seed", SPOILED_SEEDS)
def test_the_engine_and_the_model_see_the_same_order(seed: int) -> None:
    """After every fact, each order is the same to the engine's fold and to the model's rules."""
    trackers: dict[str, PositionTracker | None] = {}
    paths: dict[str, JournalPath] = {}
    for entry in journal_of_seed(seed):
        fact = entry.fact
        if not isinstance(fact, f.TrackerFact):
            continue
        name = fact.tracker_id
        tracker = trackers[name] = evolve(trackers.get(name), fact, entry.time_ns)
        path = paths.setdefault(name, JournalPath(10.0))
        assert list(path.take(fact)) == []
        for order in tracker.orders:
            ours = path.orders[order.client_order_id]
            seen = _kind_in_engine(order.state), order.cumulative_quantity, order.leaves_quantity
            assert (ours.kind, ours.cumulative, ours.leaves) == seen, (entry.seq, order)


Spoiled = Iterator[list[JournalEntry]]


def _without(kind: type[object]) -> Callable[[Journal], Spoiled]:
    """Leave out one entry of this kind, each in turn."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, kind):
                yield [*journal[:place], *journal[place + 1 :]]

    return spoil


def _without_before(kind: type[object], later: type[object]) -> Callable[[Journal], Spoiled]:
    """Leave out one entry of this kind that a later one about the same order, or about the same
    position, rests on."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, kind) and any(
                isinstance(other.fact, later) and _subject(other.fact) == _subject(entry.fact)
                for other in journal[place + 1 :]
            ):
                yield [*journal[:place], *journal[place + 1 :]]

    return spoil


def _subject(fact: object) -> object:
    return getattr(fact, "client_order_id", None) or getattr(fact, "tracker_id", None)


def _twice(kind: type[object]) -> Callable[[Journal], Spoiled]:
    """Tell one entry of this kind twice."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, kind):
                yield [*journal[: place + 1], *journal[place:]]

    return spoil


def _changed(kind: type[object], change: Callable[[Any], Any]) -> Callable[[Journal], Spoiled]:
    """Change one entry of this kind."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, kind):
                spoiled = replace(entry, fact=change(entry.fact))
                yield [*journal[:place], spoiled, *journal[place + 1 :]]

    return spoil


def _changed_exit(change: Callable[[int], int]) -> Callable[[Journal], Spoiled]:
    """Change the quantity of one planned exit."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, f.OrderPlanned) and entry.fact.role is OrderRole.EXIT:
                planned = replace(entry.fact, order_quantity=change(entry.fact.order_quantity))
                yield [*journal[:place], replace(entry, fact=planned), *journal[place + 1 :]]

    return spoil


def _before(kind: type[object], make: Callable[[Any], Any]) -> Callable[[Journal], Spoiled]:
    """Put another fact right before one entry of this kind."""

    def spoil(journal: Journal) -> Spoiled:
        for place, entry in enumerate(journal):
            if isinstance(entry.fact, kind):
                added = replace(entry, fact=make(entry.fact))
                yield [*journal[:place], added, *journal[place:]]

    return spoil


def _exits_too_early(journal: Journal) -> Spoiled:
    """Move EXITED to right before the fills that it rests on were confirmed."""
    for place, entry in enumerate(journal):
        if isinstance(entry.fact, f.PositionExited):
            tracker_id = entry.fact.tracker_id
            confirmed = [
                other
                for other in range(place)
                if isinstance(journal[other].fact, f.FillsConfirmed)
                and journal[other].fact.tracker_id == tracker_id
            ]
            if confirmed:
                to = confirmed[0]
                yield [*journal[:to], entry, *journal[to:place], *journal[place + 1 :]]


def _blocked(sent: f.OrderSent) -> f.ExitBlocked:
    return f.ExitBlocked(sent.tracker_id, BlockReason.KILL_SWITCH, "put in", 0, 1.0)


def _cancel_of_a_stranger(modified: f.OrderModifySent) -> f.OrderCancelSent:
    elsewhere = BrokerOrderId("elsewhere")
    return f.OrderCancelSent(modified.tracker_id, modified.client_order_id, elsewhere)


def _escalated(sent: f.OrderSent) -> f.ExitEscalated:
    return f.ExitEscalated(sent.tracker_id, "put in")


SPOILERS: dict[str, Callable[[Journal], Spoiled]] = {
    "a send is not journalled": _without(f.OrderSent),
    "an order is sent unplanned": _without(f.OrderPlanned),
    "a plan is not sized": _without(f.ExitSized),
    "an exit is never claimed": _without_before(f.ExitClaimed, f.ExitSized),
    "an exit is claimed twice": _twice(f.ExitClaimed),
    "a resend without proof of absence": _without_before(f.OrderSettled, f.OrderReplanned),
    "a resend is not planned again": _without(f.OrderReplanned),
    "one send is told twice": _twice(f.OrderSent),
    "a second send skips a number": _changed(
        f.OrderSent, lambda fact: replace(fact, send_number=fact.send_number + 1)
    ),
    "absence after one reading": _changed(f.OrderSettled, lambda fact: replace(fact, readings=1)),
    "absence before the quarantine ends": _changed(
        f.OrderSettled, lambda fact: replace(fact, waited_seconds=1.0)
    ),
    "more is sized than is held": _changed(
        f.ExitSized, lambda fact: replace(fact, quantity=fact.quantity + 1)
    ),
    "less is planned than was sized": _changed_exit(lambda quantity: quantity - 1),
    "more is planned than was sized": _changed_exit(lambda quantity: quantity + 1),
    "more is sized than the broker shows": _changed(
        f.ExitSized, lambda fact: replace(fact, broker_net_quantity=0)
    ),
    "EXITED before the books were read": _exits_too_early,
    "EXITED with an unconfirmed fill": _without(f.FillsConfirmed),
    "EXITED twice": _twice(f.PositionExited),
    "the answer of another send": _changed(
        f.OrderAccepted, lambda fact: replace(fact, send_number=fact.send_number + 1)
    ),
    "a send while the exit is blocked": _before(f.OrderSent, _blocked),
    "a send in a person's hands": _before(f.OrderSent, _escalated),
    "a modify beyond the limit": _changed(
        f.OrderModifySent, lambda fact: replace(fact, modification=26)
    ),
    "a modify is not journalled": _without_before(f.OrderModifySent, f.OrderModifySent),
    "fewer fills confirmed than reported": _changed(
        f.FillsConfirmed, lambda fact: replace(fact, cumulative_quantity=0)
    ),
    "a cancel of a stranger's order": _before(f.OrderModifySent, _cancel_of_a_stranger),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_spoiled_journal_is_no_path(name: str) -> None:
    """A journal that was spoiled in one place is refused."""
    tried = taken = 0
    for seed in SPOILED_SEEDS:
        for spoiled in SPOILERS[name](journal_of_seed(seed)):
            tried += 1
            taken += not journal_path(spoiled)

    print(f"{tried} spoiled journals, {taken} taken for paths")
    assert tried > 0
    assert taken == 0


def test_every_fact_of_a_tracker_is_a_step() -> None:
    """A new fact needs its place in the protocol before it may stand in a journal."""
    assert set(JournalPath.STEPS) == set(f.TrackerFact.__args__)
