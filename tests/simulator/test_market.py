"""What is known of an instrument today, and the replay's clock."""

from decimal import Decimal

from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.catalogue import default_listings
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.market import InstrumentDay, MarketClock, MarketUpdate

LISTING = default_listings()[2]
SECOND = 10**9


def updated(*updates: MarketUpdate) -> InstrumentDay:
    day = InstrumentDay(LISTING)
    for number, update in enumerate(updates):
        day.apply(update, number)
    return day


def step(price: str | None = None, **more: object) -> MarketUpdate:
    last_price = None if price is None else Decimal(price)
    return MarketUpdate(LISTING.instrument_id, last_price, **more)  # type: ignore[arg-type]


def test_day_figures_follow_the_prints() -> None:
    """Open, high, low, volume and average come from the prints where the record has none."""
    day = updated(step("100", traded_quantity=10), step("104", traded_quantity=30), step("98"))

    assert (day.day_open, day.day_high, day.day_low, day.volume) == (100, 104, 98, 40)
    assert day.average_price() == 103
    assert day.last_quantity == 30


def test_recorded_figures_win() -> None:
    """Where the record names the day's figures, those are shown."""
    day = updated(step("100", volume=999, average_price=Decimal(97), day_high=Decimal(120)))

    assert (day.volume, day.average_price(), day.day_high) == (999, 97, 120)


def test_depth_and_interest() -> None:
    """Depth sets the totals and open interest keeps its day's range."""
    depth = Depth((DepthLevel(Decimal(99), 5),), (DepthLevel(Decimal(101), 7),))
    day = updated(step(depth=depth), step(open_interest=50), step(open_interest=40))

    assert (day.total_buy_quantity, day.total_sell_quantity) == (5, 7)
    assert (day.open_interest, day.open_interest_low, day.open_interest_high) == (40, 40, 50)
    assert day.last_price is None


def test_image_shows_recorded_time_when_asked() -> None:
    """The trade time is that of the print here, or that of the recording."""
    day = updated(step("100", recorded_ns=1_000 * SECOND))

    here = day.feed_image(BrokerConduct(), 5 * SECOND)
    recorded = day.feed_image(BrokerConduct(feed_last_trade_time="recorded"), 5 * SECOND)

    assert (here.last_trade_time, recorded.last_trade_time) == (19_800, 20_800)


def test_market_clock_runs_holds_and_moves() -> None:
    """Market time runs at its speed, stands while paused, and can be moved."""
    clock = MarketClock(0, speed=10)
    assert clock.market_ns(2 * SECOND) == 20 * SECOND
    assert clock.real_due_ns(30 * SECOND) == 3 * SECOND

    clock.set_paused(True, 2 * SECOND)
    assert clock.market_ns(9 * SECOND) == 20 * SECOND
    assert clock.real_due_ns(30 * SECOND) is None
    clock.set_paused(False, 9 * SECOND)
    clock.set_speed(1, 9 * SECOND)
    assert clock.real_due_ns(21 * SECOND) == 10 * SECOND
    clock.move_to(50 * SECOND, 9 * SECOND)
    assert clock.market_ns(10 * SECOND) == 51 * SECOND
    assert clock.real_due_ns(40 * SECOND) == 9 * SECOND
