"""The journal of one exit as a story: what happened, who says so, and when after the trigger.

Three tellers: the engine (its journal), the broker (its own books), and the demo (what it did to
them). All three use this machine's clock.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from squareoff.cli.demo.evidence import Evidence
from squareoff.cli.demo.scenario import DemoPosition
from squareoff.domain.time import NANOSECONDS_PER_SECOND, ns_from_iso

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """One line: UTC nanoseconds, who tells it, what."""

    time_ns: int
    teller: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """The lines in order of time; `trigger_ns` is the instant of the price that fired the rule."""

    trigger_ns: int
    moments: tuple[Moment, ...]

    def seconds(self, moment: Moment) -> float:
        """Return the time of a line after the trigger."""
        return (moment.time_ns - self.trigger_ns) / NANOSECONDS_PER_SECOND


def tell_story(evidence: Evidence, position: DemoPosition, deeds: list[Moment]) -> Story:
    """Return the story of one position's exit; `deeds` are the demo's own lines."""
    facts = evidence.facts(position)
    claim = next(fact for fact in facts if fact["kind"] == "exit_claimed")
    claimed_ns = ns_from_iso(claim["time"])
    received = claim["data"]["trigger"].get("received_time")
    trigger_ns = claimed_ns if received is None else ns_from_iso(received)
    end_ns = ns_from_iso(facts[-1]["time"])
    moments = [
        Moment(trigger_ns, "market", f"trades at {claim['data']['trigger']['price']}"),
        *_engine_moments(evidence, position),
        *_broker_moments(evidence, position),
        *deeds,
    ]
    told = [moment for moment in moments if trigger_ns <= moment.time_ns <= end_ns]
    told.sort(key=lambda moment: moment.time_ns)  # stable: facts of one commit keep their order
    return Story(trigger_ns, tuple(told))


def _engine_moments(evidence: Evidence, position: DemoPosition) -> Iterator[Moment]:
    tracker_id = evidence.tracker_ids[position.name]
    for fact in evidence.journal:
        speak = _SENTENCES.get(fact["kind"])
        if speak is not None and fact["tracker_id"] in (tracker_id, None):
            yield Moment(ns_from_iso(fact["time"]), "engine", speak(fact["data"]))


def _broker_moments(evidence: Evidence, position: DemoPosition) -> Iterator[Moment]:
    for order in evidence.orders_of(position):
        text = f"takes order {order['order_id']}: {order['side']} {order['quantity']}"
        yield Moment(order["created_ns"], "broker", text)
    for trade in evidence.exits_of(position):
        yield Moment(trade.time_ns, "broker", f"fills {trade.quantity} at {trade.price}")


def _started(data: Data) -> str:
    return f"starts again and finds {data['open_trackers']} positions unfinished"


def _claimed(data: Data) -> str:
    return f"exit claimed: {data['reason']}"


def _sized(data: Data) -> str:
    net = data["broker_net_quantity"]
    holds = "cannot be read" if net is None else f"holds {net:+d}"
    return f"the broker {holds}: {data['quantity']} to close"


def _sent(data: Data) -> str:
    price = "MARKET" if data["limit_price"] is None else f"limit {_price(data['limit_price'])}"
    return f"committed, then sent: {price}"


def _outcome_lost(data: Data) -> str:
    return f"its outcome is unknown ({data['text']}): ask, never resend"


def _reported(data: Data) -> str:
    source = str(data["source"]).lower().replace("_", " ")
    text = f"learns from the {source}: {data['status']}, {data['cumulative_quantity']} filled"
    return text if data["average_price"] is None else f"{text} at {_price(data['average_price'])}"


def _confirmed(data: Data) -> str:
    quantity, price = data["cumulative_quantity"], _price(data["average_price"])
    return f"the trade book agrees: {quantity} at {price}"


def _exited(data: Data) -> str:
    return f"EXITED at {_price(data['exit_price'])}, P&L {data['realized_pnl']}"


def _price(text: str) -> str:
    return f"{Decimal(text):.2f}"


_SENTENCES: dict[str, Callable[[Data], str]] = {
    "engine_started": _started,
    "exit_claimed": _claimed,
    "exit_sized": _sized,
    "order_planned": lambda data: f"plans {data['side']} {data['order_quantity']} under its own id",
    "order_dropped": lambda data: f"gives up an unsent order: {data['reason']}",
    "order_sent": _sent,
    "order_accepted": lambda _: "the broker's answer: accepted",
    "order_outcome_lost": _outcome_lost,
    "order_settled": lambda data: f"proved absent after {data['waited_seconds']} s",
    "order_reported": _reported,
    "order_modify_sent": lambda data: f"moves the order to {_price(data['limit_price'])}",
    "exit_blocked": lambda data: f"waits: {data['text']}",
    "fills_confirmed": _confirmed,
    "position_exited": _exited,
}
"""Kinds that the story tells; what concerns the whole account and no exit is left out."""
