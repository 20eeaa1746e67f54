"""What every step needs: the world of one exploration, and looking at a state within it."""

from typing import NamedTuple

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.budgets import Budget
from squareoff.simulator.protocol_model.order_moves import FREE, Move, OrderMoves
from squareoff.simulator.protocol_model.order_rules import Kind
from squareoff.simulator.protocol_model.order_view import View, slots_of, view_of
from squareoff.simulator.protocol_model.rules import Rule
from squareoff.simulator.protocol_model.variants import Shortcut


class Step(NamedTuple):
    """One step to a next state. `place` is the order it concerns from 1, or 0."""

    state: bytes
    is_progress: bool
    label: str
    place: int = 0


class Body(NamedTuple):
    """All orders of a state together, as far as it matters to the whole."""

    orders: tuple[bytes, ...]
    views: tuple[View, ...]
    cumulative: int
    leaves: int
    filled: int
    reach: int
    is_overbooked: bool
    is_unjournalled: bool
    is_book_true: bool
    waits_for: tuple[bool, bool]
    """For each engine, whether a committed send waits for its first byte."""


class Situation:
    """One world: what is held, what may go wrong, and which shortcut a broken engine takes."""

    def __init__(self, budget: Budget, shortcut: Shortcut) -> None:
        self.budget = budget
        self.shortcut = shortcut
        self.held = budget.quantity
        self.moves = OrderMoves(shortcut, budget.modifications)
        self.starts = range(at.HEADER, at.HEADER + at.ORDER * budget.orders, at.ORDER)
        self._bodies: dict[bytes, Body] = {}
        self._views: dict[bytes, View] = {}

    def body(self, state: bytes | bytearray) -> Body:
        """Return what the orders of a state are and mean."""
        key = bytes(state[at.HEADER :])
        body = self._bodies.get(key)
        if body is None:
            body = self._bodies[key] = self._body(state)
        return body

    def _body(self, state: bytes | bytearray) -> Body:
        orders = tuple(bytes(state[start : start + at.ORDER]) for start in self.starts)
        views = tuple(self._view(order) for order in orders)
        wires = {slot[at.WIRE] for order in orders for slot in slots_of(order)}
        return Body(
            orders=orders,
            views=views,
            cumulative=sum(view.cumulative for view in views),
            leaves=sum(view.leaves for view in views),
            filled=sum(view.filled for view in views),
            reach=sum(view.reach for view in views),
            is_overbooked=any(view.overbooked for view in views),
            is_unjournalled=any(view.has_unjournalled for view in views),
            is_book_true=all(v.is_settled_book for v in views if v.kind != Kind.UNUSED),
            waits_for=(at.PENDING_0 in wires, at.PENDING_1 in wires),
        )

    def _view(self, order: bytes) -> View:
        view = self._views.get(order)
        if view is None:
            view = self._views[order] = view_of(order, self.shortcut)
        return view

    def net(self, state: bytes | bytearray) -> int:
        """Return the broker's true net position, above zero while something is held."""
        return self.held - state[at.EXTERNAL] - self.body(state).filled

    def moved(self, state: bytes, place: int, move: Move) -> bytes:
        """Return the state with one order moved, and what that costs."""
        start = self.starts[place - 1]
        if move.budget == FREE and not move.broken:
            return state[:start] + move.order + state[start + at.ORDER :]
        new = bytearray(state)
        new[start : start + at.ORDER] = move.order
        if move.budget != FREE:
            at.pay(new, move.budget)
        new[at.BEYOND] |= move.is_beyond
        new[at.BROKEN] = new[at.BROKEN] or move.broken
        return bytes(new)

    def advanced(self, new: bytearray) -> bytes:
        """What every decision does at once: tell an over-exit, drop plans that are too much."""
        body = self.body(new)
        known = body.cumulative + new[at.EXTERNAL_BOOKED]
        if known > self.held and new[at.INTENT] != at.UNCLAIMED:
            new[at.ALARM] |= at.OVER_EXIT_TOLD
            if new[at.INTENT] in (at.WANTED, at.BLOCKED):
                new[at.INTENT] = at.NEEDS_HUMAN
        if new[at.INTENT] == at.NEEDS_HUMAN or body.leaves > max(0, self.held - known):
            self.drop_planned(new)
        return bytes(new)

    def drop_planned(self, new: bytearray) -> None:
        """Give up every order that no byte of has left."""
        for start in self.starts:
            if new[start + at.PHASE] == at.PLANNED:
                new[start + at.PHASE] = at.BEGUN

    def exit_fault(self, new: bytearray) -> int:
        """Return the rule that EXITED would break now, 0 for none."""
        may_still_fill = self.body(new).reach > 0 and not new[at.BEYOND]
        is_early = self.net(new) > 0 or may_still_fill
        return int(Rule.EXITED_EARLY) if is_early else 0


def paid(state: bytes, budget: int) -> bytes:
    """Return the state with one less in a budget."""
    new = bytearray(state)
    at.pay(new, budget)
    return bytes(new)


def set_byte(state: bytes, place: int, value: int) -> bytes:
    """Return the state with one byte replaced."""
    return state[:place] + bytes((value,)) + state[place + 1 :]
