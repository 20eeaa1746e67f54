"""The market-feed socket: subscriptions and packets (dhanhq-v2.md 7), under faults."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.time import seconds_to_ns
from squareoff.simulator.agenda import Agenda
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.faults import FaultDecision, FaultPoint, What
from squareoff.simulator.market import InstrumentDay
from squareoff.simulator.packets import (
    INDEX,
    FeedImage,
    disconnect_packet,
    full_packet,
    heartbeat_packet,
    open_interest_packet,
    previous_close_packet,
    quote_packet,
    status_packet,
    ticker_packet,
    with_payload_length,
)
from squareoff.simulator.rows import segment_is_derivative
from squareoff.simulator.sessions import Frame, FrameGate, FrameSink, Session, rename_account

TICKER_MODE, QUOTE_MODE, FULL_MODE = 15, 17, 21
MODES = (TICKER_MODE, QUOTE_MODE, FULL_MODE)
DISCONNECT_REQUEST = 12
TOO_MANY_INSTRUMENTS, TOO_MANY_CONNECTIONS, NO_DATA_PLAN = 804, 805, 806

TRADE_TIME_MAX = 2**32 - 1
"""The latest trade time that a packet carries."""

Subscription = tuple[InstrumentId, int]


@dataclass(slots=True, eq=False)
class FeedSession(Session):
    """One feed connection and what it subscribed, in order."""

    subscriptions: dict[Subscription, None] = field(default_factory=dict)


class FeedHub:
    """Holds the feed sessions and tells each what it subscribed."""

    def __init__(
        self,
        gate: FrameGate,
        agenda: Agenda,
        conduct: Callable[[], BrokerConduct],
        identify: Callable[[str, str], str | None],
        days: Mapping[InstrumentId, InstrumentDay],
    ) -> None:
        self._gate = gate
        self._agenda = agenda
        self._conduct = conduct
        self._identify = identify
        self._days = days
        self._sessions: list[FeedSession] = []

    def connect(self, sink: FrameSink, query: Mapping[str, str], now_ns: int) -> FeedSession:
        """Open a session from the query of its URL; packet 50 tells a bad token or no data plan."""
        session = FeedSession(sink, now_ns)
        client_id = self._identify(query.get("clientId", ""), query.get("token", ""))
        if client_id is None or query.get("version") != "2":
            self._refuse(session)
            return session
        session.client_id, session.token = client_id, query.get("token", "")
        if self._conduct().data_plan != "active":
            self.end(session, NO_DATA_PLAN)
            return session
        self._sessions.append(session)
        mine = [each for each in self._sessions if each.client_id == client_id]
        for oldest in mine[: max(0, len(mine) - self._conduct().feed_connections_max)]:
            self.end(oldest, TOO_MANY_CONNECTIONS)
        self._plan_heartbeat(session, now_ns)
        return session

    def disconnect(self, session: Session) -> None:
        """Forget a session whose connection ended."""
        session.is_open = False
        self._sessions = [each for each in self._sessions if each is not session]

    def end(self, session: FeedSession, reason: int) -> None:
        """Tell the reason by packet 50, then close."""
        session.sink.deliver(disconnect_packet(reason))
        session.end("close")
        self.disconnect(session)

    def end_all(self, how: str) -> None:
        """End every session."""
        for session in list(self._sessions):
            session.end(how)

    def end_dead(self, is_dead: Callable[[str], bool]) -> None:
        """End the sessions whose token is dead, as a refused connection ends."""
        for session in [each for each in self._sessions if is_dead(each.token)]:
            self._refuse(session)
            self.disconnect(session)

    def rename(self, client_id: str, new_id: str) -> None:
        """Let the sessions of an account go by its new name."""
        rename_account(self._sessions, client_id, new_id)

    def session_count(self) -> int:
        """Return how many sessions are open."""
        return sum(1 for session in self._sessions if session.is_open)

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return what each session subscribed, for the admin."""
        return [
            {
                "clientId": s.client_id,
                "subscriptions": [f"{i}@{mode}" for i, mode in s.subscriptions],
            }
            for s in self._sessions
        ]

    def receive(self, session: FeedSession, frame: Frame, now_ns: int) -> None:
        """Take a request of the client; frames that are no request are ignored."""
        entry = self._gate.take("feed", frame, now_ns)
        request = _request_of(frame)
        if request is None or not session.is_open:
            return
        code, wanted = request
        if code == DISCONNECT_REQUEST:
            session.end("close")
            self.disconnect(session)
        elif code in MODES:
            self._take_subscription(session, wanted, code, entry, now_ns)
        elif code - 1 in MODES:
            for instrument_id in wanted:
                session.subscriptions.pop((instrument_id, code - 1), None)

    def push(self, instrument_id: InstrumentId, now_ns: int, *, is_print: bool) -> None:
        """Tell every subscriber what changed: a print, or depth or open interest alone."""
        for session in list(self._sessions):
            for mode in MODES:
                if (instrument_id, mode) in session.subscriptions and (
                    is_print or mode != TICKER_MODE
                ):
                    self._push_one(session, instrument_id, mode, now_ns)

    def _take_subscription(
        self,
        session: FeedSession,
        wanted: list[InstrumentId],
        mode: int,
        entry: dict[str, Any],
        now_ns: int,
    ) -> None:
        """Subscribe at once or late, or lose the request, as the rules have it."""
        point = FaultPoint(socket="feed", on="subscribe", fields={"mode": mode})
        decision = self._gate.decide(point, now_ns, entry)
        if decision.what.disconnect is not False:
            self._end_as_told(session, decision.what)
        elif not (decision.what.drop or decision.what.silence):
            self._gate.after(
                decision, now_ns, lambda at_ns: self._subscribe(session, wanted, mode, at_ns)
            )

    def _end_as_told(self, session: FeedSession, what: What) -> None:
        if (reason := what.disconnect_reason) is not None:
            self.end(session, reason)
            return
        session.end(what.end_style)
        self.disconnect(session)

    def _subscribe(
        self, session: FeedSession, wanted: list[InstrumentId], mode: int, now_ns: int
    ) -> None:
        if not session.is_open:
            return
        conduct = self._conduct()
        session.subscriptions.update({(instrument_id, mode): None for instrument_id in wanted})
        distinct = {instrument_id for instrument_id, _ in session.subscriptions}
        if (
            len(wanted) > conduct.feed_instruments_per_message_max
            or len(distinct) > conduct.feed_instruments_max
        ):
            self.end(session, TOO_MANY_INSTRUMENTS)
            return
        for instrument_id in wanted:
            if instrument_id in self._days:
                self._push_snapshot(session, instrument_id, mode, now_ns)

    def _push_snapshot(
        self, session: FeedSession, instrument_id: InstrumentId, mode: int, now_ns: int
    ) -> None:
        conduct, day = self._conduct(), self._days[instrument_id]
        is_index = instrument_id.exchange_segment is ExchangeSegment.IDX_I
        if conduct.feed_prev_close == "all" or (conduct.feed_prev_close == "index" and is_index):
            image = replace(
                day.feed_image(conduct, now_ns),
                close=day.listing.previous_close,
                open_interest=day.previous_open_interest,
            )
            decision = self._gate.decide(self._point(instrument_id, mode), now_ns)
            self._send(session, [previous_close_packet(image)], decision, now_ns)
        if conduct.feed_status_packet:
            decision = self._gate.decide(self._point(instrument_id, mode), now_ns)
            packet = status_packet(instrument_id.exchange_segment)
            self._send(session, [packet], decision, now_ns)
        if conduct.feed_snapshot and day.last_price is not None:
            self._push_one(session, instrument_id, mode, now_ns)

    def _push_one(
        self, session: FeedSession, instrument_id: InstrumentId, mode: int, now_ns: int
    ) -> None:
        conduct, day = self._conduct(), self._days[instrument_id]
        decision = self._gate.decide(self._point(instrument_id, mode), now_ns)
        image = _distorted(day.feed_image(conduct, now_ns), decision.what)
        self._send(session, _packets(image, mode, conduct), decision, now_ns)

    def _send(
        self, session: FeedSession, packets: list[bytes], decision: FaultDecision, now_ns: int
    ) -> None:
        """Send what the feed tells at one moment; a reason to disconnect goes out in its stead."""
        if (reason := decision.what.disconnect_reason) is not None and session.is_open:
            self.end(session, reason)
            return
        conduct = self._conduct()
        frames = [_measured(packet, conduct) for packet in packets]
        for frame in [b"".join(frames)] if conduct.feed_concatenate else frames:
            self._gate.push_decided(session, frame, decision, now_ns)

    def _point(self, instrument_id: InstrumentId, mode: int) -> FaultPoint:
        fields = {
            "exchangeSegment": instrument_id.exchange_segment.value,
            "securityId": instrument_id.security_id,
            "mode": mode,
        }
        return FaultPoint(socket="feed", fields=fields)

    def _refuse(self, session: FeedSession) -> None:
        conduct = self._conduct()
        if not conduct.feed_bad_token_reset:
            session.sink.deliver(disconnect_packet(conduct.feed_bad_token_code))
        session.end("reset" if conduct.feed_bad_token_reset else "close")

    def _plan_heartbeat(self, session: FeedSession, now_ns: int) -> None:
        period_ns = seconds_to_ns(self._conduct().feed_heartbeat_seconds)
        if not period_ns:
            return

        def beat(due_ns: int) -> None:
            if session.is_open:
                session.sink.deliver(heartbeat_packet())
                self._agenda.add(due_ns + period_ns, beat)

        self._agenda.add(now_ns + period_ns, beat)


