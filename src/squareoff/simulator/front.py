"""What the network makes of one REST call under a fault decision; pure, shared by all drivers.

A driver (the server on real sockets, a simulation in virtual time) notes the arrival, waits
`decision.delay_ns`, calls `perform`, and after `answer_delay_ns` carries out the outcome. One whose
requests arrive after that delay leaves the note to `perform`.
"""

from dataclasses import dataclass
from enum import Enum

from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.faults import ERROR_STATUS, DropStyle, FaultDecision, What
from squareoff.simulator.received import Entry, note_answer
from squareoff.simulator.wire import WireRequest, WireResponse, encode_json, refusal

HTML_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
ERROR_TEXTS = {
    "DH-901": "Client ID or user generated access token is invalid or expired.",
    "DH-904": "Too many requests on server from single user breaching rate limits.",
    "DH-905": "Missing required fields, bad values for parameters etc.",
    "DH-906": "Invalid Token",
    "DH-908": "Internal server error.",
    "DH-909": "Network error, API was unable to communicate with the backend system.",
    "DH-911": "Invalid IP",
}


class Ending(str, Enum):
    """How a call ends for the client."""

    ANSWER = "ANSWER"
    """The answer arrives whole."""
    CUT = "CUT"
    """The answer stops in the middle and the connection is reset."""
    RESET = "RESET"
    """The connection is reset without a byte of an answer."""
    HOLD = "HOLD"
    """Nothing comes; the connection stays open until the client gives up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reaches the client: `response` is None unless something is sent."""

    ending: Ending
    response: WireResponse | None = None


def perform(
    broker: SimulatedBroker,
    request: WireRequest,
    decision: FaultDecision,
    now_ns: int,
    entry: Entry | None = None,
) -> Outcome:
    """Act on the request, or not, as the decision says, and return what the client gets.

    The broker has acted exactly when `broker.handle` was called, whatever the client sees. `entry`
    is that of the request's arrival, None where it arrives only now.
    """
    if entry is None:
        entry = broker.received.note_call(request, decision, now_ns)
    outcome = _outcome(broker, request, decision, now_ns, entry)
    if outcome.response is not None and entry["acted_ns"] is None:
        note_answer(entry, outcome.response)
    entry["ending"] = outcome.ending.value
    return outcome


def _outcome(
    broker: SimulatedBroker,
    request: WireRequest,
    decision: FaultDecision,
    now_ns: int,
    entry: Entry,
) -> Outcome:
    what = decision.what
    if what.refuse:
        return Outcome(Ending.RESET)
    if what.drop_before:
        return Outcome(_drop_ending(what.drop_before))
    if _is_faked(what) and not what.act:
        return Outcome(Ending.ANSWER, _faked(what))
    response = broker.handle(request, now_ns, decision, entry)
    if what.drop_after:
        return Outcome(_drop_ending(what.drop_after))
    if _is_faked(what):
        return Outcome(Ending.ANSWER, _faked(what))
    if what.truncated_json:
        half = response.body[: len(response.body) // 2]
        return Outcome(Ending.ANSWER, WireResponse(response.status, half, response.headers))
    if what.empty_body:
        return Outcome(Ending.ANSWER, WireResponse(response.status, b"", response.headers))
    return Outcome(Ending.CUT if what.reset_mid_answer else Ending.ANSWER, response)


def answer_delay_ns(broker: SimulatedBroker, decision: FaultDecision) -> int:
    """Return how long the answer is under way, nanoseconds: the conduct's delay and the fault's."""
    return decision.answer_delay_ns + broker.desk.draw_ns(broker.conduct.answer_delay_ms)


def _drop_ending(style: bool | DropStyle) -> Ending:
    return Ending.HOLD if style == "hold" else Ending.RESET


def _is_faked(what: What) -> bool:
    return bool(what.status or what.error or what.html)


def _faked(what: What) -> WireResponse:
    """Return the answer a fault puts in place of the true one."""
    if what.html:
        return WireResponse(what.status or 502, HTML_PAGE, {"content-type": "text/html"})
    if what.error and what.body is None:
        status = what.status or ERROR_STATUS.get(what.error, 500)
        return refusal(status, what.error, ERROR_TEXTS.get(what.error, "Error")).response
    headers = {"content-type": "application/json"} | what.headers
    if what.body is None:
        return WireResponse(what.status, b"", headers)
    body = what.body.encode() if isinstance(what.body, str) else encode_json(what.body)
    return WireResponse(what.status or ERROR_STATUS.get(what.error, 500), body, headers)
