"""Draw what each exit rule does to a course of prices, as the engine itself judges it.

Levels, moves and what fires come from the price watch, the time rules and the account's limits;
only the prices are made up. A picture whose rule would not fire cannot be drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial

from generated_docs.drawing import Line, Picture, as_svg
from squareoff.core.account.account_limits import AccountLimits
from squareoff.core.account.account_pnl import money_units
from squareoff.core.entries.opening import NewPosition, open_position
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.quiet_prices import LOUD_FEED
from squareoff.core.rules.levels import levels_of
from squareoff.core.rules.time_rules import due_time_rule
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import AccountRules, AccountTrailingRule
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits, decimal_from_units, units_from_decimal
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND, Now, ns_from_datetime

_INSTRUMENT = Instrument(
    instrument_id=InstrumentId(ExchangeSegment.NSE_FNO, "49081"),
    trading_symbol="NIFTY-Sep2026-25000-CE",
    lot_size=25,
    tick_size=Decimal("0.05"),
    freeze_quantity=1800,
    instrument_type="OPTIDX",
)
_ENTRY = Decimal("150.00")
_DAY = date(2026, 9, 15)
_HOURS = TradingDay(
    sessions=(Session(time(9, 15), time(15, 30)),),
    usual=Session(time(9, 15), time(15, 30)),
    broker_minutes=10,
)
_STEP_MINUTES = 5


@dataclass(frozen=True, slots=True)
class _Example:
    title: str
    rules: RuleSet
    prices: str
    side: PositionSide = PositionSide.LONG


_BY_PRICE: Mapping[str, _Example] = {
    "stop_loss": _Example(
        "stop_loss: 10 points under the entry",
        RuleSet(stop_loss=PriceRule(points=Decimal(10))),
        "150 148 151 145 140.05 140",
    ),
    "target": _Example(
        "target: 5 percent over the entry",
        RuleSet(target=PriceRule(percent=Decimal(5))),
        "150 152 149 155 157.45 157.50",
    ),
    "trailing": _Example(
        "trailing: 8 points below the best price",
        RuleSet(trailing=TrailingRule(points=Decimal(8))),
        "150 155 152 160 156 163 159 155",
    ),
    "trailing-step": _Example(
        "trailing: 8 points, from 10 of profit on, in steps of 5",
        RuleSet(
            trailing=TrailingRule(
                points=Decimal(8), activate_at_profit_points=Decimal(10), step=Decimal(5)
            )
        ),
        "150 156 153 160 163 160 166 161 155",
    ),
    "trailing-short": _Example(
        "trailing of a short position: 8 points over the best price",
        RuleSet(trailing=TrailingRule(points=Decimal(8))),
        "150 145 147 140 143 136 140 144",
        PositionSide.SHORT,
    ),
    "break_even": _Example(
        "break_even: once 12 points ahead, keep 1",
        RuleSet(break_even=BreakEvenRule(at_profit_points=Decimal(12), lock_points=Decimal(1))),
        "150 149 156 162 157 153 151",
    ),
    "tiers": _Example(
        "tiers: 10 percent ahead keeps 2, 20 percent keeps 10",
        RuleSet(tiers=(Tier(Decimal(10), Decimal(2)), Tier(Decimal(20), Decimal(10)))),
        "150 158 165 160 172 180 175 165",
    ),
    "peak_drawdown": _Example(
        "peak_drawdown: from 15 percent ahead, 40 percent of the best profit",
        RuleSet(
            peak_drawdown=PeakDrawdownRule(
                percent=Decimal(40), activate_at_profit_percent=Decimal(15)
            )
        ),
        "150 160 155 172.50 170 180 175 168",
    ),
}

_BY_TIME: Mapping[str, tuple[str, RuleSet, time]] = {
    "max_holding_minutes": (
        "max_holding_minutes: 30 minutes after the entry",
        RuleSet(max_holding_minutes=30),
        time(10, 0),
    ),
    "square_off_at": (
        "square_off_at: 15:15",
        RuleSet(square_off_at=time(15, 15)),
        time(14, 45),
    ),
}

_OF_ACCOUNT: Mapping[str, tuple[str, AccountRules, str]] = {
    "account-max_loss": (
        "max_loss of the account: 5,000 rupees",
        AccountRules(max_loss=Decimal(5000)),
        "0 -1500 1200 -2600 -4200 -5000",
    ),
    "account-trailing": (
        "trailing of the account: 2,000 rupees, from 3,000 of profit on",
        AccountRules(trailing=AccountTrailingRule(Decimal(2000), Decimal(3000))),
        "0 1000 3500 4000 3000 2000",
    ),
    "account-target": (
        "target of the account: 6,000 rupees",
        AccountRules(target=Decimal(6000)),
        "0 2000 1200 4100 5200 6000",
    ),
}


def rule_pictures() -> dict[str, Callable[[], str]]:
    """Return by file name what draws each picture."""
    pictures: dict[str, Callable[[], str]] = {
        name: partial(_by_price, example) for name, example in _BY_PRICE.items()
    }
    pictures |= {name: partial(_by_time, *example) for name, example in _BY_TIME.items()}
    pictures |= {name: partial(_of_account, *example) for name, example in _OF_ACCOUNT.items()}
    return {f"{name}.svg": draw for name, draw in pictures.items()}


def _by_price(example: _Example) -> str:
    """Play the prices to the engine's price watch until one fires, which must be the last."""
    prices = [Decimal(text) for text in example.prices.split()]
    tracker = _opened(example.rules, example.side, time(10, 0))
    watch = PriceWatch(HygieneLimits(), LOUD_FEED)
    watch.watch(tracker)
    falling: list[Decimal | None] = []
    rising: list[Decimal | None] = []
    for number, price in enumerate(prices):
        current = watch.current(tracker.tracker_id)
        assert current is not None, "it is under watch"
        levels = levels_of(current)
        falling.append(None if levels.falling is None else _rupees(levels.falling.price))
        rising.append(None if levels.rising is None else _rupees(levels.rising.price))
        seen = watch.on_tick(_tick(price, tracker.created_at_ns, number))
        assert seen is not None, "its instrument is under watch"
        if seen.fired:
            assert number == len(prices) - 1, f"{example.title}: fires before its last price"
            fires = f"fires at {price:.2f}"
            return as_svg(
                Picture(
                    example.title,
                    [(f"{price.normalize():f}", price) for price in prices],
                    [_base(len(prices)), *_levels(example.side, falling, rising)],
                    fires,
                )
            )
    raise AssertionError(f"{example.title}: never fires")


