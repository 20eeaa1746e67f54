"""What the broker's word at the end of a market-feed connection asks for, code by code.

Source: dhanhq-v2.md 7.7 (reasons of packet 50), 9.4 (data-API codes), 6.4 and 7.7 (HTTP 429 on the
upgrade, minutes long and tied to the account).
"""

from dataclasses import dataclass
from http import HTTPStatus

from squareoff.core.state.facts import Severity

TOKEN_EXPIRED = 807


@dataclass(frozen=True, slots=True)
class FeedEnding:
    """How to go on after one kind of end.

    `pause_seconds` is the least pause before the next try; it doubles with each such end in a row,
    up to `pause_seconds_max`. With `holds_all` no other connection is opened meanwhile either; with
    `is_of_token` all that lasts no longer than the token. `alarm` is what a person is to know, ""
    where it heals by itself.
    """

    pause_seconds: float = 0.0
    pause_seconds_max: float = 0.0
    holds_all: bool = False
    alarm: str = ""
    severity: Severity = Severity.WARNING
    is_of_token: bool = False

    def pause_after(self, times: int) -> float:
        """Return the least pause after the n-th such end in a row, from 1."""
        return min(self.pause_seconds * (1 << min(times - 1, 16)), self.pause_seconds_max)


ORDINARY = FeedEnding()
"""A cut, a reset, a silence, a reason of no known meaning: just connect again."""

_TOO_MANY = (
    "Another program of this account uses the feed too: the account has five connections. "
    "Close what is not needed"
)
_TOKEN_CURE = "Prices stand still until the broker takes the token; give a new one"


def _login_refused(alarm: str) -> FeedEnding:
    return FeedEnding(5.0, 300.0, True, alarm, Severity.CRITICAL, is_of_token=True)


_ENDINGS = {
    HTTPStatus.TOO_MANY_REQUESTS: FeedEnding(
        60.0, 300.0, holds_all=True, alarm="The broker lets nobody connect for a while (HTTP 429)"
    ),
    804: FeedEnding(60.0, 300.0, alarm="The broker carries fewer instruments than are watched"),
    805: FeedEnding(15.0, 300.0, holds_all=True, alarm=_TOO_MANY),
    806: FeedEnding(
        60.0,
        300.0,
        holds_all=True,
        alarm="The account has no subscription to market data; subscribe at the broker",
        severity=Severity.CRITICAL,
    ),
    # The token's watch asks the broker, and replaces a dead one; a connect waits for that.
    TOKEN_EXPIRED: ORDINARY,
    808: _login_refused(f"Authentication failed. {_TOKEN_CURE}"),
    809: _login_refused(f"The access token is invalid. {_TOKEN_CURE}"),
    810: _login_refused("The client id is invalid; set DHAN_CLIENT_ID"),
    **dict.fromkeys(
        (811, 812, 813, 814),
        FeedEnding(
            60.0, 300.0, alarm="The broker refuses a subscription as wrong; look at what is watched"
        ),
    ),
}


def ending_of(code: int | None) -> FeedEnding:
    """Return what an end with this code asks for; None for an end without one."""
    return ORDINARY if code is None else _ENDINGS.get(code, ORDINARY)
