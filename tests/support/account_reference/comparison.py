"""Play a day to the engine's sums and to the reference, and find where they part."""

from dataclasses import replace
from decimal import Decimal

from account_reference.days import Close, Day, Lost, NextDay, Print, Restart, Stood, Take
from account_reference.reference import Account, Fired, Holding, Rules
from exact_fractions import Fraction
from exit_story.values import INSTRUMENT, held
from squareoff.core.account.account_limits import ReachedRule
from squareoff.core.account.account_pnl import MONEY_UNITS_PER_RUPEE, Share, share_of
from squareoff.core.account.account_watch import AccountWatch
from squareoff.core.state.tracker import BrokerOrder, PositionTracker, TrackedOrder
from squareoff.domain.account_rules import AccountRules, AccountTrailingRule
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    PositionSide,
    Side,
)
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.states import OrderState


def first_difference(day: Day) -> str | None:
    """Return what engine and reference disagree on first, None where they agree to the end."""
    engine, account = _Engine(day), Account(_rules(day))
    for number, step in enumerate(day.steps):
        expected, found = _told(account, step), engine.take(step)
        if expected != found:
            return f"step {number} {step}: {expected} but engine {found}"
        account.forget_unheld()
        seen = account.pnl, account.at_its_best, account.trailing_stop
        if seen != engine.seen():
            return f"after step {number} {step}: {seen} but engine {engine.seen()}"
    return None


def _rules(day: Day) -> Rules:
    def money(text: str) -> Fraction | None:
        return Fraction(text) if text else None

    trailing = (Fraction(day.trailing), Fraction(day.activation or 0)) if day.trailing else None
    return Rules(money(day.max_loss), money(day.target), trailing)


def _told(account: Account, step: object) -> Fired | None:
    match step:
        case Take(name, instrument, is_long, quantity, entry):
            account.holdings.append(Holding(name, instrument, is_long, quantity, Fraction(entry)))
        case Close(name, quantity, price):
            (holding,) = [each for each in account.holdings if each.name == name]
            holding.closed_today.append((quantity, Fraction(price)))
        case Print(instrument, price) if account.net(instrument):
            return account.see(instrument, Fraction(price))
        case Lost():
            account.lose_connection()
        case Restart():
            account.lose_connection()
            account.old.clear()
        case NextDay():
            account.begin_day()
        case Stood():
            return account.judge_the_rest()
        case _:
            return None
    return account.judge()


class _Engine:
    """The engine's sums and limits, told of positions as trackers."""

    def __init__(self, day: Day) -> None:
        trailing = None
        if day.trailing:
            trailing = AccountTrailingRule(Decimal(day.trailing), Decimal(day.activation or 0))
        self._rules = AccountRules(
            Decimal(day.max_loss) if day.max_loss else None,
            Decimal(day.target) if day.target else None,
            trailing,
        )
        self._trackers: dict[str, PositionTracker] = {}
        self._before: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._watch = AccountWatch(self._rules)
        self._watch.is_judging = True

    def seen(self) -> tuple[Fraction | None, Fraction, Fraction | None]:
        """Return P&L, known part at its best, and trailing stop."""
        pnl, stop = self._watch.pnl, self._watch.limits.trailing_stop
        return (
            _rupees(pnl.total) if pnl.is_known else None,
            _rupees(pnl.at_its_best()),
            None if stop is None else _rupees(stop),
        )

    def take(self, step: object) -> Fired | None:
        """Take a step; return what fired."""
        watch = self._watch
        match step:
            case Take():
                self._trackers[step.name] = _tracker(step)
                self._put(step.name)
            case Close():
                self._trackers[step.name] = _closed(self._trackers[step.name], step)
                self._put(step.name)
            case Print() if self._net(step.instrument):
                price = units_from_decimal(Decimal(step.price))
                return self._fired(watch.on_price(_instrument(step.instrument), price))
            case Lost():
                watch.pnl.forget_prices(lambda name: True)
            case Restart():
                limits = watch.limits
                self._start()
                self._watch.limits.begin_day(limits.peak, limits.spent)
                for name in self._trackers:
                    self._put(name)
            case NextDay():
                for name, tracker in self._trackers.items():
                    self._before[name] = share_of(tracker).realized
                    self._put(name)
                watch.pnl.forget_day()
                watch.limits.begin_day()
            case Print():
                return None
            case Stood():
                if watch.is_loss_without_the_rest:
                    pnl = watch.pnl.at_its_best()
                    return self._fired(watch.judge_the_rest(), pnl)
                return None
        return self._fired(self._watch.judge())

    def _net(self, instrument: str) -> int:
        name = _instrument(instrument)
        on_it = [t for t in self._trackers.values() if t.instrument.instrument_id == name]
        return sum(tracker.signed_quantity for tracker in on_it)

    def _put(self, name: str) -> None:
        tracker = self._trackers[name]
        share = share_of(tracker)
        share = Share(
            share.quantity, share.cost, share.realized - self._before.get(name, 0), share.is_priced
        )
        self._watch.pnl.put(tracker.tracker_id, tracker.instrument.instrument_id, share)

    def _fired(self, reached: tuple[ReachedRule, ...], pnl: int | None = None) -> Fired | None:
        if not reached:
            return None
        (rule, level), *others = reached
        total = self._watch.pnl.total if pnl is None else pnl
        also = frozenset(name.value for name, _ in others)
        return Fired(rule.value, _rupees(level), _rupees(total), also)


def _rupees(units: int) -> Fraction:
    return Fraction(units, MONEY_UNITS_PER_RUPEE)


def _instrument(name: str) -> InstrumentId:
    return InstrumentId(ExchangeSegment.NSE_FNO, name)


def _tracker(step: Take) -> PositionTracker:
    return held(
        tracker_id=TrackerId(step.name),
        instrument=replace(INSTRUMENT, instrument_id=_instrument(step.instrument)),
        side=PositionSide.LONG if step.is_long else PositionSide.SHORT,
        quantity=step.quantity,
        entry_price=Decimal(step.entry),
    )


def _closed(tracker: PositionTracker, step: Close) -> PositionTracker:
    price = Decimal(step.price)
    if not step.is_ours:
        return replace(
            tracker,
            externally_closed_quantity=tracker.externally_closed_quantity + step.quantity,
            externally_closed_notional=tracker.externally_closed_notional + step.quantity * price,
        )
    number = len(tracker.orders) + 1
    record = BrokerOrder(
        BrokerOrderId(f"B{number}"), BrokerOrderStatus.TRADED, step.quantity, price
    )
    order = TrackedOrder(
        client_order_id=ClientOrderId(f"c{number}"),
        role=OrderRole.EXIT,
        origin=OrderOrigin.PLACED,
        attempt=number,
        slice_number=1,
        side=Side.SELL if tracker.side is PositionSide.LONG else Side.BUY,
        order_quantity=step.quantity,
        state=OrderState.FILLED,
        broker_orders=(record,),
    )
    return replace(tracker, orders=(*tracker.orders, order))
