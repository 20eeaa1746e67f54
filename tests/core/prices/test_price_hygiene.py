"""Tests of price_hygiene: which ticks may fire a rule, and what is remembered of them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS
from squareoff.core.prices.price_hygiene import (
    NO_CIRCUIT,
    HygieneLimits,
    PriceMemory,
    TickVerdict,
    circuit_of,
    judge_tick,
)
from squareoff.domain.prices import PriceUnits, units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND

LIMITS = HygieneLimits(stale_after_seconds=5.0, spike_percent=Decimal(15))
BANDED = replace(INSTRUMENT, lower_circuit=Decimal("120.00"), upper_circuit=Decimal("180.00"))
GOOD, STALE = TickVerdict.GOOD, TickVerdict.STALE
SPIKE, OUT_OF_CIRCUIT = TickVerdict.SPIKE, TickVerdict.OUT_OF_CIRCUIT


def units(price: str) -> PriceUnits:
    """Return rupees in price units."""
    return units_from_decimal(Decimal(price))


def tick(price: str, *, traded: float = 0.0, received: float = 0.0) -> Tick:
    """Return a tick; times are seconds from the start of the story."""
    start = OPENED_AT_NS
    return Tick(
        instrument_id=INSTRUMENT.instrument_id,
        last_traded_price=units(price),
        exchange_time_ns=start + round(traded * NANOSECONDS_PER_SECOND),
        received_time_ns=start + round(received * NANOSECONDS_PER_SECOND),
        received_monotonic_ns=round(received * NANOSECONDS_PER_SECOND),
    )


def judged(*ticks: Tick, memory: PriceMemory | None = None) -> list[TickVerdict]:
    """Return the verdicts on ticks that follow each other."""
    verdicts = []
    known = PriceMemory() if memory is None else memory
    for each in ticks:
        verdict, known = judge_tick(each, circuit_of(BANDED), known, LIMITS, INSTRUMENT.tick_units)
        verdicts.append(verdict)
    return verdicts


@pytest.mark.parametrize(
    ("age_seconds", "expected"),
    [(0.0, GOOD), (6.0, GOOD), (6.1, STALE), (3_600.0, STALE)],
)
def test_the_first_print_must_be_young(age_seconds: float, expected: TickVerdict) -> None:
    """After a connect the last trade may be hours old; the feed tells it in whole seconds."""
    assert judged(tick("150.00", received=age_seconds)) == [expected]


def test_a_trade_of_before_the_newest_is_stale() -> None:
    """A print that was traded before one already seen fires nothing and is forgotten."""
    assert judged(
        tick("150.00", traded=2, received=2),
        tick("140.00", traded=1, received=3),
        tick("149.00", traded=2, received=3),
    ) == [GOOD, STALE, GOOD]


def test_a_stale_print_changes_no_memory() -> None:
    """What may fire nothing confirms nothing either."""
    memory = PriceMemory(units("150.00"), OPENED_AT_NS + 9, units("125.00"))

    verdict, after = judge_tick(
        tick("125.00"), circuit_of(BANDED), memory, LIMITS, INSTRUMENT.tick_units
    )

    assert (verdict, after) == (STALE, memory)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("119.95", OUT_OF_CIRCUIT),
        ("120.00", GOOD),
        ("180.00", GOOD),
        ("180.05", OUT_OF_CIRCUIT),
    ],
)
def test_a_price_outside_the_circuits_is_none(price: str, expected: TickVerdict) -> None:
    """Nothing trades beyond the day's limits; at them it does."""
    assert judged(tick(price)) == [expected]


@pytest.mark.parametrize("missing", [None, Decimal(0)])
def test_limits_that_are_not_known_refuse_nothing(missing: Decimal | None) -> None:
    """Some segments have no limits, and the broker tells none as 0."""
    unbanded = replace(INSTRUMENT, lower_circuit=missing, upper_circuit=missing)

    verdict, _ = judge_tick(
        tick("900.00"), circuit_of(unbanded), PriceMemory(), LIMITS, INSTRUMENT.tick_units
    )

    assert verdict is GOOD


def test_a_refused_price_confirms_no_other() -> None:
    """A print outside the circuits leaves no trace in the memory."""
    memory = PriceMemory(units("150.00"), OPENED_AT_NS)

    _, after = judge_tick(tick("110.00"), circuit_of(BANDED), memory, LIMITS, INSTRUMENT.tick_units)

    assert after == memory


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        pytest.param(("150", "172.50"), [GOOD, GOOD], id="up to the bound"),
        pytest.param(("150", "172.55"), [GOOD, SPIKE], id="beyond it"),
        pytest.param(("150", "125", "126"), [GOOD, SPIKE, GOOD], id="a second print confirms"),
        pytest.param(("150", "125", "150"), [GOOD, SPIKE, GOOD], id="it comes back"),
        pytest.param(("150", "125", "150", "125"), [GOOD, SPIKE, GOOD, SPIKE], id="forgotten"),
        pytest.param(("150", "121", "179"), [GOOD, SPIKE, SPIKE], id="another spike is none"),
        pytest.param(("150", "179", "121"), [GOOD, SPIKE, SPIKE], id="nor after one upwards"),
        pytest.param(("180", "150", "121"), [GOOD, SPIKE, GOOD], id="a farther one confirms"),
        pytest.param(("180", "121", "150"), [GOOD, SPIKE, GOOD], id="a nearer one confirms"),
        pytest.param(("120", "145", "180"), [GOOD, SPIKE, GOOD], id="upwards too"),
    ],
)
def test_a_spike_needs_a_second_print(prices: tuple[str, ...], expected: list[TickVerdict]) -> None:
    """One print far from the last good price fires nothing; a second one near it does."""
    assert judged(*(tick(price) for price in prices)) == expected


@pytest.mark.parametrize(
    ("prices", "good", "unconfirmed"),
    [
        pytest.param(("150", "120", "95"), "120", "95", id="down"),
        pytest.param(("150", "95", "120"), "120", "0", id="down and back"),
        pytest.param(("150", "120", "95", "75"), "95", "75", id="down and down"),
        pytest.param(("150", "120", "119"), "119", "0", id="near it"),
        pytest.param(("150", "200", "250"), "200", "250", id="up"),
        pytest.param(("150", "250", "200"), "200", "0", id="up and back"),
    ],
)
def test_two_prints_beyond_prove_the_nearer_one(
    prices: tuple[str, ...], good: str, unconfirmed: str
) -> None:
    """The farther of the two was printed once: it stands unconfirmed where it is the newest."""
    memory = PriceMemory()
    for price in prices:
        verdict, memory = judge_tick(tick(price), NO_CIRCUIT, memory, LIMITS, INSTRUMENT.tick_units)

    assert (verdict, memory.last_good, memory.unconfirmed) == (
        GOOD,
        int(Decimal(good) * 10_000),
        int(Decimal(unconfirmed) * 10_000),
    )


def test_a_move_of_one_tick_is_no_spike() -> None:
    """The least that a cheap option can move is a quarter of its price."""
    memory = PriceMemory()
    verdicts = []
    for price in ("0.20", "0.25", "0.20", "0.15", "0.10", "0.05", "0.15"):
        verdict, memory = judge_tick(tick(price), NO_CIRCUIT, memory, LIMITS, INSTRUMENT.tick_units)
        verdicts.append(verdict)

    assert verdicts == [GOOD] * 6 + [SPIKE]
