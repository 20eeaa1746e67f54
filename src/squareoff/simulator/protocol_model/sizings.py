"""How much the owner decides to close, and the orders it plans for it.

Invariants, as the real engine is to have them:
1. A reading counts without the fills that it may lack, always: somebody else's close can hide that
   it lacks them.
2. Where no reading can be had, no more is closed than the last one left.
"""

from collections.abc import Iterator

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.order_rules import Kind
from squareoff.simulator.protocol_model.order_view import View
from squareoff.simulator.protocol_model.situation import Situation, Step, paid, set_byte
from squareoff.simulator.protocol_model.variants import Shortcut


class Sizings:
    """The steps that size an exit."""

    def __init__(self, situation: Situation) -> None:
        self._at = situation

    def counted_leaves(self, state: bytes, views: tuple[View, ...]) -> int:
        """Return what planned and live orders may still close, as sizing counts it."""
        if self._at.shortcut is Shortcut.FORGET_OTHER_ORDERS:
            return max((v.leaves for v in views if v.attempt == state[at.ATTEMPT]), default=0)
        return sum(view.leaves for view in views)

    def steps(self, state: bytes, views: tuple[View, ...], uncovered: int) -> Iterator[Step]:
        """Size what is uncovered by a reading, explain a flat one, or go on without any."""
        leaves = self.counted_leaves(state, views)
        net = state[at.REPLICA_NET] - at.NET_ZERO
        free = max(0, net) - leaves
        is_trusting = self._at.shortcut is Shortcut.TRUST_LAGGING_READING
        if state[at.LATELY] and (free < uncovered or not is_trusting):
            free -= state[at.LATELY]
        if self._at.shortcut is Shortcut.IGNORE_NET:
            free = uncovered
        quantity = min(uncovered, free)
        if quantity > 0:
            label = f"sizes {quantity} by a reading of {net}"
            external = state[at.REPLICA_EXTERNAL]
            yield Step(self._planned(state, views, quantity, external), True, label)
        elif leaves == 0 and net <= 0 and not state[at.LATELY]:
            yield from _explanation(state, uncovered)
        if state[at.DROP]:
            yield from self._blind_sizings(state, views, uncovered)

    def taken_from_resting(
        self, state: bytes, views: tuple[View, ...], open_quantity: int
    ) -> Iterator[Step]:
        """Others closed what exits at rest would close: once booked, those are too much."""
        live = (view for view in views if view.kind in (Kind.PLANNED, Kind.LIVE))
        missing = open_quantity - max(0, state[at.REPLICA_NET] - at.NET_ZERO)
        unbooked = state[at.EXTERNAL] - state[at.EXTERNAL_BOOKED]
        if 0 < missing <= unbooked and all(view.is_resting for view in live):
            booked = set_byte(state, at.EXTERNAL_BOOKED, state[at.EXTERNAL_BOOKED] + missing)
            label = "foreign trades explain what an exit at rest would close"
            yield Step(self._at.advanced(bytearray(booked)), True, label)

    def _blind_sizings(
        self, state: bytes, views: tuple[View, ...], uncovered: int
    ) -> Iterator[Step]:
        """Positions cannot be read, and the books agreed shortly ago."""
        quantity = uncovered
        if self._at.shortcut is not Shortcut.FORGET_LAST_READING:
            closed = sum(view.cumulative + view.leaves for view in views)
            quantity = min(uncovered, self._at.held - state[at.EXTERNAL_SIZED] - closed)
        if quantity > 0:
            after = self._planned(paid(state, at.DROP), views, quantity, state[at.EXTERNAL_SIZED])
            yield Step(after, False, f"sizes {quantity} without a reading")

    def _planned(
        self, state: bytes, views: tuple[View, ...], quantity: int, external: int
    ) -> bytes:
        """Plan the absent orders again if they fit exactly, else a new attempt."""
        new = bytearray(state)
        new[at.EXTERNAL_SIZED] = external
        absent = [
            (start, view)
            for start, view in zip(self._at.starts, views, strict=True)
            if view.kind == Kind.ABSENT and view.attempt == state[at.ATTEMPT]
        ]
        fits = sum(view.quantity for _, view in absent) == quantity
        has_room = all(view.has_free_slot for _, view in absent)
        forgets = self._at.shortcut is Shortcut.NEW_ID_ON_RESEND
        if absent and fits and has_room and not forgets:
            for start, _ in absent:
                new[start + at.PHASE] = at.PLANNED
            return bytes(new)
        if forgets:
            for start, _ in absent:
                new[start + at.PHASE] = at.FORGOTTEN
        return self._new_attempt(new, quantity)

    def _new_attempt(self, new: bytearray, quantity: int) -> bytes:
        free = [start for start in self._at.starts if new[start + at.PHASE] == at.UNUSED]
        freeze = self._at.budget.freeze_quantity
        sizes = [min(freeze, quantity - done) for done in range(0, quantity, freeze)]
        if len(free) < len(sizes):
            new[at.INTENT] = at.NEEDS_HUMAN
            new[at.ALARM] |= at.ATTEMPTS_TOLD
            return bytes(new)
        new[at.ATTEMPT] += 1
        for start, size in zip(free, sizes, strict=False):
            new[start + at.PHASE] = at.PLANNED
            new[start + at.QUANTITY] = size
            new[start + at.ORDER_ATTEMPT] = new[at.ATTEMPT]
        return bytes(new)


def _explanation(state: bytes, uncovered: int) -> Iterator[Step]:
    """Flat readings stand; trades of others that account for them are booked."""
    if state[at.EXTERNAL] - state[at.EXTERNAL_BOOKED] >= uncovered:
        booked = state[at.EXTERNAL_BOOKED] + uncovered
        yield Step(set_byte(state, at.EXTERNAL_BOOKED, booked), True, "foreign trades explain it")
