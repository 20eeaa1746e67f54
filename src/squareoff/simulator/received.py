"""Everything the broker received, in the order of arrival: calls, upgrades, frames of sockets.

What a test reads to prove that something was sent, or never sent twice. So an entry is made when
the bytes arrive, whatever a fault then makes of them, and its answer is filled in later.

Invariant: a request or frame that arrived has exactly one entry. No entry holds a token or a PIN.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from squareoff.simulator.faults import NO_FAULT, FaultDecision, SocketName
from squareoff.simulator.sessions import Frame
from squareoff.simulator.wire import WireRequest, WireResponse

RECEIVED_MAX = 20_000
"""Entries kept for /admin/state; a day of rehearsal at the rate limits stays below."""

SOCKET_PATHS: Mapping[SocketName, str] = {"order_update": "/order-update", "feed": "/feed"}
_SECRET_QUERY = frozenset({"pin", "totp", "token"})
_SECRET_IN_FRAME = re.compile(r'("Token"\s*:\s*")[^"]*')
_HIDDEN = "***"

Entry = dict[str, Any]


class ReceivedLog:
    """The newest entries, oldest first.

    An entry has `time_ns` (arrival), `socket` (empty for a call), `method`, `path`, `query`, `body`
    (of a frame: its text), `faults` (the rules that befell it), and what became of it: `acted_ns`
    (None where the broker never took it), `status` and `answer` (the broker's own; where it never
    took the call what a fault said in its place, None where nothing), and `ending` (ANSWER, CUT,
    RESET or HOLD as the client saw it, None while it is under way and for sockets).
    """

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=RECEIVED_MAX)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def note_call(self, request: WireRequest, decision: FaultDecision, now_ns: int) -> Entry:
        """Note a call that arrived; return its entry, for `note_answer`."""
        body = request.body.decode(errors="replace")
        return self._note("", (request.method, request.path, request.query, body), decision, now_ns)

    def note_upgrade(
        self, socket: SocketName, query: Mapping[str, str], decision: FaultDecision, now_ns: int
    ) -> Entry:
        """Note that a socket was asked for; return its entry."""
        return self._note(socket, ("GET", SOCKET_PATHS[socket], query, ""), decision, now_ns)

    def note_frame(self, socket: SocketName, frame: Frame, now_ns: int) -> Entry:
        """Note a frame that a client sent; return its entry, for the faults that befall it."""
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        shown = _SECRET_IN_FRAME.sub(rf"\g<1>{_HIDDEN}", text)
        return self._note(socket, ("FRAME", SOCKET_PATHS[socket], {}, shown), NO_FAULT, now_ns)

    def _note(
        self,
        socket: SocketName,
        what: tuple[str, str, Mapping[str, str], str],
        decision: FaultDecision,
        now_ns: int,
    ) -> Entry:
        method, path, query, body = what
        entry: Entry = {
            "time_ns": now_ns,
            "socket": socket,
            "method": method,
            "path": path,
            "query": {n: _HIDDEN if n in _SECRET_QUERY else v for n, v in query.items()},
            "body": body,
            "acted_ns": None,
            "status": None,
            "answer": None,
            "ending": None,
            "faults": list(decision.rule_ids),
        }
        self._entries.append(entry)
        return entry


def note_answer(entry: Entry, response: WireResponse) -> None:
    """Fill in what was answered."""
    entry["status"] = response.status
    entry["answer"] = response.body.decode(errors="replace")