def _packets(image: FeedImage, mode: int, conduct: BrokerConduct) -> list[bytes]:
    is_index = image.exchange_segment is ExchangeSegment.IDX_I
    if is_index and mode == FULL_MODE and conduct.feed_index_full_mode != "full":
        return [quote_packet(image)] if conduct.feed_index_full_mode == "quote" else []
    if mode == TICKER_MODE:
        is_index_packet = is_index and conduct.feed_index_packet
        return [ticker_packet(image, code=INDEX) if is_index_packet else ticker_packet(image)]
    packets = [quote_packet(image) if mode == QUOTE_MODE else full_packet(image)]
    if segment_is_derivative(image.exchange_segment) and conduct.feed_open_interest_packet:
        packets.append(open_interest_packet(image))
    return packets


def _measured(packet: bytes, conduct: BrokerConduct) -> bytes:
    return packet if conduct.feed_length_includes_header else with_payload_length(packet)


def _distorted(image: FeedImage, what: What) -> FeedImage:
    if what.price:
        image = replace(image, last_price=float(what.price))
    if what.time_shift_seconds:
        shifted = image.last_trade_time + round(what.time_shift_seconds)
        shifted = min(max(0, shifted), TRADE_TIME_MAX)
        image = replace(image, last_trade_time=shifted)
    if what.security_id:
        image = replace(image, security_id=what.security_id)
    return image


def _request_of(frame: Frame) -> tuple[int, list[InstrumentId]] | None:
    """Return the request code and the instruments; names of no known segment are left out."""
    try:
        value = json.loads(frame)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("RequestCode"), int):
        return None
    items, wanted = value.get("InstrumentList"), []
    for item in items if isinstance(items, list) else []:
        try:
            segment = ExchangeSegment(item["ExchangeSegment"])
            wanted.append(InstrumentId(segment, str(item["SecurityId"])))
        except (KeyError, TypeError, ValueError):
            continue
    return value["RequestCode"], wanted
