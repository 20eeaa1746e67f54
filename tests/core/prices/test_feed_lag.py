"""How late the feed tells trades: only a trade that is new counts, and only for a while."""

from dataclasses import replace

from exit_story.values import INSTRUMENT, OPENED_AT_NS
from squareoff.core.prices.feed_lag import TOLD_FOR_SECONDS, FeedLag
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.domain.time import DAY_NS, seconds_to_ns

OTHER = InstrumentId(INSTRUMENT.instrument_id.exchange_segment, "2")


def tick(traded: float, came: float, name: InstrumentId = INSTRUMENT.instrument_id) -> Tick:
    """Return a price that was traded and came at these seconds."""
    traded_ns, came_ns = seconds_to_ns(traded), seconds_to_ns(came)
    return Tick(name, PriceUnits(1), OPENED_AT_NS + traded_ns, OPENED_AT_NS + came_ns, came_ns)


def lag_of(*ticks: Tick, at: float) -> float | None:
    """Return the worst lag at a second after these ticks."""
    lag = FeedLag()
    for each in ticks:
        lag.note(each)
    return lag.worst_seconds(seconds_to_ns(at))


def test_a_trade_counts_when_it_is_told_first() -> None:
    """Its lag is from the trade to its first telling; telling it again makes it no later."""
    assert lag_of(tick(0, 0), tick(10, 12), at=12) == 2.0
    assert lag_of(tick(0, 0), tick(10, 12), tick(10, 20), tick(10, 30), at=30) == 2.0


def test_an_old_trade_that_is_told_again_is_no_lag() -> None:
    """A quiet option whose book moves: the same trade comes for an hour, ever older."""
    again = [tick(0, second) for second in range(3_600)]

    assert lag_of(*again, at=3_600) is None


def test_the_first_price_of_an_instrument_is_of_before() -> None:
    """A subscription is answered with the last trade, however long ago it was."""
    assert lag_of(tick(-3_000, 1), at=1) is None


def test_the_worst_of_all_instruments_is_told() -> None:
    """One line of many that is late shows; one that is listened for no more does not."""
    lag = FeedLag()
    for name, late in ((INSTRUMENT.instrument_id, 1.0), (OTHER, 7.0)):
        lag.note(tick(0, 0, name))
        lag.note(tick(10, 10 + late, name))

    assert lag.worst_seconds(seconds_to_ns(18)) == 7.0
    lag.forget(OTHER)
    assert lag.worst_seconds(seconds_to_ns(18)) == 1.0


def test_a_lag_is_told_for_a_while_only() -> None:
    """Where nothing is traded nothing is late, whatever the last trade was."""
    late = tick(0, 0), tick(10, 20)

    assert lag_of(*late, at=20 + TOLD_FOR_SECONDS) == 10.0
    assert lag_of(*late, at=20.1 + TOLD_FOR_SECONDS) is None


def test_a_trade_of_the_future_hides_no_later_one() -> None:
    """It counts as traded when it came, and the next one is measured as ever."""
    future = replace(tick(0, 1), exchange_time_ns=OPENED_AT_NS + DAY_NS)

    assert lag_of(tick(0, 0), future, tick(8, 12), at=12) == 4.0


def test_an_instrument_is_behind_from_a_late_trade_to_one_in_time() -> None:
    """What was told first says nothing, and neither does a trade that is told again."""
    lag, name, limit_ns = FeedLag(), INSTRUMENT.instrument_id, seconds_to_ns(6)
    seen = []
    for each in (tick(-50, 0), tick(10, 16), tick(11, 17.1), tick(11, 30), tick(29, 31)):
        lag.note(each)
        seen.append(lag.is_behind(name, limit_ns))

    assert seen == [False, False, True, True, False]
    assert not lag.is_behind(OTHER, limit_ns)


def test_a_late_trade_that_was_the_last_leaves_nothing_behind() -> None:
    """Until one comes after it, late again; and it still counts in the figure."""
    lag, name, limit_ns = FeedLag(), INSTRUMENT.instrument_id, seconds_to_ns(6)
    lag.note(tick(0, 0))
    lag.note(tick(10, 20))
    lag.note_nothing_later(name)
    lag.note(tick(10, 21))

    assert not lag.is_behind(name, limit_ns)
    assert lag.worst_seconds(seconds_to_ns(21)) == 10.0
    lag.note(tick(15, 25))
    assert lag.is_behind(name, limit_ns)
    lag.note_nothing_later(OTHER)
    assert not lag.is_behind(OTHER, limit_ns)
