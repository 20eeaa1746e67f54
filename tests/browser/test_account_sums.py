"""The page's P&L of today is the sum that the rules of the account go by."""

from decimal import Decimal
from typing import Any, cast

from playwright.sync_api import Page

from exit_story.values import INSTRUMENT, OPENED_AT_NS, held
from squareoff.core.account.account_limits import AccountLimits
from squareoff.core.account.account_pnl import AccountPnl
from squareoff.core.state.tracker import BrokerOrder, PositionTracker
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.copies import replace
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderType
from squareoff.domain.prices import PriceUnits
from squareoff.domain.time import ist_date, ist_midnight_ns
from squareoff.ports import Journal
from squareoff.services.account.account_book import AccountBook
from squareoff.services.account.account_view import account_view
from squareoff.web.answers import AccountOut
from squareoff.web.facts_as_json import as_json

MIDNIGHT_NS = ist_midnight_ns(OPENED_AT_NS)
YESTERDAY_NS = MIDNIGHT_NS - 3_600_000_000_000

_PROFITS = """async ([trackers, account]) => {
  const { Model } = await import("/dashboard/model.js");
  const { Replica } = await import("/dashboard/replica.js");
  const { text } = await import("/dashboard/decimal.js");
  const model = new Model();
  model.begin(new Replica({ seq: 0, account_id: "a", mode: "paper", broker: "b",
    stale_after_seconds: 5, budget_limits: {}, kill_switch: {}, exit_all: null, alarms: [],
    trackers }));
  const time = new Date().toISOString();
  const price = { exchange_segment: "NSE_FNO", security_id: "49081",
    last_traded_price: "160.00", received_at: time };
  const status = { account, blind_instruments: [] };
  model.takeLive({ time, prices: [price], head: 0, is_behind: false, status });
  const { open, closed, unknown } = model.profits();
  return [text(open), text(closed), unknown]; }"""


def test_what_earlier_days_brought_is_no_part_of_today(page: Page) -> None:
    """What a carried position had realised is not in it, nor an intraday position of yesterday
    that is not booked yet; what is closed of the others today is."""
    carried = replace(_closed("carried", 40, 60), created_at_ns=YESTERDAY_NS)
    carried = replace(carried, product_type=ProductType.MARGIN)
    forgotten = replace(_closed("forgotten", 40, -600), created_at_ns=YESTERDAY_NS)
    pnl = AccountPnl()
    book = AccountBook(pnl, cast("Journal", None))
    book.put(carried)
    book.put(forgotten)
    book.roll(MIDNIGHT_NS)
    now = [_closed_further(carried, 10, 10), forgotten, _closed("opened", 40, 60)]
    for tracker in now:
        book.put(tracker)
    pnl.price(INSTRUMENT.instrument_id, PriceUnits(1_600_000))

    day = ist_date(MIDNIGHT_NS).isoformat()
    rules = AccountRules()
    view = account_view(day, rules, AccountLimits(rules), pnl, None, book.realized_before)
    account = AccountOut.model_validate(view).model_dump(mode="json")
    assert page.evaluate(_PROFITS, [[as_json(t) for t in now], account]) == ["1100.00", "70.00", 0]
    assert (account["unrealized_pnl"], account["realized_pnl"]) == ("1100.00", "70.00")


def test_an_entry_that_filled_at_a_price_not_told_is_not_in_it(page: Page) -> None:
    """Counted from no price it would be a gain of its whole worth."""
    waiting = held(entry_order_type=OrderType.MARKET, entry_price=Decimal(0))
    (order,) = waiting.orders
    record = BrokerOrder(BrokerOrderId("B1"), BrokerOrderStatus.TRADED, 100, None)
    filled = replace(waiting, quantity=100, orders=(replace(order, broker_orders=(record,)),))

    account = {"day": "", "realized_before": "0.00", "unseen": []}
    assert page.evaluate(_PROFITS, [[as_json(filled)], account]) == ["0.00", "0.00", 1]


def _closed(name: str, quantity: int, gain: int) -> PositionTracker:
    tracker = replace(held(), tracker_id=TrackerId(name))
    return _closed_further(tracker, quantity, gain)


def _closed_further(tracker: PositionTracker, quantity: int, gain: int) -> PositionTracker:
    """Return the long position after others closed so much of it with this gain."""
    changes: dict[str, Any] = {
        "externally_closed_quantity": tracker.externally_closed_quantity + quantity,
        "externally_closed_notional": tracker.externally_closed_notional
        + quantity * tracker.entry_price
        + gain,
    }
    return replace(tracker, **changes)
