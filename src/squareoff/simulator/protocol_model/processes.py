"""Engine processes that start, take over, pause and die, and people who meddle.

Invariant: an engine takes the account only while no other can still send: the other is dead, or its
lease and its send deadline have ended.
"""

from collections.abc import Iterator

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.order_moves import FREE, abandoned, recovered
from squareoff.simulator.protocol_model.order_view import changed, slots_of
from squareoff.simulator.protocol_model.situation import Situation, Step, paid, set_byte
from squareoff.simulator.protocol_model.variants import Shortcut


class ProcessSteps:
    """The steps of processes and people."""

    def __init__(self, situation: Situation) -> None:
        self._at = situation

    def of_processes(self, state: bytes, orders: tuple[bytes, ...]) -> Iterator[Step]:
        """Yield what may become of the two engine processes."""
        for engine in (0, 1):
            mode, byte = state[at.MODES + engine], at.MODES + engine
            if mode == at.DOWN:
                yield Step(set_byte(state, byte, at.STANDBY), True, f"engine {engine} starts")
            elif mode == at.STANDBY:
                if self._may_take(state, engine):
                    taken = self._taken(state, orders, engine)
                    yield Step(taken, True, f"engine {engine} takes the account")
            else:
                yield from self._owner_fates(state, orders, engine, mode)

    def _owner_fates(
        self, state: bytes, orders: tuple[bytes, ...], engine: int, mode: int
    ) -> Iterator[Step]:
        byte = at.MODES + engine
        if state[at.CRASH]:
            dead = self._dead(state, orders, engine, at.CRASH)
            yield Step(dead, False, f"engine {engine} is killed")
        if mode == at.OWNING and state[at.PAUSE]:
            paused = paid(set_byte(state, byte, at.PAUSED), at.PAUSE)
            yield Step(paused, False, f"engine {engine} is paused")
        elif mode == at.PAUSED:
            yield Step(set_byte(state, byte, at.OWNING), True, f"engine {engine} goes on in time")
            if state[at.OWNER] == engine:
                lapsed = set_byte(state, byte, at.LAPSED)
                yield Step(lapsed, False, f"the lease and send deadline of engine {engine} end")
        elif mode == at.LAPSED:
            dead = self._dead(state, orders, engine, FREE)
            yield Step(dead, True, f"engine {engine} wakes, sends nothing and ends")
        if mode == at.OWNING and state[at.OWNER] != engine:
            dead = self._dead(state, orders, engine, FREE)
            yield Step(dead, True, f"engine {engine} is refused a commit and ends")

    def _may_take(self, state: bytes, engine: int) -> bool:
        owner = state[at.OWNER]
        if owner == engine:
            return True
        gone = (at.DOWN, at.STANDBY, at.LAPSED)
        is_hasty = self._at.shortcut is Shortcut.HASTY_TAKEOVER
        return state[at.MODES + owner] in ((*gone, at.PAUSED) if is_hasty else gone)

    def _taken(self, state: bytes, orders: tuple[bytes, ...], engine: int) -> bytes:
        """The new epoch, with everything that was in flight unknown and all plans dropped."""
        new = bytearray(state)
        before = state[at.OWNER]
        new[at.OWNER] = engine
        new[at.MODES + engine] = at.OWNING
        for start, order in zip(self._at.starts, orders, strict=True):
            if order[at.PHASE] == at.UNUSED:
                continue
            if before != engine:
                pending = {n: s[at.WIRE] for n, s in enumerate(slots_of(order))}
                order = abandoned(order, before)
                for number, wire in pending.items():  # a stale process may still hold its bytes
                    is_held = state[at.MODES + before] in (at.PAUSED, at.LAPSED)
                    if is_held and wire == at.PENDING_0 + before:
                        order = changed(order, number, wire=wire)
            new[start : start + at.ORDER] = recovered(order, self._at.shortcut)
        return self._at.advanced(new)

    def _dead(self, state: bytes, orders: tuple[bytes, ...], engine: int, budget: int) -> bytes:
        new = bytearray(state)
        new[at.MODES + engine] = at.DOWN
        if budget != FREE:
            at.pay(new, budget)
        if state[at.OWNER] == engine:
            for start, order in zip(self._at.starts, orders, strict=True):
                new[start : start + at.ORDER] = abandoned(order, engine)
        else:
            for start, order in zip(self._at.starts, orders, strict=True):
                for number, slot in enumerate(slots_of(order)):
                    if slot[at.WIRE] == at.PENDING_0 + engine:
                        order = changed(order, number, wire=at.NOTHING)
                new[start : start + at.ORDER] = order
        return bytes(new)

    def of_people(self, state: bytes) -> Iterator[Step]:
        """Yield what other people do, and how the broker's positions follow."""
        net = self._at.net(state)
        if state[at.EXTERNAL_TRADE] and net > 0:
            new = bytearray(state)
            at.pay(new, at.EXTERNAL_TRADE)
            new[at.EXTERNAL] += 1
            yield Step(bytes(new), False, "somebody else closes one unit")
        if state[at.KILL]:
            yield Step(set_byte(state, at.KILL, 0), False, "the kill switch is released")
        elif state[at.KILL_THROWN]:
            thrown = paid(set_byte(state, at.KILL, 1), at.KILL_THROWN)
            yield Step(thrown, False, "the kill switch is thrown at level all")
        is_current = (
            state[at.REPLICA_NET] == at.NET_ZERO + net
            and state[at.REPLICA_EXTERNAL] == state[at.EXTERNAL]
        )
        if not is_current:
            new = bytearray(state)
            new[at.REPLICA_NET] = at.NET_ZERO + net
            new[at.REPLICA_EXTERNAL] = state[at.EXTERNAL]
            yield Step(bytes(new), True, "the broker's positions catch up")
        elif state[at.LATELY]:
            yield Step(set_byte(state, at.LATELY, 0), True, "time passes since our fills")


def unlocked_claims(state: bytes) -> Iterator[Step]:
    """Yield claims that first read and then write, by whoever runs (a broken engine)."""
    for engine in (0, 1):
        if state[at.MODES + engine] in (at.DOWN, at.PAUSED):
            continue
        bit = 1 << engine
        if state[at.CLAIM_READ] & bit:
            new = bytearray(state)
            new[at.CLAIM_READ] &= ~bit & 0xFF
            new[at.INTENT] = at.WANTED if state[at.INTENT] == at.UNCLAIMED else at.TWICE
            yield Step(bytes(new), True, f"engine {engine} writes its claim")
        elif state[at.INTENT] == at.UNCLAIMED:
            read = set_byte(state, at.CLAIM_READ, state[at.CLAIM_READ] | bit)
            yield Step(read, True, f"engine {engine} reads that nobody has claimed")
