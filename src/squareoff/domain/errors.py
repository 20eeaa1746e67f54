"""The error tree. Of every broker failure one question is asked: did the order leave?"""

from dataclasses import dataclass
from enum import Enum

STATIC_IP_CODE = "static_ip"
"""The code of `BrokerRejected` where the broker refuses this machine's address."""


class Sent(str, Enum):
    """Did the request leave and take effect? NO needs proof; without proof it is MAYBE."""

    NO = "NO"
    MAYBE = "MAYBE"
    YES = "YES"


class SquareoffError(Exception):
    """Any error of ours."""


class ConfigError(SquareoffError):
    """Settings are wrong: refuse to start. One line per fault, each naming its setting."""

    def __init__(self, faults: list[str] | str) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class StartPrevented(SquareoffError):
    """What may pass by itself keeps the program from starting: start it again."""


class DomainError(SquareoffError):
    """The caller asked for what cannot be.

    Carries `code` (see docs/errors.md) and `field`, the name of the offending input, or "".
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class InvalidTransition(DomainError):
    """A state machine was asked for a pair that its table does not hold."""

    def __init__(self, machine: str, state: str, trigger: str, subject: str) -> None:
        super().__init__(
            "invalid_transition", f"{machine} {subject}: {trigger} is not possible in {state}"
        )


class BrokerError(SquareoffError):
    """A call to the broker failed; `sent` says whether it may have taken effect there."""

    sent = Sent.MAYBE

    def __init__(
        self, message: str, *, code: str = "", text: str = "", http_status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.text = text
        self.http_status = http_status


class BrokerUnreachable(BrokerError):
    """No byte of the request left: retry within the limit."""

    sent = Sent.NO


class BrokerSendForbidden(BrokerError):
    """We forbade it ourselves right before the first byte: it came too late, or we may not own
    the account any more. Nothing left; the position is sized anew."""

    sent = Sent.NO


class BrokerRateLimited(BrokerError):
    """The broker refused for rate and says it took nothing: wait, then retry the same order."""

    sent = Sent.NO


class BrokerSessionExpired(BrokerError):
    """The token is dead; the request was not executed.

    `has_new_token`: another token is in place already, so the same call may be made again.
    """

    sent = Sent.NO
    has_new_token = False


class BrokerOutcomeUnknown(BrokerError):
    """The request may have taken effect: never resend, ask by client order id."""

    sent = Sent.MAYBE


class BrokerProtocolError(BrokerError):
    """The answer makes no sense; the raw text is kept. May have taken effect."""

    sent = Sent.MAYBE


class BrokerRejected(BrokerError):
    """The broker answered with a parsable refusal: a decision, not a fault."""

    sent = Sent.YES


class FeedError(SquareoffError):
    """The market feed failed; price rules must not judge on what it said before."""


class FeedDisconnected(FeedError):
    """The feed connection ended. `code` is the broker's reason (800-814) where it gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class StoreError(SquareoffError):
    """The database refused or is gone."""


class StoreUnavailable(StoreError):
    """The database could not be reached or stayed busy; nothing was committed."""


class CommitOutcomeUnknown(StoreError):
    """The connection broke during COMMIT: read back before deciding anything."""


class InForceNotStored(StoreError):
    """What was asked for holds in this engine, but its commit is not confirmed; the message says
    what becomes of it."""


class LostUpdate(StoreError):
    """Another writer changed the row first; reload and decide again."""


class CommitLost(StoreError):
    """The database came back without a commit that it had confirmed; only a new start asks the
    broker for what it does not know any more, so the engine ends."""


class SchemaMismatch(StoreError):
    """The database is of another version: `found` and `expected` name the revisions."""


class AccountLocked(StoreError):
    """Another engine owns this account on this database."""


class OwnershipLost(AccountLocked):
    """Another engine took this account over from us; we write and send nothing any more."""


class InvariantBroken(SquareoffError):
    """Our own bug. The position concerned is halted and a person is called."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault of an input: which field, what it was, what it must be."""

    field: str
    message: str
