"""What the page makes of a position in money is what the engine's account makes of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page

from exit_story.values import held
from rare_journals import STORIES, journal_of_story
from seed_journals import journal_of_seed
from squareoff.core.account.account_pnl import MONEY_UNITS_PER_RUPEE, exact_rupees, share_of
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import JournalEntry, TrackerFact
from squareoff.core.state.tracker import BrokerOrder, PositionTracker, TrackedOrder
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderOrigin, OrderRole, PositionSide, Side
from squareoff.domain.states import OrderState, PositionStatus
from squareoff.web.facts_as_json import as_json

Fill = tuple[OrderRole, int, str | None]
"""What an order is for, what of it is filled, and the average price where it is told."""

EXIT, FLATTEN, ENTRY = OrderRole.EXIT, OrderRole.FLATTEN, OrderRole.ENTRY
CASES: dict[str, tuple[Fill, ...]] = {
    "untouched": (),
    "half closed": ((EXIT, 50, "60.00"),),
    "closed": ((EXIT, 75, "90.00"),),
    "sold twice": ((EXIT, 75, "90.00"), (EXIT, 75, "91.15")),
    "partly too much": ((EXIT, 75, "90.00"), (EXIT, 25, "90.12345678")),
    "taken back": ((EXIT, 75, "90.00"), (EXIT, 75, "90.00"), (FLATTEN, 75, "120.00")),
    "half taken back": ((EXIT, 75, "90.00"), (EXIT, 75, "90.00"), (FLATTEN, 25, "120.00")),
    "no average yet": ((EXIT, 75, None),),
    "no average of the flattening": ((EXIT, 150, "90.00"), (FLATTEN, 75, None)),
    "no average of the entry": ((ENTRY, 75, None),),
}
PRICES = ("90.00", "120.05", "200.00")
SEEDS = range(4)

_FIGURES = """async (cases) => {
  const { closedProfit, openProfit } = await import("/dashboard/figures.js");
  const { text } = await import("/dashboard/decimal.js");
  return cases.map(([tracker, price]) =>
    [openProfit(tracker, price), closedProfit(tracker)].map((each) => each === null ? null :
    text(each))); }"""


@pytest.mark.parametrize("side", PositionSide)
@pytest.mark.parametrize("name", CASES)
def test_money_is_the_engines(name: str, side: PositionSide, page: Page) -> None:
    """Closed in part, too much, and bought back: at every price both halves are the same."""
    tracker = _position(side, CASES[name])
    by_others = replace(
        tracker, externally_closed_quantity=10, externally_closed_notional=Decimal("1055.50")
    )
    let_go = replace(tracker, status=PositionStatus.UNTRACKED)
    ended = replace(tracker, status=PositionStatus.EXITED, realized_pnl=Decimal("-750.00"))

    for each in (tracker, by_others, let_go, ended):
        assert _shown(page, each) == _expected(each)


def test_an_over_exit_goes_on_losing(page: Page) -> None:
    """75 sold too much at 90.00 cost 30.00 each at 120.00, and nothing more once bought back."""
    sold_twice = _position(PositionSide.LONG, CASES["sold twice"][:1] * 2)
    taken_back = _position(PositionSide.LONG, CASES["taken back"])
    ((open_pnl, closed),) = page.evaluate(_FIGURES, [[as_json(sold_twice), "120.00"]])
    assert Decimal(open_pnl) + Decimal(closed) == -750 - 75 * 30
    assert page.evaluate(_FIGURES, [[as_json(taken_back), "200.00"]]) == [["0.00", "-3000.00"]]


def test_money_is_the_engines_along_journals(page: Page) -> None:
    """So it is after every fact of the rare stories and of simulated runs."""
    with ThreadPoolExecutor(1) as thread:  # the browser's loop counts as running in this one
        runs = [thread.submit(journal_of_seed, seed).result() for seed in SEEDS]
    journals = [*runs, *(journal_of_story(name) for name in STORIES)]
    states = [state for journal in journals for state in _states(journal)]
    found = page.evaluate(_FIGURES, [[as_json(state), PRICES[0]] for state in states])

    assert [_decimals(pair) for pair in found] == [_money(state, PRICES[0]) for state in states]
    assert any(state.over_exited_quantity for state in states)


def test_a_price_is_shown_as_it_is(page: Page) -> None:
    """A limit of a currency has four decimals: no other one is sent. Averages end at the paisa."""
    shown = """async (texts) => {
      const { distance, price } = await import("/dashboard/format.js");
      return [...texts.map(price), distance(83.2575 - 83.2525, 0.006), distance(12.4, 0.05)]; }"""
    texts = ["83.2525", "83.2575", "83.25", "25974.9", "12345678.0025", "26000.03333333"]

    assert page.evaluate(shown, texts) == [
        "83.2525", "83.2575", "83.25", "25,974.90", "1,23,45,678.0025", "26,000.03",
        "0.005 (0.01 %)", "12.40 (0.05 %)",
    ]  # fmt: skip


def _states(journal: tuple[JournalEntry, ...]) -> list[PositionTracker]:
    trackers: dict[str, PositionTracker | None] = {}
    states = []
    for entry in journal:
        if isinstance(entry.fact, TrackerFact):
            name = entry.fact.tracker_id
            after = evolve(trackers.get(name), entry.fact, entry.time_ns)
            trackers[name] = after
            states.append(after)
    return states


def _position(side: PositionSide, fills: tuple[Fill, ...]) -> PositionTracker:
    tracker = held(side=side, quantity=75, entry_price=Decimal("100.00"))
    orders = tuple(_order(number, fill) for number, fill in enumerate(fills, start=1))
    return replace(tracker, status=PositionStatus.EXITING, orders=orders)


def _order(number: int, fill: Fill) -> TrackedOrder:
    role, quantity, average = fill
    price = None if average is None else Decimal(average)
    record = BrokerOrder(BrokerOrderId(f"B{number}"), BrokerOrderStatus.TRADED, quantity, price)
    return TrackedOrder(
        client_order_id=ClientOrderId(f"c{number}"),
        role=role,
        origin=OrderOrigin.PLACED,
        attempt=number,
        slice_number=1,
        side=Side.SELL,
        order_quantity=quantity,
        state=OrderState.FILLED,
        broker_orders=(record,),
    )


def _shown(page: Page, tracker: PositionTracker) -> list[Any]:
    found = page.evaluate(_FIGURES, [[as_json(tracker), price] for price in PRICES])
    return [_decimals(pair) for pair in found]


def _expected(tracker: PositionTracker) -> list[Any]:
    return [_money(tracker, price) for price in PRICES]


def _decimals(pair: list[str | None]) -> list[Decimal | None]:
    return [None if text is None else Decimal(text) for text in pair]


def _money(tracker: PositionTracker, price: str) -> list[Decimal | None]:
    """Return the engine's open and closed P&L of a position at a price."""
    share = share_of(tracker)
    worth = share.quantity * int(Decimal(price) * MONEY_UNITS_PER_RUPEE)
    closed = exact_rupees(share.realized) if share.is_priced else None
    return [exact_rupees(worth - share.cost), closed]
