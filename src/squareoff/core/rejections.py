"""Class a broker's refusal or rejection of an exit by what may be done about it.

The broker's codes are catch-alls (dhanhq-v2.md 9.3), so the text decides; an unknown text is taken
for one that may pass, within the bounded attempts, after which a person is called.
"""

from enum import Enum


class RejectionClass(str, Enum):
    """What a rejection asks for."""

    WAIT = "WAIT"
    """May pass by itself: try again after a growing pause."""
    MARKET_CLOSED = "MARKET_CLOSED"
    """The exchange takes no orders now: wait for the session."""
    STOP = "STOP"
    """Will not pass by itself: call a person, try again only slowly."""


_MARKET_CLOSED = ("market is closed", "markets offline", "market closed", "not allowed in this")
_STOP = (
    "invalid ip",
    "static_ip",
    "segment not active",
    "segment is not active",
    "insufficient",
    "not allowed",
    "blocked",
    "suspended",
    "missing required fields",
    "freeze",
    "dh-902",
    "dh-903",
    "dh-911",
)


def classify_rejection(code: str, text: str) -> RejectionClass:
    """Return the class of a refusal's code and text, case aside."""
    said = f"{code} {text}".lower()
    if any(phrase in said for phrase in _MARKET_CLOSED):
        return RejectionClass.MARKET_CLOSED
    if any(phrase in said for phrase in _STOP):
        return RejectionClass.STOP
    return RejectionClass.WAIT
