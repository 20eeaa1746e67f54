"""Find out what became of an order that cannot be accounted for.

Two kinds: an order whose outcome is unknown, and one that the broker accepted and that none of its
books shows. It is asked for by correlation id, order book and trade book at growing pauses, and
settled only after the quarantine, and after enough spaced, complete readings that lack it while the
broker's net position stayed the same. A 404 alone proves nothing.

Invariants:
1. A lost send is declared absent by that proof alone, and may then be sent again.
2. An accepted order that is proved to be in no book is never sent again by itself: a person is
   called, for the broker contradicts itself. Only one of an earlier day has simply expired.
"""

from typing import Any

from squareoff.core.exits.flattening import note_ended_flattening
from squareoff.core.exits.rejections import is_about_size
from squareoff.core.exits.setbacks import escalate_exit, note_ended_exit
from squareoff.core.state.commands import LookUpOrder
from squareoff.core.state.facts import OrderSettled, OrderVanished, Severity
from squareoff.core.state.inputs import SettleRead
from squareoff.core.state.policy import (
    LOOK_UP_DELAYS_SECONDS,
    READING_SPACING_SECONDS,
    UNSIGHTED_SECONDS_MAX,
)
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import SendOutcome, TrackedOrder
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderRole
from squareoff.domain.states import IntentStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, ist_day_number, seconds_to_ns


def _is_unknown(order: TrackedOrder) -> bool:
    """Say whether some send of the order is lost and not yet accounted for."""
    return any(send.outcome is SendOutcome.UNKNOWN for send in order.sends)


def _is_unsighted(step: Step, order: TrackedOrder) -> bool:
    """Say whether the order should be in the broker's books and was not seen there for long."""
    if not order.live_broker_orders:
        return False
    sighted_ns = step.pacing.of(order.client_order_id).sighted_ns
    if sighted_ns == 0:  # new to this process: its clock starts now
        sighted_ns = step.now.monotonic_ns
        step.pace_order(order.client_order_id, sighted_ns=sighted_ns)
    return step.is_due(sighted_ns + seconds_to_ns(UNSIGHTED_SECONDS_MAX))


def _must_be_asked_for(step: Step, order: TrackedOrder) -> bool:
    return _is_unknown(order) or order.has_unseen_send or _is_unsighted(step, order)


def note_sighting(step: Step, order: TrackedOrder, report: OrderReport) -> None:
    """A record of the order was read: if it was only out of sight, it is no more.

    One that had ended is another than the one that lives on under the id, and tells nothing of it.
    """
    if report.broker_order_id in order.ended_ids:
        return
    seen: dict[str, Any] = {"sighted_ns": step.now.monotonic_ns}
    if report.limit_price is not None:
        seen["limit_price_seen"] = report.limit_price
    if order.modifications and report.reason and is_about_size(report.reason):
        seen["is_too_large"] = True
    if not (_is_unknown(order) or order.has_unseen_send):
        seen |= {"unknown_since_ns": 0, "look_ups": 0, "lacking_readings": 0}
    step.pace_order(order.client_order_id, **seen)


def look_up_unknown_orders(step: Step) -> None:
    """Queue a look-up of every order that must be asked for, when its next one is due."""
    for order in step.tracker.orders:
        if not _must_be_asked_for(step, order):
            continue
        if step.pacing.of(order.client_order_id).unknown_since_ns == 0:
            step.pace_order(
                order.client_order_id,
                unknown_since_ns=step.now.monotonic_ns,
                next_look_up_ns=step.now.monotonic_ns,
            )
        if step.is_due(step.pacing.of(order.client_order_id).next_look_up_ns):
            step.command(LookUpOrder(order.client_order_id))


def on_settle_read(step: Step, event: SettleRead) -> None:
    """Count a round of asking; settle the order once the evidence is complete."""
    order = step.tracker.order(event.client_order_id)
    if order is None or not _must_be_asked_for(step, order):
        return
    pacing = step.pacing.of(event.client_order_id)
    pause = LOOK_UP_DELAYS_SECONDS[min(pacing.look_ups, len(LOOK_UP_DELAYS_SECONDS) - 1)]
    step.pace_order(
        event.client_order_id, look_ups=pacing.look_ups + 1, next_look_up_ns=step.after(pause)
    )
    if not (event.complete and event.lacking):
        _complain_if_long(step, order)
        return
    _count_lacking_reading(step, event)
    _settle_if_proved(step, order)


