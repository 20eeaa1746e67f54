"""Reports of a watched entry are compared with its position before anything of them is counted."""

from dataclasses import replace
from typing import Any

import pytest

from exit_story.story import Story
from exit_story.values import held, report
from squareoff.core.entries.entry_matching import is_entry
from squareoff.core.state.facts import OrderVanished
from squareoff.core.state.inputs import OrderSeen
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, ReportSource, Side
from squareoff.domain.states import PositionStatus

B = BrokerOrderStatus
OTHERS: dict[str, dict[str, Any]] = {
    "instrument": {"instrument_id": InstrumentId(ExchangeSegment.NSE_FNO, "49082")},
    "segment": {"instrument_id": InstrumentId(ExchangeSegment.BSE_FNO, "49081")},
    "product": {"product_type": ProductType.MARGIN},
    "side": {"side": Side.SELL},
}


def watching() -> Story:
    """Return a LONG position that waits for order E1."""
    return Story(held(entry_order_id=BrokerOrderId("E1")))


def seen(status: B, filled: int = 0, **changes: Any) -> OrderReport:
    """Return a record of order E1, a BUY of 100."""
    return replace(report(status, filled, broker_order_id="E1", side=Side.BUY), **changes)


def feed(story: Story, record: OrderReport) -> None:
    """Tell the position what was seen of its entry."""
    story.feed(OrderSeen(story.tracker.entry_orders[0].client_order_id, record))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("filled", [0, 100])
def test_another_order_ends_the_watch_and_counts_nothing(name: str, filled: int) -> None:
    """A person is told once, and the position ends unfilled; nothing is cancelled."""
    story = watching()
    for _ in range(2):
        feed(story, seen(B.TRADED if filled else B.PENDING, filled, **OTHERS[name]))

    assert (story.tracker.status, story.tracker.quantity) == (PositionStatus.CANCELLED, 0)
    assert story.alarm_codes() == ["entry_order_mismatch"]
    assert [f.readings for f in story.facts if isinstance(f, OrderVanished)] == [0]


def test_the_stream_alone_neither_counts_nor_ends() -> None:
    """What only the stream says of another order changes nothing; the books decide."""
    story = watching()
    before = story.tracker
    feed(story, seen(B.TRADED, 100, side=Side.SELL, source=ReportSource.STREAM))

    assert story.tracker == before
    assert story.alarm_codes() == []


def test_fills_before_the_difference_stay_counted() -> None:
    """What was found to be the entry's once is held, whatever a later record says."""
    story = watching()
    feed(story, seen(B.PART_TRADED, 40))
    feed(story, seen(B.TRADED, 100, product_type=ProductType.MARGIN))

    assert (story.tracker.status, story.tracker.quantity) == (PositionStatus.ACTIVE, 40)
    assert story.alarm_codes() == ["entry_order_mismatch"]


def test_only_the_same_position_and_side_is_an_entry() -> None:
    """Instrument, product and side must all be the position's."""
    record = seen(B.PENDING)
    key = (record.instrument_id, record.product_type, Side.BUY)

    assert is_entry(record, *key)
    assert [
        name for name, change in OTHERS.items() if is_entry(replace(record, **change), *key)
    ] == []
