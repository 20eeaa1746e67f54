"""Reports of one order in every order, with repeats, end in one state (I12).

A history is what the order really went through; its messages are snapshots of it in the shapes of
the order book and of the stream. All orders of the messages, with any message repeated anywhere,
are walked at once: a node is the set of messages heard so far and the state that they led to.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from random import Random

import pytest

from exit_story.story import Story
from exit_story.values import TRACKER, report
from squareoff.core.exits.sightings import reported
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.inputs import OrderSeen
from squareoff.core.state.order_fold import fold_order
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, ReportSource

B = BrokerOrderStatus
SEQUENCES = 10_000
SEEDS = 20
MESSAGES = (2, 3, 3, 4, 4, 4, 5, 5, 6)
"""How many messages a history is told by; drawn from these."""

QUANTITY = 100


def history(rng: Random) -> list[tuple[BrokerOrderStatus, int]]:
    """Return the states that one order really went through: status and cumulative quantity."""
    states = [(B.TRANSIT, 0), (B.PENDING, 0)]
    filled = 0
    for _ in range(rng.randint(0, 3)):
        filled = min(QUANTITY - 1, filled + rng.randint(1, 40))
        states.append((B.PART_TRADED, filled))
    end = rng.choice((B.TRADED, B.TRADED, B.CANCELLED, B.CANCELLED, B.EXPIRED, B.REJECTED))
    if end is B.TRADED:
        states.append((B.TRADED, QUANTITY))
    elif end is B.REJECTED and filled:
        states.append((B.CANCELLED, filled))
    else:
        states.append((end, filled))
    if end is B.CANCELLED and rng.random() < 0.3:  # the cancel lost against a fill after all
        states.append((B.CANCELLED, rng.randint(filled, QUANTITY)))
    return states


def message(rng: Random, status: BrokerOrderStatus, filled: int) -> OrderReport:
    """Return a snapshot as one of the sources tells it."""
    average = Decimal(150) + Decimal(filled) / 100 if filled else None
    source = rng.choice((ReportSource.ORDER_BOOK, ReportSource.LOOKUP, ReportSource.STREAM))
    if source is ReportSource.STREAM:
        if status is B.PART_TRADED and rng.random() < 0.5:
            status = B.PENDING  # the stream has no sure word for a partial fill
        elif status in (B.PENDING, B.PART_TRADED) and rng.random() < 0.2:
            status = B.UNKNOWN  # "Modified", "Triggered"
    elif not status.is_terminal and rng.random() < 0.3:
        average = None  # the row's fills run ahead of its average
    told = report(status, filled, broker_order_id="B1", order_quantity=QUANTITY)
    reason = "as told" if status in (B.REJECTED, B.CANCELLED, B.EXPIRED) else ""
    return replace(told, average_price=average, reason=reason, source=source)


def messages(rng: Random) -> list[OrderReport]:
    """Return messages of one history: its last state, and others drawn from all of it."""
    states = history(rng)
    drawn = [rng.choice(states) for _ in range(rng.choice(MESSAGES) - 1)]
    return [message(rng, *state) for state in (*drawn, states[-1])]


def ends_of(start: TrackedOrder, facts: list[OrderReported]) -> set[TrackedOrder]:
    """Return every state that the facts can lead to, in any order and with any repeats."""
    everything = (1 << len(facts)) - 1
    heard: dict[int, set[TrackedOrder]] = {0: {start}}
    for told in range(everything + 1):
        waiting = list(heard.get(told, ()))
        while waiting:
            order = waiting.pop()
            for place, fact in enumerate(facts):
                after = fold_order(order, fact, 0)
                states = heard.setdefault(told | 1 << place, set())
                if after not in states:
                    states.add(after)
                    if told >> place & 1:
                        waiting.append(after)
    return heard[everything]


def working_order() -> Story:
    """Return a story whose exit order the broker took as B1."""
    story = Story().claim()
    story.permit()
    story.accept("B1")
    return story


@pytest.mark.parametrize("seed", range(SEEDS))
def test_any_order_of_reports_ends_in_one_state(seed: int) -> None:
    """All orders of up to six messages, with repeats, give one and the same record."""
    rng = Random(seed)
    start = working_order().order()
    for _ in range(SEQUENCES // SEEDS):
        told = messages(rng)
        each_once = dict.fromkeys(told)  # repeats are walked anyhow
        facts = [reported(TRACKER, start.client_order_id, each) for each in each_once]
        (end,) = ends_of(start, facts)
        assert end.cumulative_quantity == max(each.cumulative_quantity for each in told)
        assert end.state.is_terminal


def orders_with_repeats(rng: Random, told: list[OrderReport]) -> Iterator[list[OrderReport]]:
    """Yield some orders of the messages, each with some of them repeated anywhere."""
    every = list(permutations(told))
    for chosen in rng.sample(every, min(6, len(every))):
        with_repeats = list(chosen)
        for _ in range(rng.randint(0, 3)):
            with_repeats.insert(rng.randint(0, len(with_repeats)), rng.choice(told))
        yield with_repeats


@pytest.mark.parametrize("seed", range(10))
def test_the_protocol_ends_in_one_state_too(seed: int) -> None:
    """Through whole decisions, position, order and what is left to close end alike."""
    rng = Random(1_000 + seed)
    for _ in range(20):
        ends = set()
        for told in orders_with_repeats(rng, messages(rng)[:5]):
            story = working_order()
            for each in told:
                story.feed(OrderSeen(story.order(0).client_order_id, each))
            ends.add((story.order(0), story.tracker.open_quantity, story.tracker.status))

        assert len(ends) == 1


def test_two_orders_under_one_id_end_in_one_state() -> None:
    """Reports of both orders of a resent id, in every order, give the same state and fills."""
    story = Story().claim()
    story.permit()
    story.lose()
    start = story.order()
    rows = [(B.REJECTED, 0, "B1"), (B.PENDING, 0, "B2"), (B.PART_TRADED, 40, "B2")]
    ends = set()
    for told in permutations(rows):
        order = start
        for status, filled, name in told:
            row = report(status, filled, broker_order_id=name, order_quantity=QUANTITY)
            order = fold_order(order, reported(TRACKER, order.client_order_id, row), 0)
        by_id = tuple(sorted(order.broker_orders, key=lambda each: each.broker_order_id))
        ends.add((order.state, order.cumulative_quantity, order.leaves_quantity, by_id))

    assert len(ends) == 1
    assert BrokerOrderId("B2") in {each.broker_order_id for each in next(iter(ends))[3]}