def _count_lacking_reading(step: Step, event: SettleRead) -> None:
    pacing = step.pacing.of(event.client_order_id)
    spacing = seconds_to_ns(READING_SPACING_SECONDS)
    if pacing.lacking_readings and step.now.monotonic_ns - pacing.last_lacking_ns < spacing:
        return
    moved = pacing.lacking_readings > 0 and event.steady_net_quantity != pacing.lacking_net_quantity
    step.pace_order(
        event.client_order_id,
        lacking_readings=1 if moved else pacing.lacking_readings + 1,
        last_lacking_ns=step.now.monotonic_ns,
        lacking_net_quantity=event.steady_net_quantity,
    )


def _settle_if_proved(step: Step, before: TrackedOrder) -> None:
    pacing = step.pacing.of(before.client_order_id)
    quarantine_ends_ns = pacing.unknown_since_ns + seconds_to_ns(step.policy.quarantine_seconds)
    if pacing.lacking_readings < step.policy.readings:
        return
    if not step.is_due(quarantine_ends_ns):
        # Should it arrive meanwhile, the order book tells, which is read for all every second.
        next_ns = max(pacing.next_look_up_ns, quarantine_ends_ns)
        step.pace_order(before.client_order_id, next_look_up_ns=next_ns)
        return
    waited_ns = step.now.monotonic_ns - pacing.unknown_since_ns
    waited_seconds = round(waited_ns / NANOSECONDS_PER_SECOND, 3)
    is_contradicted = before.has_unseen_send or not _is_unknown(before)
    if _is_unknown(before) or before.has_unseen_send:
        step.record(
            OrderSettled(
                step.tracker.tracker_id,
                before.client_order_id,
                pacing.lacking_readings,
                waited_seconds,
            )
        )
    else:
        _record_vanished(step, before, waited_seconds)
    step.pace_order(
        before.client_order_id,
        unknown_since_ns=0,
        look_ups=0,
        lacking_readings=0,
        sighted_ns=step.now.monotonic_ns,
        ends_read=frozenset(record.broker_order_id for record in before.broker_orders),
    )
    if not (is_contradicted and _call_a_person(step, before)):
        note_ended_exit(step, before)
    note_ended_flattening(step, before)


def _record_vanished(step: Step, order: TrackedOrder, waited_seconds: float) -> None:
    is_old = all(_is_of_an_earlier_day(send.sent_at_ns, step.now) for send in order.sends)
    for record in order.live_broker_orders:
        step.record(
            OrderVanished(
                step.tracker.tracker_id,
                order.client_order_id,
                record.broker_order_id,
                BrokerOrderStatus.EXPIRED if is_old else BrokerOrderStatus.MISSING,
                step.pacing.of(order.client_order_id).lacking_readings,
                waited_seconds,
            )
        )


def _is_of_an_earlier_day(sent_at_ns: int, now: Now) -> bool:
    return ist_day_number(sent_at_ns) < ist_day_number(now.wall_ns)


def _call_a_person(step: Step, before: TrackedOrder) -> bool:
    """The broker took the order and shows it nowhere; where it only expired nobody is called.

    Return whether somebody was.
    """
    order = step.tracker.order(before.client_order_id)
    assert order is not None, before.client_order_id
    if any(record.status is BrokerOrderStatus.EXPIRED for record in order.broker_orders):
        return False
    text = (
        f"order {order.client_order_id} was accepted by the broker and is in none of its books; "
        "it is not sent again by itself"
    )
    intent = step.tracker.intent
    driven = (IntentStatus.OPEN, IntentStatus.BLOCKED)
    if order.role is OrderRole.EXIT and intent is not None and intent.status in driven:
        escalate_exit(step, "order_vanished", text)
        return True
    symbol = step.tracker.instrument.trading_symbol
    step.alarm(Severity.CRITICAL, "order_vanished", f"{symbol} ({step.tracker.tracker_id}): {text}")
    return True


_LOOK_UPS_BEFORE_ALARM = 8
"""About half a minute of asking without a full answer; then a person should know."""

_LOOK_UPS_BEFORE_CALL = 30
"""Over two minutes: the broker may never answer in full, and a person can look himself."""


def _complain_if_long(step: Step, order: TrackedOrder) -> None:
    look_ups = step.pacing.of(order.client_order_id).look_ups
    sent = f"Order {order.client_order_id} of {step.tracker.instrument.trading_symbol} was sent and"
    if look_ups == _LOOK_UPS_BEFORE_ALARM:
        step.alarm(
            Severity.WARNING,
            "order_outcome_unknown",
            f"{sent} the broker's books cannot tell yet whether it is there; it is not sent again, "
            "asking goes on.",
        )
    elif look_ups == _LOOK_UPS_BEFORE_CALL:
        step.alarm(
            Severity.CRITICAL,
            "order_outcome_unknown",
            f"{sent} after {look_ups} questions the broker has not told whether it is there. Look "
            "at the order book in the broker's app. If the order is there, leave it; if it is not, "
            "close by hand where you must: what you close is not closed again. Asking goes on.",
        )