def _levels(
    side: PositionSide, falling: Sequence[Decimal | None], rising: Sequence[Decimal | None]
) -> list[Line]:
    stop, target = (falling, rising) if side is PositionSide.LONG else (rising, falling)
    found = (Line("stop", "stop", stop), Line("target", "target", target))
    return [line for line in found if any(value is not None for value in line.values)]


def _by_time(title: str, rules: RuleSet, begin: time) -> str:
    """Walk the minutes until the rule is due."""
    tracker = _opened(rules, PositionSide.LONG, begin)
    course = (150, 152, 149, 153, 155, 151, 154)
    points: list[tuple[str, Decimal]] = []
    for number, price in enumerate(course):
        at_ns = tracker.created_at_ns + number * _STEP_MINUTES * 60 * NANOSECONDS_PER_SECOND
        now = Now(at_ns, 0)
        points.append((now.ist().strftime("%H:%M"), Decimal(price)))
        if due_time_rule(tracker, now, _HOURS, held_ns=at_ns - tracker.created_at_ns) is not None:
            fires = f"fires at {points[-1][0]}"
            return as_svg(Picture(title, points, [_base(len(points))], fires))
    raise AssertionError(f"{title}: never due")


def _of_account(title: str, rules: AccountRules, course: str) -> str:
    """Tell the account's limits one P&L after the other until one is reached."""
    limits = AccountLimits(rules)
    values = [Decimal(text) for text in course.split()]
    trailing: list[Decimal | None] = []
    for number, value in enumerate(values):
        stop = limits.trailing_stop
        trailing.append(None if stop is None else Decimal(stop) / money_units(Decimal(1)))
        if limits.take(money_units(value)):
            assert number == len(values) - 1, f"{title}: fires before its last value"
            lines = [Line("zero at", "base", [Decimal(0)] * len(values))]
            if rules.max_loss is not None:
                lines.append(Line("max_loss", "stop", [-rules.max_loss] * len(values)))
            if rules.target is not None:
                lines.append(Line("target", "target", [rules.target] * len(values)))
            if rules.trailing is not None:
                lines.append(Line("trailing", "stop", trailing))
            points = [(f"{value}", value) for value in values]
            return as_svg(Picture(title, points, lines, f"fires at {value}"))
    raise AssertionError(f"{title}: never fires")


def _opened(rules: RuleSet, side: PositionSide, at: time) -> PositionTracker:
    position = NewPosition(
        tracker_id=TrackerId("trk-picture"),
        account_id=AccountId("picture"),
        instrument=_INSTRUMENT,
        product_type=ProductType.INTRADAY,
        side=side,
        quantity=100,
        entry_price=_ENTRY,
        rules=rules,
    )
    tracker, _ = open_position(position, ns_from_datetime(datetime.combine(_DAY, at, IST)))
    return tracker


def _tick(price: Decimal, opened_ns: int, number: int) -> Tick:
    at_ns = opened_ns + (number + 1) * NANOSECONDS_PER_SECOND
    return Tick(_INSTRUMENT.instrument_id, units_from_decimal(price), at_ns, at_ns, at_ns)


def _base(count: int) -> Line:
    return Line("entry", "base", [_ENTRY] * count)


def _rupees(units: PriceUnits) -> Decimal:
    return decimal_from_units(units).quantize(Decimal("0.01"))
