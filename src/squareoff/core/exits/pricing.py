"""The protection price of a marketable limit exit.

From the best price on the other side where the view has one, else the last traded price; off by a
protection percentage that widens with every step up to the configured slippage, and is halved by
every rejection of the price; on the tick grid, or on a coarser one where the exchange took none of
that; inside the circuit limits, of the day where the view knows them. Limits that the market itself
stands outside of are of another day, and none. Source of the slabs: Dhan's option table of 2024-06,
OpenAlgo's generic figures for equity and futures.
"""

from decimal import Decimal

from squareoff.core.state.inputs import PriceView
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import Side
from squareoff.domain.prices import round_to_tick_down, round_to_tick_up

_OPTION_SLABS = (
    (Decimal(50), Decimal(20)),
    (Decimal(200), Decimal(10)),
    (Decimal(1000), Decimal(5)),
)
_OPTION_PERCENT_ABOVE = Decimal(2)
_GENERIC_SLABS = ((Decimal(100), Decimal(2)), (Decimal(500), Decimal(1)))
_GENERIC_PERCENT_ABOVE = Decimal("0.5")
_HUNDRED = Decimal(100)
_TICK_SIZES = tuple(map(Decimal, ("0.01", "0.05", "0.10", "0.50", "1", "5")))
"""The price steps that NSE and BSE give shares, by their price; each is a multiple of the last."""

_HALVINGS_MAX = 10
"""So many halvings leave less than a tick of any distance."""


def protection_percent(instrument: Instrument, price: Decimal) -> Decimal:
    """Return the first step's distance in percent for an instrument at `price` rupees."""
    is_option = instrument.instrument_type.startswith("OPT")
    slabs = _OPTION_SLABS if is_option else _GENERIC_SLABS
    for bound, percent in slabs:
        if price <= bound:
            return percent
    return _OPTION_PERCENT_ABOVE if is_option else _GENERIC_PERCENT_ABOVE


def protected_limit(
    instrument: Instrument,
    side: Side,
    view: PriceView,
    *,
    step: int,
    max_slippage_percent: Decimal,
    price_rejections: int = 0,
    tick_rejections: int = 0,
) -> Decimal:
    """Return the limit price in rupees for an exit of `side`.

    Args:
        step: 0 for the first price, one more with every chase; widens the distance.
        price_rejections: how often in a row the exchange turned a price away; halves the distance.
        tick_rejections: how often it lay off the exchange's grid; each makes the grid coarser.
    """
    reference = _reference(side, view)
    tick_size = coarser_tick(instrument.tick_size, tick_rejections)
    percent = min(protection_percent(instrument, reference) * (step + 1), max_slippage_percent)
    percent /= 2 ** min(price_rejections, _HALVINGS_MAX)
    if price_rejections and reference * percent / _HUNDRED < tick_size:
        percent = Decimal(0)  # a tick beyond a circuit limit that the market stands at is none
    lower, upper = view.limits or (instrument.lower_circuit, instrument.upper_circuit)
    if side is Side.SELL:
        price = round_to_tick_down(reference * (1 - percent / _HUNDRED), tick_size)
        floor = _inside(lower, tick_size, up=True)
        lowest = tick_size if floor is None or reference < floor else floor
        return max(price, lowest)
    price = round_to_tick_up(reference * (1 + percent / _HUNDRED), tick_size)
    ceiling = _inside(upper, tick_size, up=False)
    return price if ceiling is None or reference > ceiling else min(price, ceiling)


def coarser_tick(tick_size: Decimal, steps: int) -> Decimal:
    """Return the price step so many sizes above one: an exchange makes that of a share coarser as
    it rises, and a position that is carried over has that of the day on which it was taken."""
    coarser = [each for each in _TICK_SIZES if each > tick_size and each % tick_size == 0]
    return [tick_size, *coarser][min(steps, len(coarser))]


def is_at_farthest(
    instrument: Instrument,
    side: Side,
    view: PriceView,
    *,
    step: int,
    max_slippage_percent: Decimal,
) -> bool:
    """Say whether no later step goes further from the price than this one, at a standing market."""
    percent = protection_percent(instrument, _reference(side, view)) * (step + 1)
    return percent >= max_slippage_percent


def _reference(side: Side, view: PriceView) -> Decimal:
    touch = view.best_bid if side is Side.SELL else view.best_ask
    return touch if touch is not None and touch > 0 else view.last_traded_price


def _inside(circuit: Decimal | None, tick_size: Decimal, *, up: bool) -> Decimal | None:
    if circuit is None or circuit <= 0:
        return None
    return round_to_tick_up(circuit, tick_size) if up else round_to_tick_down(circuit, tick_size)


def is_more_aggressive(side: Side, new: Decimal, old: Decimal | None) -> bool:
    """Say whether `new` is nearer to (or further through) the market than `old`."""
    if old is None:
        return True
    return new < old if side is Side.SELL else new > old
