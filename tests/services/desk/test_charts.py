"""A chart is folded from the journal: level path, trigger and fills, each when it came."""

from decimal import Decimal as D

import pytest

from exit_story.values import asked, new_position
from squareoff.core.entries.opening import open_position
from squareoff.core.state import facts as f
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    ReportSource,
    Side,
)
from squareoff.domain.prices import PriceUnits, decimal_from_units
from squareoff.domain.rules import PriceRule, RuleName, RuleSet, TrailingRule, Trigger
from squareoff.services.desk.charts import LEVELS_MAX, Chart, ChartFold, FillAt
from squareoff.services.prices.price_history import PriceSpan

RULES = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(5)))
TRACKER, OPENED = open_position(new_position(rules=RULES), 0)
ID, ORDER, BROKER = TRACKER.tracker_id, ClientOrderId("sqx-1"), BrokerOrderId("B1")


def reported(status: BrokerOrderStatus, cumulative: int, average: str | None) -> f.OrderReported:
    """Return a report of the one order."""
    price = None if average is None else D(average)
    return f.OrderReported(ID, ORDER, BROKER, status, cumulative, price, "", ReportSource.STREAM)


STORY: list[f.Fact] = [
    *OPENED,
    f.StopMoved(ID, PriceUnits(1_600_000), PriceUnits(1_550_000), "trailing"),
    f.ExitClaimed(
        ID,
        IntentId("exit-1"),
        "trailing",
        Trigger(RuleName.TRAILING, PriceUnits(1_550_000), PriceUnits(1_549_500)),
    ),
    f.OrderPlanned(
        ID, ORDER, OrderRole.EXIT, OrderOrigin.PLACED, 1, 1, Side.SELL, 100, OrderType.LIMIT, None
    ),
    f.OrderSent(ID, ORDER, 1, OrderType.LIMIT, D("150"), "memory"),
    reported(BrokerOrderStatus.PART_TRADED, 40, "155.00"),
    f.AlarmRaised(f.Severity.WARNING, "rehearsal", "no part of a chart", ID),
    reported(BrokerOrderStatus.TRADED, 100, "154.40"),
]


def chart(story: list[f.Fact]) -> Chart:
    """Return the chart of a story, a fact each second."""
    entries = [JournalEntry(n, n * 10, fact, "") for n, fact in enumerate(story, start=1)]
    span = PriceSpan(0, *(PriceUnits(1_500_000),) * 4)
    fold = ChartFold()
    for entry in entries:
        fold.take(entry)
    assert fold.seq == len(story)
    return fold.chart(TRACKER, 1, (span,))


def test_the_path_of_the_levels_has_a_step_for_each_move() -> None:
    """The first stop is the fixed one; a fact that moves nothing adds no step."""
    levels = chart(STORY).levels

    assert [(at.time_ns, at.levels.stop_level, at.levels.stop_rule) for at in levels] == [
        (10, D("140.00"), "stop_loss"),
        (20, D("155.00"), "trailing"),
    ]


def test_trigger_and_entry_stand_in_rupees() -> None:
    """What fired, at which level, and the price that was seen."""
    found = chart(STORY)

    assert [(t.rule, t.level, t.price) for t in found.triggers] == [
        ("trailing", D("155.00"), D("154.95"))
    ]
    assert (found.entry_price, found.opened_at_ns) == (D("150.00"), 0)
    assert len(found.spans) == 1


def test_a_fill_is_what_is_new_at_the_price_of_what_is_new() -> None:
    """The second fill's price follows from the two averages: 60 at 154 make 154.40 of 100."""
    assert chart(STORY).fills == (
        FillAt(60, OrderRole.EXIT, Side.SELL, 40, D("155.00")),
        FillAt(80, OrderRole.EXIT, Side.SELL, 60, D("154.00000000")),
    )


@pytest.mark.parametrize("told", ["before", "after"])
def test_a_price_that_cannot_be_known_is_none(told: str) -> None:
    """Where an average is not told the fill has a quantity and no price."""
    first, second = ("155.00", None) if told == "before" else (None, "154.40")
    story = [
        *STORY[:-3],
        reported(BrokerOrderStatus.PART_TRADED, 40, first),
        reported(BrokerOrderStatus.TRADED, 100, second),
    ]

    assert chart(story).fills[-1].price is None


def test_a_report_without_news_is_no_fill() -> None:
    """The same quantity again adds nothing, whoever reports it."""
    again = reported(BrokerOrderStatus.TRADED, 100, "154.40")

    assert chart([*STORY, again]).fills == chart(STORY).fills


def test_a_rule_without_a_price_has_no_level() -> None:
    """A person's exit fires at no price."""
    wish = asked(rule=RuleName.MANUAL)
    claimed = f.ExitClaimed(ID, wish.intent_id, wish.reason, wish.trigger)
    found = chart([*OPENED, claimed]).triggers

    assert [(t.rule, t.level, t.price) for t in found] == [("manual", None, None)]


@pytest.mark.parametrize("moves", [LEVELS_MAX - 1, LEVELS_MAX, LEVELS_MAX + 1, 5 * LEVELS_MAX + 3])
def test_a_path_of_many_steps_is_thinned(moves: int) -> None:
    """What is shown is bounded; it begins at the first step and ends at the newest."""
    prices = [PriceUnits(1_500_000 + 500 * n) for n in range(moves)]
    story = [*OPENED, *(f.StopMoved(ID, price, price, "trailing") for price in prices)]
    levels = chart(story).levels

    assert min(moves, LEVELS_MAX / 2) < len(levels) <= LEVELS_MAX + 1
    assert levels[0].time_ns == 10
    assert levels[-1].levels.stop_level == decimal_from_units(prices[-1])
    assert [each.time_ns for each in levels] == sorted({each.time_ns for each in levels})
