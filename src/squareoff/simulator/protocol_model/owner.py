"""What the engine that owns the account does: claim, permit, send, chase, confirm.

Invariants, as the real engine has them:
1. A send is committed (`IN_FLIGHT`) before its first byte.
2. Lease, deadline and kill switch are looked at again right before that byte.
3. EXITED follows a reading of both books that agrees with every fill.
"""

from collections.abc import Iterator

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.order_moves import Move
from squareoff.simulator.protocol_model.order_rules import Kind, Outcome, Status
from squareoff.simulator.protocol_model.order_view import View, changed, slots_of
from squareoff.simulator.protocol_model.rules import Rule
from squareoff.simulator.protocol_model.situation import Body, Situation, Step, set_byte
from squareoff.simulator.protocol_model.sizings import Sizings
from squareoff.simulator.protocol_model.variants import Shortcut


class OwnerSteps:
    """The steps of the owner beyond its book."""

    def __init__(self, situation: Situation) -> None:
        self._at = situation
        self._sizings = Sizings(situation)

    def of_owner(self, state: bytes, body: Body, owner: int) -> Iterator[Step]:
        """Yield what the owner may do next."""
        orders, views = body.orders, body.views
        intent = state[at.INTENT]
        if intent == at.UNCLAIMED:
            if self._at.shortcut is not Shortcut.READ_THEN_WRITE_CLAIM:
                yield Step(set_byte(state, at.INTENT, at.WANTED), True, f"engine {owner} claims")
            return
        known = body.cumulative + state[at.EXTERNAL_BOOKED]
        open_quantity = max(0, self._at.held - known)
        leaves = body.leaves
        if leaves > open_quantity or intent == at.EXITED:
            yield from self._controls(state, orders, is_excess=True)
        if intent == at.EXITED:
            yield from self._flip_watch(state)
            return
        if open_quantity == 0:
            yield from self._confirm(state, views)
            return
        if leaves:
            yield from self._sizings.taken_from_resting(state, views, open_quantity)
        if intent == at.NEEDS_HUMAN:
            return
        if intent == at.BLOCKED:
            if not state[at.KILL]:
                yield Step(set_byte(state, at.INTENT, at.WANTED), True, "the block lifts")
            return
        yield from self._permits(state, orders, views, owner)
        yield from self._shortcuts(state, orders, views)
        if not state[at.KILL] and leaves <= open_quantity:
            yield from self._controls(state, orders, is_excess=False)
        uncovered = open_quantity - self._sizings.counted_leaves(state, views)
        if uncovered > 0:
            yield from self._sizings.steps(state, views, uncovered)

    def _controls(
        self, state: bytes, orders: tuple[bytes, ...], *, is_excess: bool
    ) -> Iterator[Step]:
        for place, order in enumerate(orders, start=1):
            if order[at.PHASE] in (at.UNUSED, at.FORGOTTEN):
                continue
            for label, after in self._at.moves.controls(order, is_excess=is_excess):
                yield Step(self._at.moved(state, place, Move(label, after)), True, label, place)

    def _flip_watch(self, state: bytes) -> Iterator[Step]:
        if self._at.net(state) < 0 and not state[at.ALARM] & at.OVER_EXIT_TOLD:
            told = set_byte(state, at.ALARM, state[at.ALARM] | at.OVER_EXIT_TOLD)
            yield Step(told, True, "the net across zero is seen and told")

    def _confirm(self, state: bytes, views: tuple[View, ...]) -> Iterator[Step]:
        """Both books are read; what they show is booked, and EXITED follows if it adds up."""
        is_live = any(view.kind in (Kind.LIVE, Kind.PLANNED) for view in views)
        if is_live or state[at.ALARM] & at.OVER_EXIT_TOLD:
            return
        new = bytearray(state)
        for start in self._at.starts:
            if new[start] == at.FORGOTTEN:
                continue
            for number in range(at.SLOTS):
                slot = start + at.slot_at(number)
                status, filled = divmod(new[slot + at.AT_BROKER], 4)
                if filled or new[slot + at.RECORD]:
                    told = Status.LIVE if status == Status.RESTING else min(status, 5)
                    new[slot + at.RECORD] = at.packed(told, filled)
        after = bytearray(self._at.advanced(new))
        if not after[at.ALARM] & at.OVER_EXIT_TOLD:
            after[at.INTENT] = at.EXITED
            after[at.BROKEN] = after[at.BROKEN] or self._at.exit_fault(after)
        yield Step(bytes(after), True, "both books are read and all fills confirmed")

    def _permits(
        self, state: bytes, orders: tuple[bytes, ...], views: tuple[View, ...], owner: int
    ) -> Iterator[Step]:
        for place, order in enumerate(orders, start=1):
            if views[place - 1].kind != Kind.PLANNED:
                continue
            if state[at.KILL]:
                new = bytearray(state)
                self._at.drop_planned(new)
                new[at.INTENT] = at.BLOCKED
                yield Step(bytes(new), True, "the kill switch holds the exit back", place)
                continue
            number = next(n for n, slot in enumerate(slots_of(order)) if not any(slot))
            begun = bytes((at.BEGUN,)) + order[1:]
            if self._at.shortcut is Shortcut.POST_BEFORE_JOURNAL:
                sent = changed(begun, number, wire=at.AWAITED)
            else:
                wire = at.PENDING_0 + owner
                sent = changed(begun, number, outcome=Outcome.IN_FLIGHT, wire=wire)
            label = f"engine {owner} commits the send"
            yield Step(self._at.moved(state, place, Move(label, sent)), True, label, place)

    def _shortcuts(
        self, state: bytes, orders: tuple[bytes, ...], views: tuple[View, ...]
    ) -> Iterator[Step]:
        """What only broken engines do while an exit is open."""
        if self._at.shortcut in (Shortcut.RESEND_AT_ONCE, Shortcut.TRUST_DEDUPE):
            for place, order in enumerate(orders, start=1):
                outcomes = [slot[at.OUTCOME] for slot in slots_of(order)]
                if Outcome.UNKNOWN in outcomes and views[place - 1].has_free_slot:
                    planned = bytes((at.PLANNED,)) + order[1:]
                    label = "plans to send an unanswered order again"
                    yield Step(
                        self._at.moved(state, place, Move(label, planned)), True, label, place
                    )
        if self._at.shortcut is Shortcut.EXITED_ON_ANY_END:
            kinds = {view.kind for view in views} - {Kind.UNUSED}
            if kinds and kinds <= {Kind.ENDED_SHORT, Kind.FILLED}:
                new = bytearray(set_byte(state, at.INTENT, at.EXITED))
                new[at.BROKEN] = self._at.exit_fault(new)
                yield Step(bytes(new), True, "takes ended orders for a closed position")

    def first_bytes(self, state: bytes, orders: tuple[bytes, ...], engine: int) -> Iterator[Step]:
        """Lease, deadline and kill switch are looked at in the same instant as the first byte."""
        mode, is_owner = state[at.MODES + engine], state[at.OWNER] == engine
        wakes = mode == at.LAPSED and self._at.shortcut is Shortcut.NO_LEASE_RECHECK
        if mode != at.OWNING and not wakes:
            return
        for place, order in enumerate(orders, start=1):
            for number, slot in enumerate(slots_of(order)):
                if slot[at.WIRE] != at.PENDING_0 + engine:
                    continue
                if state[at.KILL] and self._at.shortcut is not Shortcut.IGNORE_KILL_AT_SEND:
                    if is_owner:
                        yield self._held_back(state, place, order, number)
                    continue
                broken = 0 if is_owner else Rule.EPOCH_GONE
                broken = Rule.KILLED if state[at.KILL] else broken
                wire = at.AWAITED if is_owner else at.UNAWAITED
                label = f"engine {engine} writes the first byte"
                move = Move(label, changed(order, number, wire=wire), broken=broken)
                yield Step(self._at.moved(state, place, move), True, label, place)

    def _held_back(self, state: bytes, place: int, order: bytes, number: int) -> Step:
        label = "the kill switch stops the order before its first byte"
        unsent = changed(order, number, outcome=Outcome.NONE, wire=at.NOTHING)
        new = bytearray(self._at.moved(state, place, Move(label, unsent)))
        if new[at.INTENT] == at.WANTED:
            self._at.drop_planned(new)
            new[at.INTENT] = at.BLOCKED
        return Step(self._at.advanced(new), True, label, place)
