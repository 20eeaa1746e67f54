"""The journal of one exit as a story: what happened, who says so, and when after the trigger.

Three tellers: the engine (its journal), the broker (its own books), and the demo (what it did to
them). All three use this machine's clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from squareoff.cli.demo.evidence import Evidence
from squareoff.cli.demo.scenario import DemoPosition
from squareoff.domain.time import NANOSECONDS_PER_SECOND, ns_from_iso
from squareoff.web.fact_sentences import sentence_of


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
        if fact["kind"] not in _UNTOLD and fact["tracker_id"] in (tracker_id, None):
            text = sentence_of(fact["kind"], fact["data"])
            yield Moment(ns_from_iso(fact["time"]), "engine", text)


def _broker_moments(evidence: Evidence, position: DemoPosition) -> Iterator[Moment]:
    for order in evidence.orders_of(position):
        text = f"takes order {order['order_id']}: {order['side']} {order['quantity']}"
        yield Moment(order["created_ns"], "broker", text)
    for trade in evidence.exits_of(position):
        yield Moment(trade.time_ns, "broker", f"fills {trade.quantity} at {trade.price}")


_UNTOLD = frozenset(
    {
        "alarm_acknowledged",
        "alarm_raised",
        "best_price_noted",
        "books_reconciled",
        "kill_switch_set",
        "stop_moved",
    }
)
"""Kinds that say nothing of one exit."""
