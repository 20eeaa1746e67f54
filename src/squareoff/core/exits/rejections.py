"""Class a broker's refusal or rejection of an exit by what may be done about it.

The broker's codes are catch-alls and its texts are free, so phrases of the text decide, in the
order of the table; case does not matter. A text that no phrase knows is taken for one that may
pass, within the bounded attempts, after which a person is called.
"""

from enum import Enum

from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.states import OrderState


class RejectionClass(str, Enum):
    """What a rejection asks for."""

    MARKET_CLOSED = "MARKET_CLOSED"
    """The exchange takes no orders now: wait for the session."""
    ADAPT_SIZE = "ADAPT_SIZE"
    """More than one order may carry: send smaller slices."""
    ADAPT_PRICE = "ADAPT_PRICE"
    """The limit lies outside what the exchange takes: price nearer to the market."""
    ADAPT_TICK = "ADAPT_TICK"
    """The limit lies off the exchange's grid: price on a coarser one."""
    ADAPT_TYPE = "ADAPT_TYPE"
    """Market orders are not taken: send a protected limit."""
    WAIT = "WAIT"
    """May pass by itself: try again after a growing pause."""
    STOP = "STOP"
    """Will not pass by itself: call a person, try again only slowly."""


_CLOSED, _SIZE = RejectionClass.MARKET_CLOSED, RejectionClass.ADAPT_SIZE
_PRICE, _WAIT, _STOP = RejectionClass.ADAPT_PRICE, RejectionClass.WAIT, RejectionClass.STOP
_TICK, _TYPE = RejectionClass.ADAPT_TICK, RejectionClass.ADAPT_TYPE

PHRASES: tuple[tuple[str, RejectionClass], ...] = (
    ("market is closed", _CLOSED),
    ("markets offline", _CLOSED),
    ("market closed", _CLOSED),
    ("exchange is closed", _CLOSED),
    ("offline order", _CLOSED),
    ("after market order", _CLOSED),
    ("after-market order", _CLOSED),
    ("market order", _TYPE),
    ("not allowed in this session", _CLOSED),
    ("freeze", _SIZE),
    ("quantity exceeds", _SIZE),
    ("qty exceeds", _SIZE),
    ("maximum order quantity", _SIZE),
    ("max order quantity", _SIZE),
    ("maximum allowed quantity", _SIZE),
    ("circuit", _PRICE),
    ("ckt limit", _PRICE),
    ("execution range", _PRICE),
    ("price range", _PRICE),
    ("price out of range", _PRICE),
    ("price band", _PRICE),
    ("price protection", _PRICE),
    ("rate not within", _PRICE),
    ("transit", _WAIT),
    ("too many requests", _WAIT),
    ("rate limit", _WAIT),
    ("try again", _WAIT),
    ("try after", _WAIT),
    ("timed out", _WAIT),
    ("dh-904", _WAIT),
    ("invalid ip", _STOP),
    ("static ip", _STOP),
    ("static_ip", _STOP),
    ("ip address", _STOP),
    ("whitelist", _STOP),
    ("segment not active", _STOP),
    ("segment is not active", _STOP),
    ("not activated", _STOP),
    ("deactivated", _STOP),
    ("dormant", _STOP),
    ("insufficient", _STOP),
    ("margin", _STOP),
    ("not allowed", _STOP),
    ("not permitted", _STOP),
    ("unauthori", _STOP),
    ("blocked", _STOP),
    ("suspended", _STOP),
    ("ban period", _STOP),
    ("edis", _STOP),
    ("tpin", _STOP),
    ("ddpi", _STOP),
    ("holdings", _STOP),
    ("tick size", _TICK),
    ("lot size", _STOP),
    ("invalid quantity", _STOP),
    ("invalid price", _STOP),
    ("invalid security", _STOP),
    ("missing required fields", _STOP),
    ("kill switch", _STOP),
    ("killswitch", _STOP),
    ("dh-901", _STOP),
    ("dh-902", _STOP),
    ("dh-903", _STOP),
    ("dh-911", _STOP),
)
"""Phrases of the broker's and the exchanges' texts; the first one that the text holds decides."""


def classify_rejection(code: str, text: str) -> RejectionClass:
    """Return the class of a refusal's code and text, case aside."""
    said = f"{code} {text}".lower()
    return next((found for phrase, found in PHRASES if phrase in said), RejectionClass.WAIT)


def was_rejected_for(order: TrackedOrder, rejection: RejectionClass) -> bool:
    """Say whether the broker or exchange turned this order away, unfilled, for such a reason."""
    is_turned_away = order.state in (OrderState.REFUSED, OrderState.REJECTED)
    return is_turned_away and classify_rejection("", order.failure_text) is rejection


def is_about_size(text: str) -> bool:
    """Say whether a reason speaks of a quantity that one order may not carry."""
    return classify_rejection("", text) is RejectionClass.ADAPT_SIZE


def was_too_large(order: TrackedOrder) -> bool:
    """Say whether the broker or exchange turned this order away for its size, or a modify of it
    until it was cancelled."""
    ended = (OrderState.REFUSED, OrderState.REJECTED, OrderState.CANCELLED)
    return order.state in ended and is_about_size(order.failure_text)
