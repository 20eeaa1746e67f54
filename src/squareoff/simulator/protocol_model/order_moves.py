"""What can happen to one order by itself: at the broker, in the network, and in the engine's book.

These moves depend on the bytes of the order alone, so each is worked out once and then looked up.
"""

from collections.abc import Iterator
from typing import NamedTuple

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.order_rules import (
    OPEN,
    UNRESOLVED,
    Outcome,
    Record,
    Status,
    merged,
    origin_of,
)
from squareoff.simulator.protocol_model.order_view import Slot, changed, records_of, slots_of
from squareoff.simulator.protocol_model.rules import Rule
from squareoff.simulator.protocol_model.variants import Shortcut

FREE = -1
"""A move that needs no budget."""


class Move(NamedTuple):
    """One step of one order. `budget` is the header byte that pays for it, or FREE."""

    label: str
    order: bytes
    budget: int = FREE
    is_progress: bool = True
    is_beyond: bool = False
    broken: int = 0
    newly_booked: int = 0


class OrderMoves:
    """Works out the moves of single orders for one protocol."""

    def __init__(self, shortcut: Shortcut, modifications: int) -> None:
        self._shortcut = shortcut
        self._modifications = modifications

    # What the broker, the market and the network do.

    def environment(self, order: bytes) -> list[Move]:
        """Return every step of the world outside the engine."""
        moves: list[Move] = []
        for number, slot in enumerate(slots_of(order)):
            if slot[at.WIRE] in (at.AWAITED, at.UNAWAITED):
                moves.extend(self._request_moves(order, number, slot))
            if slot[at.WIRE] in (at.REPLY_YES, at.REPLY_NO):
                lost = changed(order, number, wire=at.NOTHING)
                moves.append(Move("the reply is lost", lost, at.DROP, is_progress=False))
            if slot[at.AT_BROKER]:
                moves.extend(_market_moves(order, number, slot))
            if slot[at.CONTROL] % 4:
                moves.extend(self._control_moves(order, number, slot))
        return moves

    def _request_moves(self, order: bytes, number: int, slot: Slot) -> Iterator[Move]:
        awaited = slot[at.WIRE] == at.AWAITED
        yes, no = (at.REPLY_YES, at.REPLY_NO) if awaited else (at.NOTHING, at.NOTHING)
        live, rejected = at.packed(Status.LIVE, 0), at.packed(Status.REJECTED, 0)
        if self._shortcut is Shortcut.TRUST_DEDUPE and _is_repeat(order, number):
            yield Move("the broker drops a repeated id", changed(order, number, wire=yes))
            return
        broken = 0 if slot[at.OUTCOME] else Rule.UNJOURNALLED
        taken = changed(order, number, wire=yes, broker=live)
        yield Move("the broker accepts the order", taken, broken=broken)
        yield Move(
            "the broker accepts the order, which rests",
            changed(order, number, wire=yes, broker=at.packed(Status.RESTING, 0)),
            at.REST,
            is_progress=False,
        )
        yield Move(
            "the broker refuses the order", changed(order, number, wire=no), at.REJECT, False
        )
        yield Move(
            "the broker accepts, then rejects the order",
            changed(order, number, wire=yes, broker=rejected),
            at.REJECT,
            False,
        )
        yield Move(
            "the broker rejects the order at the door; only the stream will tell",
            changed(order, number, wire=0, broker=at.packed(Status.REJECTED_UNLISTED, 0)),
            at.REJECT,
            False,
        )
        yield Move("the request is lost", changed(order, number, wire=at.NOTHING), at.DROP, False)
        if number == 0 and not any(order[at.slot_at(1) : at.slot_at(2)]):
            twice = changed(taken, 1, broker=live)
            yield Move("the broker takes the request twice", twice, at.OUTLAW, False, True)

    def _control_moves(self, order: bytes, number: int, slot: Slot) -> Iterator[Move]:
        modifies, wire = divmod(slot[at.CONTROL], 4)
        status, filled = divmod(slot[at.AT_BROKER], 4)
        over = changed(order, number, control=modifies * 4)
        if wire == at.MODIFY_UNDER_WAY:
            yield Move("the modify is lost", over, at.DROP, False)
            remaining = order[at.QUANTITY] - slot[at.RECORD] % 4
            is_shrunk = (
                self._shortcut is Shortcut.MODIFY_WITH_REMAINING
                and remaining != order[at.QUANTITY]
                and status in OPEN
            )
            if status == Status.RESTING:
                over = changed(over, number, broker=at.packed(Status.LIVE, filled))
            broken = Rule.UNLIKE_JOURNAL if is_shrunk else 0
            yield Move("the broker takes the modify", over, broken=broken)
        else:
            yield Move("the cancel is lost", over, at.DROP, False)
            if status in OPEN:
                over = changed(over, number, broker=at.packed(Status.CANCELLED, filled))
            if self._shortcut is Shortcut.CANCEL_IS_FINAL and slot[at.RECORD] // 4 in OPEN:
                final = at.packed(Status.CANCELLED, slot[at.RECORD] % 4)
                over = changed(over, number, record=final)
            yield Move("the broker takes the cancel", over)

    # What the engine that owns the position does with one order.

    def engine(self, order: bytes) -> list[Move]:
        """Return every step of the engine that concerns only its book of this order."""
        if order[at.PHASE] == at.FORGOTTEN:
            return []
        moves: list[Move] = []
        for number, slot in enumerate(slots_of(order)):
            moves.extend(self._answer_moves(order, number, slot))
            if slot[at.AT_BROKER]:
                moves.extend(self._report_moves(order, number, slot))
        moves.extend(self._settle_moves(order))
        return moves

    def _answer_moves(self, order: bytes, number: int, slot: Slot) -> Iterator[Move]:
        wire = slot[at.WIRE]
        if wire == at.REPLY_YES:
            record = slot[at.RECORD] or at.packed(Status.LIVE, 0)
            told = changed(order, number, outcome=Outcome.ACCEPTED, wire=0, record=record)
            yield Move("hears that the order was accepted", told)
        elif wire == at.REPLY_NO:
            told = changed(order, number, outcome=Outcome.REFUSED, wire=0)
            yield Move("hears that the order was refused", told)
        elif slot[at.OUTCOME] == Outcome.IN_FLIGHT and wire == at.NOTHING:
            yield Move("hears no answer: the outcome is unknown", _lose(order, number))
        elif slot[at.OUTCOME] == Outcome.IN_FLIGHT and wire == at.AWAITED:
            late = changed(_lose(order, number), number, wire=at.UNAWAITED)
            yield Move("gives up waiting while the request is under way", late, at.DELAY, False)

    def _report_moves(self, order: bytes, number: int, slot: Slot) -> Iterator[Move]:
        status, filled = divmod(slot[at.AT_BROKER], 4)
        known = divmod(slot[at.RECORD], 4) if slot[at.RECORD] else None
        truth = Status.LIVE if status in OPEN else min(status, Status.REJECTED)
        last_live = filled - (status == Status.FILLED)
        reports = [(int(Status.LIVE), seen) for seen in range(last_live + 1)]
        if status >= Status.REJECTED:
            reports = []
        if (truth, filled) not in reports:
            reports.append((int(truth), filled))
        for told in reports:
            after = merged(known, told)
            if self._shortcut is Shortcut.SUM_FILLS and known is not None:
                after = after[0], min(3, known[1] + told[1])
            if after == known:
                continue
            booked = after[1] - (known[1] if known else 0)
            new = self._attributed(changed(order, number, record=at.packed(*after)), number, told)
            word = f"is told {Status(told[0]).name} {told[1]}"
            yield Move(word, new, newly_booked=booked)

    def _attributed(self, order: bytes, number: int, told: Record) -> bytes:
        slots = slots_of(order)
        if self._shortcut is Shortcut.CREDIT_LATE_REJECT and told[0] == Status.REJECTED:
            newest = max(n for n, slot in enumerate(slots) if slot[at.OUTCOME])
            return changed(order, newest, outcome=Outcome.REFUSED)
        if slots[number][at.OUTCOME] == Outcome.ACCEPTED:
            return order
        return attributed(order)

    def _settle_moves(self, order: bytes) -> Iterator[Move]:
        slots = slots_of(order)
        if not any(slot[at.OUTCOME] == Outcome.UNKNOWN for slot in slots):
            return
        if self._shortcut is Shortcut.GIVE_UP_SILENTLY:
            return
        under_way = any(slot[at.WIRE] in (at.AWAITED, at.UNAWAITED) for slot in slots)
        unseen = any(
            slot[at.AT_BROKER] and not slot[at.RECORD] for slot in slots if _is_listed(slot)
        )
        absent = order
        for number, slot in enumerate(slots):
            if slot[at.OUTCOME] in UNRESOLVED:
                absent = changed(absent, number, outcome=Outcome.ABSENT)
        if self._shortcut is Shortcut.TRUST_NOT_FOUND:
            yield Move("takes one empty look-up for proof of absence", absent)
        elif not (under_way or unseen):
            yield Move("declares the order absent after the quarantine", absent)
        elif not unseen:
            word = "declares absent an order that is under way beyond the bound"
            yield Move(word, absent, at.OUTLAW, False, True)

    def controls(self, order: bytes, *, is_excess: bool) -> Iterator[tuple[str, bytes]]:
        """Return modifies and cancels that the engine may send; `is_excess` asks for the end."""
        slots = slots_of(order)
        live = [n for n, slot in enumerate(slots) if slot[at.RECORD] // 4 in OPEN]
        if is_excess:
            for number in live:
                modifies, wire = divmod(slots[number][at.CONTROL], 4)
                if wire != at.CANCEL_UNDER_WAY and slots[number][at.AT_BROKER] // 4 in OPEN:
                    control = modifies * 4 + at.CANCEL_UNDER_WAY
                    yield "cancels what is too much", changed(order, number, control=control)
            return
        unresolved = any(slot[at.OUTCOME] in UNRESOLVED for slot in slots)
        if len(live) != 1 or unresolved or not self._modifications:
            return
        modifies, wire = divmod(slots[live[0]][at.CONTROL], 4)
        if wire:
            return
        if modifies < self._modifications:
            control = (modifies + 1) * 4 + at.MODIFY_UNDER_WAY
            yield "moves the order toward the market", changed(order, live[0], control=control)
        elif slots[live[0]][at.AT_BROKER] // 4 in OPEN:
            control = modifies * 4 + at.CANCEL_UNDER_WAY
            yield "cancels an order that was moved enough", changed(order, live[0], control=control)


def attributed(order: bytes) -> bytes:
    """Resolve the one unknown send that a record must stem from."""
    slots = slots_of(order)
    named = [slot[at.OUTCOME] == Outcome.ACCEPTED for slot in slots]
    origin = origin_of([slot[at.OUTCOME] for slot in slots], named)
    return order if origin is None else changed(order, origin, outcome=Outcome.ACCEPTED)


def _lose(order: bytes, number: int) -> bytes:
    lost = changed(order, number, outcome=Outcome.UNKNOWN)
    return attributed(lost) if records_of(order) else lost


def abandoned(order: bytes, engine: int) -> bytes:
    """Return the order after its engine died: nothing waits for its answers any more."""
    for number, slot in enumerate(slots_of(order)):
        wire = slot[at.WIRE]
        if wire == at.AWAITED:
            order = changed(order, number, wire=at.UNAWAITED)
        elif wire in (at.PENDING_0 + engine, at.REPLY_YES, at.REPLY_NO):
            order = changed(order, number, wire=at.NOTHING)
    return order


def recovered(order: bytes, shortcut: Shortcut) -> bytes:
    """Return the order as the next owner finds it: in flight is unknown, planned is dropped."""
    if order[at.PHASE] == at.PLANNED:
        order = bytes((at.BEGUN,)) + order[1:]
    for number, slot in enumerate(slots_of(order)):
        if slot[at.OUTCOME] == Outcome.IN_FLIGHT:
            if shortcut is Shortcut.RESTART_FORGETS_SENDS:
                order = changed(order, number, outcome=Outcome.ABSENT)
            else:
                order = _lose(order, number)
    return order


def _market_moves(order: bytes, number: int, slot: Slot) -> Iterator[Move]:
    status, filled = divmod(slot[at.AT_BROKER], 4)
    if status in OPEN:
        cancelled = at.packed(Status.CANCELLED, filled)
        yield Move(
            "the order is cancelled by others",
            changed(order, number, broker=cancelled),
            at.CANCEL,
            False,
        )
    if status == Status.LIVE:
        is_full = filled + 1 == order[at.QUANTITY]
        now = at.packed(Status.FILLED if is_full else Status.LIVE, filled + 1)
        yield Move("one unit fills", changed(order, number, broker=now))
        if not is_full:
            rests = at.packed(Status.RESTING, filled + 1)
            word = "one unit fills and the rest rests"
            yield Move(word, changed(order, number, broker=rests), at.REST, False)
    if status == Status.CANCELLED and filled < order[at.QUANTITY]:
        late = at.packed(Status.CANCELLED, filled + 1)
        word = "a fill appears after the cancel"
        yield Move(word, changed(order, number, broker=late), at.OUTLAW, False, True)


def _is_listed(slot: Slot) -> bool:
    return slot[at.AT_BROKER] // 4 != Status.REJECTED_UNLISTED


def _is_repeat(order: bytes, number: int) -> bool:
    return any(
        slot[at.AT_BROKER] // 4 in (Status.LIVE, Status.RESTING, Status.FILLED)
        for other, slot in enumerate(slots_of(order))
        if other != number
    )
