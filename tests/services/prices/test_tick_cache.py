"""The newest tick per instrument, which grows old however often it is read."""

from exit_story.values import INSTRUMENT
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.services.prices.tick_cache import TickCache

SECOND = 1_000_000_000


def tick(traded: int, received: int, price: int = 1_500_000) -> Tick:
    """Return a tick traded and received at these seconds."""
    return Tick(
        instrument_id=INSTRUMENT.instrument_id,
        last_traded_price=PriceUnits(price),
        exchange_time_ns=traded * SECOND,
        received_time_ns=received * SECOND,
        received_monotonic_ns=received * SECOND,
    )


def test_an_older_trade_never_replaces_a_newer_one() -> None:
    """Invariant 1: a late packet of an earlier trade is refused, one of the same second taken."""
    cache = TickCache(5.0)

    assert cache.put(tick(10, 10))
    assert not cache.put(tick(9, 11, 1))
    assert cache.put(tick(10, 11, 2))
    newest = cache.newest(INSTRUMENT.instrument_id)
    assert newest is not None
    assert newest.last_traded_price == 2


def test_a_tick_of_the_future_mutes_none_and_is_no_fresh_price() -> None:
    """Invariant 2: an hour ahead, it is shown until the next one comes, and prices nothing."""
    cache = TickCache(5.0)
    cache.put(tick(10, 10, 1))
    cache.put(tick(3_611, 11, 2))
    newest = cache.newest(INSTRUMENT.instrument_id)
    assert newest is not None
    assert newest.last_traded_price == 2
    assert cache.fresh(INSTRUMENT.instrument_id, 11 * SECOND) is None

    assert cache.put(tick(11, 12, 3))
    fresh = cache.fresh(INSTRUMENT.instrument_id, 12 * SECOND)
    assert fresh is not None
    assert fresh.last_traded_price == 3


def test_a_trade_time_may_be_ahead_as_far_as_clocks_differ() -> None:
    """Five seconds, and what our clock is seen to be behind; a clock ahead of theirs adds none."""
    cache = TickCache(5.0)
    for ahead, allowed in ((0.0, 5), (-7.0, 12), (7.0, 5)):
        cache.allow_for_clock(ahead)
        assert cache.is_dated_right(tick(100 + allowed, 100))
        assert not cache.is_dated_right(tick(101 + allowed, 100))


def test_reading_makes_no_tick_younger() -> None:
    """Invariant 3: a tick that was read again and again is stale all the same."""
    cache = TickCache(5.0)
    cache.put(tick(10, 10))

    for second in range(10, 16):
        assert cache.fresh(INSTRUMENT.instrument_id, second * SECOND) is not None
    assert cache.fresh(INSTRUMENT.instrument_id, 15 * SECOND + 1) is None
    assert cache.newest(INSTRUMENT.instrument_id) is not None


def test_an_unknown_instrument_has_no_tick() -> None:
    """Nothing was seen, nothing is told."""
    cache = TickCache(5.0)

    assert cache.newest(INSTRUMENT.instrument_id) is None
    assert cache.fresh(INSTRUMENT.instrument_id, 0) is None


def test_what_the_feed_keeps_is_the_newest() -> None:
    """A quiet tick at the feed came after whatever was put; it is as old as its receipt, and can
    be taken over before the feed forgets it."""
    kept: Tick | None = None

    class Quiet:
        is_dropped = False

        def open(self, *, above: int, below: int, earliest_ns: int, latest_ns: int) -> None:
            """Not asked."""

        def close(self) -> None:
            """Not asked."""

        def forget(self) -> None:
            """Not asked."""

        def newest(self) -> Tick | None:
            """Return what is kept."""
            return kept

    cache = TickCache(5.0, lambda _instrument_id: Quiet())
    cache.put(tick(10, 10, 1))
    held = cache.newest(INSTRUMENT.instrument_id)
    kept = tick(10, 14, 2)
    newest = cache.newest(INSTRUMENT.instrument_id)

    assert held is not None
    assert newest is not None
    assert (held.last_traded_price, newest.last_traded_price) == (1, 2)
    assert cache.fresh(INSTRUMENT.instrument_id, 19 * SECOND) == kept
    assert cache.fresh(INSTRUMENT.instrument_id, 19 * SECOND + 1) is None

    kept = tick(15, 15, 3)
    cache.take_over(INSTRUMENT.instrument_id)
    kept = None
    assert cache.newest(INSTRUMENT.instrument_id) == tick(15, 15, 3)
