"""Journal facts as sentences, for people who follow an exit: one for every kind.

The facts come as the API's JSON (docs/api.md); the engine is the subject of every sentence.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, decimal_text

Data = Mapping[str, Any]


def sentence_of(kind: str, data: Data) -> str:
    """Return what a fact says; a kind that a newer engine added is shown by its name."""
    speak = SENTENCES.get(kind)
    return kind if speak is None else speak(data)


def _price(text: str | None) -> str:
    """Return a price as it is; what is finer than any tick, an average, is told to the paisa."""
    if text is None:
        return "MARKET"
    price = Decimal(text)
    return f"{price:.2f}" if price * PRICE_UNITS_PER_RUPEE % 1 else decimal_text(price)


def _opened(data: Data) -> str:
    if data["awaits_entry"]:
        return f"watches a {data['side']} position that its entry order has to fill"
    return f"watches {data['side']} {data['quantity']} from {_price(data['entry_price'])}"


def _exit_all_asked(data: Data) -> str:
    closed = "everything intraday" if data["intraday_only"] else "everything"
    return f"{closed} is to be closed: {data['reason']}"


def _stop_moved(data: Data) -> str:
    return f"moves the stop to {_price(data['stop_level'])} ({data['stop_rule']})"


def _sized(data: Data) -> str:
    net = data["broker_net_quantity"]
    holds = "cannot be read" if net is None else f"holds {net:+d}"
    return f"the broker {holds}: {data['quantity']} to close"


def _attempt_failed(data: Data) -> str:
    return f"{data['text']}; sizes the rest again in {data['retry_after_seconds']:g} s"


def _planned(data: Data) -> str:
    return f"plans {data['side']} {data['order_quantity']} under its own id"


def _sent(data: Data) -> str:
    price = _price(data["limit_price"])
    return f"committed, then sent: {price if price == 'MARKET' else f'limit {price}'}"


def _accepted(data: Data) -> str:
    known = data.get("broker_order_id")
    return "the broker's answer: accepted" + (f", order {known}" if known else "")


def _reported(data: Data) -> str:
    source = str(data["source"]).lower().replace("_", " ")
    text = f"learns from the {source}: {data['status']}, {data['cumulative_quantity']} filled"
    if data["average_price"] is not None:
        text = f"{text} at {_price(data['average_price'])}"
    return f"{text} ({data['reason']})" if data.get("reason") else text


def _vanished(data: Data) -> str:
    if data["readings"] == 0:
        return f"{data['broker_order_id']} at the broker is not the entry that was waited for"
    asked = f"{data['readings']} readings in {data['waited_seconds']} s"
    return f"{data['broker_order_id']} was accepted and is in none of the broker's books ({asked})"


def _confirmed(data: Data) -> str:
    quantity, price = data["cumulative_quantity"], _price(data["average_price"])
    return f"the trade book agrees: {quantity} at {price}"


def _reconciled(data: Data) -> str:
    found = "; ".join(data["differences"]) or "no difference"
    return f"compares the books with the broker's ({data['cause']}): {found}"


def _taken(data: Data) -> str:
    who = f"process {data['process_id']} on {data['host']} is owner number {data['epoch']}"
    return f"{who} ({data['cause']})" + (f", after {data['before']}" if data["before"] else "")


def _kill_switch(data: Data) -> str:
    state = f"on, level {data['level']}" if data["active"] else "off"
    return f"the kill switch is {state}: {data['reason']}"


def _command_asked(data: Data) -> str:
    key = f", key {data['key']}" if data["key"] else ""
    about = f" about {data['about']}" if data["about"] else ""
    return f"is asked by {data['actor']} ({data['source']}): {data['call']}{about}{key}"


SENTENCES: dict[str, Callable[[Data], str]] = {
    "tracker_opened": _opened,
    "rules_changed": lambda _: "takes other rules",
    "stop_moved": _stop_moved,
    "best_price_noted": lambda data: f"saw {_price(data['peak_price'])}, its best price so far",
    "exit_claimed": lambda data: f"exit claimed: {data['reason']}",
    "exit_sized": _sized,
    "exit_blocked": lambda data: f"waits: {data['text']}",
    "exit_resumed": lambda _: "goes on with the exit",
    "exit_attempt_failed": _attempt_failed,
    "exit_withdrawal_asked": lambda data: f"{data['actor']} takes the exit back: {data['reason']}",
    "exit_withdrawn": lambda data: f"exit withdrawn: {data['reason']}",
    "exit_escalated": lambda data: f"needs a person: {data['reason']}",
    "order_planned": _planned,
    "entry_watched": lambda data: f"watches entry order {data['broker_order_id']}",
    "order_dropped": lambda data: f"gives up an unsent order: {data['reason']}",
    "order_replanned": lambda _: "will send the absent order again under the same id",
    "order_sent": _sent,
    "order_accepted": _accepted,
    "order_refused": lambda data: f"the broker's answer: refused, {data['code']} {data['text']}",
    "order_not_sent": lambda data: f"the order did not leave: {data['text']}",
    "order_outcome_lost": lambda data: (
        f"its outcome is unknown ({data['text']}): ask, never resend"
    ),
    "order_reported": _reported,
    "order_settled": lambda data: f"proved absent after {data['waited_seconds']} s",
    "order_vanished": _vanished,
    "order_modify_sent": lambda data: f"moves the order to {_price(data['limit_price'])}",
    "order_cancel_sent": lambda data: f"cancels order {data['broker_order_id']}",
    "closed_externally": lambda data: (
        f"somebody else closed {data['quantity']} at {_price(data['price'])}"
    ),
    "fills_confirmed": _confirmed,
    "position_exited": lambda data: (
        f"EXITED at {_price(data['exit_price'])}, P&L {data['realized_pnl']}"
    ),
    "position_cancelled": lambda data: f"CANCELLED: {data['reason']}",
    "over_exit_detected": lambda data: (
        f"OVER-EXIT: {data['over_exited_quantity']} more were closed than were held"
    ),
    "over_exit_resolved": lambda data: f"{data['actor']} dealt with it: {data['reason']}",
    "position_untracked": lambda data: f"{data['actor']} let it go: {data['reason']}",
    "alarm_raised": lambda data: f"alarm ({data['severity']}, {data['code']}): {data['message']}",
    "alarm_acknowledged": lambda data: f"alarm {data['alarm_seq']} was seen by a person",
    "alarm_repeated": lambda data: (
        f"alarm {data['alarm_seq']} still stands: {data['repeats']} more"
    ),
    "alarm_cleared": lambda data: f"alarm {data['alarm_seq']} is over: {data['text']}",
    "exit_all_asked": _exit_all_asked,
    "account_peak_reached": lambda data: f"the day's P&L has a new peak: {_price(data['peak'])}",
    "account_rule_fired": lambda data: data["reason"],
    "broker_lock_sent": lambda _: "asks the broker to lock the account for the day",
    "broker_lock_answered": lambda data: f"the broker's lock: {data['outcome']} ({data['text']})",
    "day_range_noted": lambda data: (
        f"prices beyond the day's {_price(data['day_low'])} to {_price(data['day_high'])} count "
        "for it from here on"
    ),
    "exit_all_ended": lambda data: f"closing everything is over: {data['outcome']}, {data['text']}",
    "account_taken": _taken,
    "token_replaced": lambda data: (
        f"uses another access token (by {data['how']}), "
        f"valid until {data['expires_at'] or 'nobody says when'}"
    ),
    "engine_started": lambda data: (
        f"starts again and finds {data['open_trackers']} positions unfinished"
    ),
    "books_reconciled": _reconciled,
    "kill_switch_set": _kill_switch,
    "command_asked": _command_asked,
    "command_answered": lambda data: f"answers {data['status']} {data['code']}".rstrip(),
    "calls_refused": lambda data: (
        f"refused {data['count']} calls of {data['source']}: {data['code']}"
    ),
    "caller_seen": lambda data: f"lets {data['actor']} in from {data['source']}",
}
"""A sentence for every kind of fact; a test proves that none is missing."""
