"""Sockets as the broker sees them: one session per connection, and faults on what is pushed.

No I/O here: a session's sink is whatever the owner of the connection provides.
"""

import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from squareoff.domain.time import seconds_to_ns
from squareoff.simulator.agenda import Agenda
from squareoff.simulator.faults import FaultDecision, FaultPlan, FaultPoint, SocketName
from squareoff.simulator.wire import encode_json

Frame = str | bytes

# A frame held back for reordering is pushed after this time even if no other frame follows.
REORDER_HOLD_NS = seconds_to_ns(1.0)


class FrameSink(Protocol):
    """Where frames of one connection go."""

    def deliver(self, frame: Frame) -> None:
        """Push one frame; never waits."""
        ...

    def end(self, how: str) -> None:
        """End the connection after what was delivered: `close` politely, or `reset`."""
        ...


class FrameLog(Protocol):
    """Where frames of clients are noted: fulfilled by `received.ReceivedLog`."""

    def note_frame(self, socket: SocketName, frame: Frame, now_ns: int) -> dict[str, Any]:
        """Note a frame that arrived; return its entry."""
        ...


@dataclass(slots=True, eq=False)
class Session:
    """One connection. `client_id` and `token` are empty until known; `is_open` ends for good.

    `active_ns` is when a frame or a ping of the client came, or a frame went out, last.
    """

    sink: FrameSink
    opened_ns: int
    client_id: str = ""
    token: str = field(default="", repr=False)
    is_open: bool = True
    active_ns: int = 0
    held: list[list[int | Frame]] = field(default_factory=list)

    def end(self, how: str) -> None:
        """End the connection from the broker's side."""
        if self.is_open:
            self.is_open = False
            self.sink.end(how)


def rename_account(sessions: Iterable[Session], client_id: str, new_id: str) -> None:
    """Let the sessions of an account go by its new name."""
    for session in sessions:
        if session.client_id == client_id:
            session.client_id = new_id


class FrameGate:
    """Pushes frames to sessions and lets the fault plan befall them."""

    def __init__(
        self, faults: FaultPlan, agenda: Agenda, chance: random.Random, received: FrameLog
    ) -> None:
        self._faults = faults
        self._agenda = agenda
        self._chance = chance
        self._received = received

    def take(self, socket: SocketName, frame: Frame, now_ns: int) -> dict[str, Any]:
        """Note a frame that a client sent; return its entry, for `decide`."""
        return self._received.note_frame(socket, frame, now_ns)

    def decide(
        self, point: FaultPoint, now_ns: int, entry: dict[str, Any] | None = None
    ) -> FaultDecision:
        """Return what befalls this event of a socket; the entry of a frame tells of it."""
        decision = self._faults.decide(point, now_ns)
        if entry is not None:
            entry["faults"] = list(decision.rule_ids)
        return decision

    def push(self, session: Session, frame: Frame, point: FaultPoint, now_ns: int) -> None:
        """Push one frame, unless a fault drops, delays, spoils, repeats or reorders it."""
        self.push_decided(session, frame, self.decide(point, now_ns), now_ns)

    def push_decided(
        self, session: Session, frame: Frame, decision: FaultDecision, now_ns: int
    ) -> None:
        """Push one frame under a decision that was already taken."""
        what = decision.what
        if not session.is_open or what.drop or what.silence:
            return
        if what.garbage is not None:
            frame = self._spoilt(frame, what.garbage)
        self.after(decision, now_ns, self._delivery(session, frame, what.duplicate, what.reorder))
        if what.disconnect is not False:
            session.end(what.end_style)

    def after(self, decision: FaultDecision, now_ns: int, action: Callable[[int], None]) -> None:
        """Act at once, or as late as the decision says."""
        if decision.delay_ns:
            self._agenda.add(now_ns + decision.delay_ns, action)
        else:
            action(now_ns)

    def _delivery(
        self, session: Session, frame: Frame, duplicates: int, reorder: int
    ) -> Callable[[int], None]:
        def deliver(now_ns: int) -> None:
            if reorder:
                self._hold(session, frame, reorder, now_ns)
                return
            for _ in range(1 + duplicates):
                self._deliver(session, frame)

        return deliver

    def _hold(self, session: Session, frame: Frame, count: int, now_ns: int) -> None:
        entry: list[int | Frame] = [count, frame]
        session.held.append(entry)

        def release(_: int) -> None:
            if entry in session.held:
                session.held.remove(entry)
                self._deliver(session, frame)

        self._agenda.add(now_ns + REORDER_HOLD_NS, release)

    def _deliver(self, session: Session, frame: Frame) -> None:
        if not session.is_open:
            return
        session.sink.deliver(frame)
        for entry in list(session.held):
            count, held = entry
            if isinstance(count, int) and count > 1:
                entry[0] = count - 1
                continue
            if entry in session.held:
                session.held.remove(entry)
                assert not isinstance(held, int)
                session.sink.deliver(held)

    def _spoilt(self, frame: Frame, kind: str) -> Frame:
        raw = frame.encode() if isinstance(frame, str) else frame
        match kind:
            case "text":
                return "this is not what you expect"
            case "binary":
                return self._chance.randbytes(5)
            case "truncated":
                return frame[: max(1, len(frame) // 2)]
            case "unknown_code":
                return b"\x63" + raw[1:]
            case "wrong_length" | "stale_length":
                length = struct.pack("<H", 0xFFF0 if kind == "wrong_length" else 0)
                return raw[:1] + length + raw[3:]
        raise ValueError(f"no such garbage: {kind}")


def json_frame(value: object) -> str:
    """Return a JSON text frame."""
    return encode_json(value).decode()
