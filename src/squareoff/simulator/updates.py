"""The order-update socket: login, and pushing `order_alert` to all sessions of an account (6)."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from squareoff.domain.time import seconds_to_ns
from squareoff.simulator.agenda import Agenda
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.faults import FaultPoint
from squareoff.simulator.sessions import (
    Frame,
    FrameGate,
    FrameSink,
    Session,
    json_frame,
    rename_account,
)

LOGIN_MESSAGE_CODE = 42
# A five-byte frame as was seen before a refused login (dhanhq-v2.md 6.4).
_REFUSAL_FRAME = b"\x32\x05\x00\x08\x03"


class OrderUpdateHub:
    """Holds the order-update sessions. No replay: what happens while nobody listens is lost."""

    def __init__(
        self,
        gate: FrameGate,
        agenda: Agenda,
        conduct: Callable[[], BrokerConduct],
        identify: Callable[[str, str], str | None],
    ) -> None:
        self._gate = gate
        self._agenda = agenda
        self._conduct = conduct
        self._identify = identify
        self._sessions: list[Session] = []
        self.pushed: list[dict[str, Any]] = []

    def connect(self, sink: FrameSink, now_ns: int) -> Session:
        """Open a session; it is told nothing before it logs in."""
        session = Session(sink, now_ns)
        self._sessions.append(session)
        self._watch_idle(session, now_ns)
        return session

    def disconnect(self, session: Session) -> None:
        """Forget a session whose connection ended."""
        session.is_open = False
        if session in self._sessions:
            self._sessions.remove(session)

    def receive(self, session: Session, frame: Frame, now_ns: int) -> None:
        """Take a frame of the client: the login; anything else is ignored."""
        session.active_ns = now_ns
        entry = self._gate.take("order_update", frame, now_ns)
        login = _login_of(frame)
        if login is None:
            return
        client_id = self._identify(str(login.get("ClientId", "")), str(login.get("Token", "")))
        decision = self._gate.decide(
            FaultPoint(socket="order_update", on="login", fields=login), now_ns, entry
        )
        if client_id is None or decision.what.disconnect is not False:
            self._refuse(session)
        elif not (decision.what.drop or decision.what.silence):
            self._gate.after(decision, now_ns, lambda _: self._let_in(session, client_id, login))

    def _let_in(self, session: Session, client_id: str, login: Mapping[str, Any]) -> None:
        if not session.is_open:
            return
        session.client_id, session.token = client_id, str(login.get("Token", ""))
        if self._conduct().login_answer == "json":
            session.sink.deliver(json_frame({"Type": "login", "Data": {"status": "success"}}))
        self._drop_oldest(client_id)

    def push(
        self, client_id: str, message: dict[str, Any], fields: dict[str, Any], now_ns: int
    ) -> None:
        """Push one message to every session of the account."""
        self.pushed.append({"time_ns": now_ns, "message": message})
        del self.pushed[:-10_000]
        point = FaultPoint(socket="order_update", fields=fields | message["Data"])
        for session in [s for s in self._sessions if s.client_id == client_id]:
            decision = self._gate.decide(point, now_ns)
            frame = json_frame(_changed(message, decision.what.fields))
            session.active_ns = now_ns
            self._gate.push_decided(session, frame, decision, now_ns)

    def rename(self, client_id: str, new_id: str) -> None:
        """Let the sessions of an account go by its new name."""
        rename_account(self._sessions, client_id, new_id)

    def session_count(self) -> int:
        """Return how many sessions are logged in."""
        return sum(1 for session in self._sessions if session.client_id and session.is_open)

    def end_all(self, how: str) -> None:
        """End every session."""
        for session in list(self._sessions):
            session.end(how)

    def end_dead(self, is_dead: Callable[[str], bool]) -> None:
        """End the sessions whose token is dead, as a refused login ends."""
        for session in [each for each in self._sessions if is_dead(each.token)]:
            self._refuse(session)

    def _refuse(self, session: Session) -> None:
        if self._conduct().bad_login_binary_frame:
            session.sink.deliver(_REFUSAL_FRAME)
        session.end(self._conduct().bad_login)

    def _drop_oldest(self, client_id: str) -> None:
        limit = self._conduct().order_socket_connections_max
        mine = [s for s in self._sessions if s.client_id == client_id and s.is_open]
        for session in mine[: max(0, len(mine) - limit)] if limit else []:
            session.end("close")

    def _watch_idle(self, session: Session, now_ns: int) -> None:
        limit_ns = seconds_to_ns(self._conduct().order_socket_idle_seconds)
        if not limit_ns:
            return

        def look(due_ns: int) -> None:
            if not session.is_open:
                return
            if due_ns >= session.active_ns + limit_ns:
                session.end("close")
            else:
                self._agenda.add(session.active_ns + limit_ns, look)

        self._agenda.add(now_ns + limit_ns, look)


def _changed(message: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the message with some of its data changed; names are matched in any case."""
    if not fields:
        return message
    data = dict(message["Data"])
    spelled = {name.lower(): name for name in data}
    data |= {spelled.get(name.lower(), name): value for name, value in fields.items()}
    return message | {"Data": data}


def _login_of(frame: Frame) -> dict[str, Any] | None:
    try:
        value = json.loads(frame)
    except ValueError:
        return None
    login = value.get("LoginReq") if isinstance(value, dict) else None
    if not isinstance(login, dict) or login.get("MsgCode") != LOGIN_MESSAGE_CODE:
        return None
    return login
