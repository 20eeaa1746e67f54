"""Move a resting exit toward the market until it fills.

A modify names its absolute target, so it may be repeated; the broker allows 25 per order.
"""

from decimal import Decimal

from squareoff.core.exits.closing import cancel_order
from squareoff.core.exits.pricing import is_at_farthest, is_more_aggressive, protected_limit
from squareoff.core.exits.rejections import RejectionClass, classify_rejection
from squareoff.core.exits.sending import takes_no_market_orders, urgency_of
from squareoff.core.exits.setbacks import price_rejections, tick_rejections
from squareoff.core.state.commands import RequestReprice, TransmitModify
from squareoff.core.state.facts import OrderModifySent, Severity
from squareoff.core.state.inputs import ExitOversized, ModifyRefused, PriceView, RepriceReady
from squareoff.core.state.policy import CHASES_BEFORE_ALARM, MODIFICATIONS_MAX
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import OrderModification, OrderRole, OrderType
from squareoff.domain.states import BlockReason, IntentStatus
from squareoff.domain.time import seconds_to_ns

_NOTHING_GOES_OUT = (
    BlockReason.MARKET_CLOSED,
    BlockReason.KILL_SWITCH,
    BlockReason.TOKEN_DEAD,
    BlockReason.STATIC_IP,
    BlockReason.BROKER_UNREACHABLE,
    BlockReason.WITHDRAWING,
)


def chase_resting_exits(step: Step) -> None:
    """Queue a request for a new price for every exit that has rested for the chase interval.

    Where two orders rest at the broker under one id, as after a resend whose first send came late
    after all, one record cannot be moved for the other: both are cancelled, and sized anew.
    """
    if not _may_chase(step):
        return
    for order in step.tracker.exit_orders:
        if not order.is_resting or not _is_rested(step, order):
            continue
        if not _is_chaseable(order):
            _replace(step, order)
            continue
        target = order.live_broker_orders[0].broker_order_id
        urgency = urgency_of(step.tracker, order)
        step.command(RequestReprice(order.client_order_id, target, urgency))


def _is_rested(step: Step, order: TrackedOrder) -> bool:
    priced_at = step.pacing.of(order.client_order_id).priced_at_ns
    if priced_at == 0:  # loaded after a restart: its clock starts now
        priced_at = step.now.monotonic_ns
        step.pace_order(order.client_order_id, priced_at_ns=priced_at)
    return step.is_due(priced_at + seconds_to_ns(step.policy.chase_interval_seconds))


def _is_chaseable(order: TrackedOrder) -> bool:
    return order.is_resting and len(order.live_broker_orders) == 1


def _may_chase(step: Step) -> bool:
    """A block stops new orders, and so does handing over to a person; those that rest are chased on
    unless nothing can go out at all, or more was closed than held."""
    intent = step.tracker.intent
    if intent is None or step.tracker.exit_leaves_quantity > step.tracker.open_quantity:
        return False
    if intent.status is IntentStatus.BLOCKED:
        return intent.block_reason not in _NOTHING_GOES_OUT
    return intent.status is IntentStatus.OPEN or step.tracker.is_given_up


def _replace(step: Step, order: TrackedOrder) -> None:
    """Cancel it, and what is left of it is sized anew; with a person nothing is, so it stays."""
    if not step.tracker.is_given_up:
        cancel_order(step, order)


def on_reprice_ready(step: Step, event: RepriceReady) -> None:
    """Record and queue the modify if the new price is nearer to the market than the old one.

    An order that has used up its modifications, or is too large for any, is replaced, as one more
    of the bounded attempts.
    """
    order = step.tracker.order(event.client_order_id)
    if order is None or order.role is not OrderRole.EXIT or not _is_chaseable(order):
        return
    is_current = order.live_broker_orders[0].broker_order_id == event.broker_order_id
    if not is_current or not _may_chase(step):
        return
    step.pace_order(order.client_order_id, priced_at_ns=step.now.monotonic_ns)
    _complain_if_long(step, order)
    target = _next_target(step, order, event.price)
    if target is None:
        return
    is_too_large = step.pacing.of(order.client_order_id).is_too_large
    if is_too_large or order.modifications >= MODIFICATIONS_MAX:
        _replace(step, order)
        return
    _modify(step, order, event.broker_order_id, target)


def on_exit_oversized(step: Step, event: ExitOversized) -> None:
    """Take back what would close more than is there; what is left of it is sized anew."""
    order = step.tracker.order(event.client_order_id)
    if order is None or order.role is not OrderRole.EXIT or not _is_chaseable(order):
        return
    step.pace_order(order.client_order_id, priced_at_ns=step.now.monotonic_ns)
    if _may_chase(step):
        _replace(step, order)


def on_modify_refused(step: Step, event: ModifyRefused) -> None:
    """Refused for its price: the next lies nearer to the market, or would be refused as well.
    Refused for its size: it is replaced by smaller ones. Whatever else, the step is made again: a
    market that was closed for a minute must not find us at the end of the slippage."""
    refused_for = classify_rejection(event.code, event.text)
    pacing = step.pacing.of(event.client_order_id)
    if refused_for is RejectionClass.ADAPT_PRICE:
        step.pace_order(event.client_order_id, prices_refused=pacing.prices_refused + 1)
        return
    step.pace_order(
        event.client_order_id,
        modifies_refused=pacing.modifies_refused + 1,
        limit_price_seen=pacing.limit_price_seen or pacing.limit_before,
    )
    if refused_for is RejectionClass.ADAPT_SIZE:
        step.pace_order(event.client_order_id, is_too_large=True)


def _complain_if_long(step: Step, order: TrackedOrder) -> None:
    chases = step.pacing.of(order.client_order_id).chases + 1
    step.pace_order(order.client_order_id, chases=chases)
    if chases == CHASES_BEFORE_ALARM:
        step.alarm(
            Severity.WARNING,
            "exit_resting",
            f"Exit order {order.client_order_id} of {step.tracker.instrument.trading_symbol} rests "
            f"with {order.leaves_quantity} units open at {order.limit_price or 'market'}; it is "
            "moved toward the market as far as the settings allow.",
        )


def _modify(
    step: Step,
    order: TrackedOrder,
    broker_order_id: BrokerOrderId,
    target: tuple[OrderType, Decimal | None],
) -> None:
    order_type, limit_price = target
    stands_at = _standing_limit(step, order)
    step.pace_order(order.client_order_id, limit_price_seen=None, limit_before=stands_at)
    step.record(
        OrderModifySent(
            tracker_id=step.tracker.tracker_id,
            client_order_id=order.client_order_id,
            broker_order_id=broker_order_id,
            modification=order.modifications + 1,
            order_type=order_type,
            limit_price=limit_price,
        )
    )
    step.command(
        TransmitModify(
            OrderModification(
                broker_order_id=broker_order_id,
                client_order_id=order.client_order_id,
                order_type=order_type,
                order_quantity=order.order_quantity,
                limit_price=limit_price,
            )
        )
    )


def _next_target(
    step: Step, order: TrackedOrder, view: PriceView | None
) -> tuple[OrderType, Decimal | None] | None:
    """Return the next type and price, None to leave the order as it is."""
    if order.modifications + 1 == MODIFICATIONS_MAX and _may_become_market(step):
        return OrderType.MARKET, None
    if view is None:
        return None
    pacing = step.pacing.of(order.client_order_id)
    limit = protected_limit(
        step.tracker.instrument,
        order.side,
        view,
        step=_price_step(step, order),
        max_slippage_percent=step.policy.max_slippage_percent,
        price_rejections=price_rejections(step.tracker) + pacing.prices_refused,
        tick_rejections=tick_rejections(step.tracker),
    )
    if not is_more_aggressive(order.side, limit, _standing_limit(step, order)):
        return _last_target(step, order, view)
    return OrderType.LIMIT, limit


def _price_step(step: Step, order: TrackedOrder) -> int:
    """Return the number of the next step toward the market; a modify that was refused was none."""
    refused = step.pacing.of(order.client_order_id).modifies_refused
    return order.modifications - refused + 1


def _may_become_market(step: Step) -> bool:
    """An order that the exchange turned away as MARKET is gone, with its place: not once more."""
    return step.policy.market_on_last_step and not takes_no_market_orders(step.tracker)


def _last_target(
    step: Step, order: TrackedOrder, view: PriceView
) -> tuple[OrderType, Decimal | None] | None:
    """Return MARKET, once, for a limit that rests as far as the settings let it go."""
    is_at_end = is_at_farthest(
        step.tracker.instrument,
        order.side,
        view,
        step=_price_step(step, order),
        max_slippage_percent=step.policy.max_slippage_percent,
    )
    is_limit = order.order_type is OrderType.LIMIT
    went_market = step.pacing.of(order.client_order_id).went_market
    if not (_may_become_market(step) and is_at_end and is_limit) or went_market:
        return None
    step.pace_order(order.client_order_id, went_market=True)
    return OrderType.MARKET, None


def _standing_limit(step: Step, order: TrackedOrder) -> Decimal | None:
    """Return the price the order rests at: what its records since our last modify show counts.

    One that lags shows that the modify was lost; one that is ahead, that a person moved the order,
    or that an earlier modify came late. A MARKET order rests as the limit the broker made of it.
    """
    seen = step.pacing.of(order.client_order_id).limit_price_seen
    return order.limit_price if seen is None else seen
