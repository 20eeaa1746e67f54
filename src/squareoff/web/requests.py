"""Request bodies and queries of the API, and how they become what the desk takes."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator
from pydantic.config import JsonDict

from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.rule_parsing import parse_rules
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import EntryRequest, PositionRequest
from squareoff.services.exits.exit_engine import EXIT_WAIT_SECONDS_MAX
from squareoff.services.exits.exit_results import Wait
from squareoff.web.wire_types import Incoming, Price, RulesIn, Whole

REASON_LENGTH_MAX = 200
EXIT_WAIT_SECONDS_LIMIT = 60.0
"""Longer waits belong to GET /trackers/{id} or the event stream."""

JOURNAL_PAGE = 1_000

Name = Annotated[str, Field(max_length=64)]
Reason = Annotated[str, Field(max_length=REASON_LENGTH_MAX)]

WaitSeconds = Annotated[float, Field(strict=True, ge=0, le=EXIT_WAIT_SECONDS_LIMIT)]
"""In a body: JSON's "5" and true are refused."""

Ticket = Annotated[str | None, Field(max_length=64)]
"""The `ticket` of a preview that was looked at first."""

_POSITION_EXAMPLE: JsonDict = {
    "exchange_segment": "NSE_FNO",
    "security_id": "49543",
    "product_type": "INTRADAY",
    "side": "LONG",
    "quantity": 75,
    "entry_price": "25974.90",
    "rules": {"stop_loss": {"points": "40"}, "square_off_at": "15:15"},
}
_ENTRY_EXAMPLE: JsonDict = {
    "exchange_segment": "NSE_FNO",
    "security_id": "49543",
    "product_type": "INTRADAY",
    "side": "LONG",
    "quantity": 75,
    "order_type": "LIMIT",
    "limit_price": "25970.00",
    "rules": {"stop_loss": {"points": "40"}},
}
_RULES_EXAMPLE: JsonDict = {"rules": {"stop_loss": {"price": "140.00"}}}
_EXIT_EXAMPLE: JsonDict = {"reason": "enough for today", "wait": "accepted"}
_HALT_EXAMPLE: JsonDict = {"active": True, "level": "new", "reason": "halt"}
_PERSON_EXAMPLE: JsonDict = {"reason": "held by hand from now on", "actor": "the desk"}


class PositionIn(Incoming):
    """A position to take under watch."""

    model_config = ConfigDict(json_schema_extra={"examples": [_POSITION_EXAMPLE]})

    exchange_segment: ExchangeSegment
    security_id: Name
    """The exchange's number of the instrument, as text."""
    product_type: ProductType
    side: PositionSide
    quantity: Whole
    """Whole units (not lots), above zero."""
    entry_price: Price
    trading_symbol: Name | None = None
    lot_size: Whole | None = None
    """Needed only where the instrument master does not hold the instrument; so are the next two."""
    tick_size: Price | None = None
    freeze_quantity: Whole | None = None
    entry_order_id: Name | None = None
    """The broker's id of an entry order, in its order book of today and no other tracker's; the
    position waits for its fills."""
    rules: RulesIn = None

    def as_asked(self) -> PositionRequest:
        """Return what the desk takes; raises InvalidRules."""
        return PositionRequest(
            exchange_segment=self.exchange_segment,
            security_id=self.security_id,
            product_type=self.product_type,
            side=self.side,
            quantity=self.quantity,
            entry_price=self.entry_price,
            rules=parse_rules(self.rules),
            trading_symbol=self.trading_symbol,
            lot_size=self.lot_size,
            tick_size=self.tick_size,
            freeze_quantity=self.freeze_quantity,
            entry_order_id=self.entry_order_id,
        )


class EntryIn(Incoming):
    """An entry order to place together with its tracker."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY_EXAMPLE]})

    exchange_segment: ExchangeSegment
    security_id: Name
    product_type: ProductType
    side: PositionSide
    quantity: Whole
    order_type: OrderType
    """LIMIT or MARKET."""
    limit_price: Price | None = None
    """Needed for LIMIT and only for LIMIT."""
    rules: RulesIn = None

    def as_asked(self) -> EntryRequest:
        """Return what the desk takes; raises InvalidRules."""
        return EntryRequest(
            exchange_segment=self.exchange_segment,
            security_id=self.security_id,
            product_type=self.product_type,
            side=self.side,
            quantity=self.quantity,
            order_type=self.order_type,
            limit_price=self.limit_price,
            rules=parse_rules(self.rules),
        )


class RulesPatch(Incoming):
    """New rules of a position; they replace all of the old ones."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RULES_EXAMPLE]})

    rules: RulesIn = Field(...)
    """All rules from now on; `{}` takes every rule away."""

    @field_validator("rules")
    @classmethod
    def _is_given(cls, rules: Any) -> Any:
        if rules is None:  # a value that was forgotten must not leave a position without a stop
            raise ValueError("must be an object, was null; {} takes every rule away")
        return rules


class ExitIn(Incoming):
    """The wish to close one position."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXIT_EXAMPLE]})

    reason: Reason | None = None
    """Why, in your words; it must be given and not blank."""
    wait: Wait = Wait.ACCEPTED
    """Answer once the exit is durably claimed, accepted by the broker, or filled and confirmed."""
    wait_seconds: WaitSeconds = EXIT_WAIT_SECONDS_MAX
    """How long to wait at the most; the exit goes on by itself."""


class ExitAllIn(Incoming):
    """The wish to close every position."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "end of the day"}]})

    reason: Reason | None = None
    """Why, in your words; it must be given and not blank."""

    lock_account: Annotated[bool, Field(strict=True)] = False
    """Put on the broker's own kill switch for the day, once nothing is held and no order open."""
    wait_seconds: WaitSeconds = 0.0
    """How long to wait for nothing to remain; it goes on by itself."""
    ticket: Ticket = None
    """From `GET /exit-preview`: refused where more would be closed now than was shown."""


class ExitAllQuery(Incoming):
    """How long to wait for nothing to remain."""

    wait_seconds: Annotated[float, Field(ge=0, le=EXIT_WAIT_SECONDS_LIMIT)] = 0.0
    """Answers at once by default."""


class PersonIn(Incoming):
    """A person's decision over a position."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERSON_EXAMPLE]})

    reason: Reason
    """Why, in your words; not blank, kept for ever."""
    actor: Name = "api"
    """Who decides; kept for ever."""


class UntrackIn(PersonIn):
    """The wish to let a position go."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERSON_EXAMPLE]})

    ticket: Ticket = None
    """From `GET /exit-preview` of this position."""


class WithdrawIn(PersonIn):
    """The wish to take an exit back."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERSON_EXAMPLE]})

    wait_seconds: WaitSeconds = EXIT_WAIT_SECONDS_MAX
    """How long to wait for its orders to end at the broker; it goes on by itself."""


class KillSwitchIn(Incoming):
    """The kill switch to set."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HALT_EXAMPLE]})

    active: Annotated[bool, Field(strict=True)]
    level: Name | None = None
    """`new` lets only exits through, `all` lets nothing through. Left out it is `new`, and a switch
    that stands at `all` stays there: halting once more lets nothing out."""
    reason: Reason = "set through the API"
    """Why, in your words; a halt must not fail for want of it."""
    ticket: Ticket = None
    """From `GET /resume-preview`, for lifting it."""


class NothingIn(Incoming):
    """A body without fields; it may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class TrackersQuery(Incoming):
    """Which trackers to list."""

    status: list[PositionStatus] = Field(default_factory=list)
    """May be repeated; none means all."""
    past: bool = False
    """Whether to list also those that ended more than a week ago, which rest in the database."""


class JournalQuery(Incoming):
    """Which part of the journal to read."""

    after: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Entries with a higher sequence number."""
    limit: Annotated[int, Field(ge=1, le=JOURNAL_PAGE)] = JOURNAL_PAGE
    """Entries on one page; `next` of the answer is the `after` of the next page."""


class EventsQuery(Incoming):
    """Where the stream begins."""

    after: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """Entries with a higher sequence number; without it and Last-Event-ID only new ones."""
    live: bool = False
    """Also send events named `live`: prices, levels and the engine's status, in no journal."""


class ExitPreviewQuery(Incoming):
    """Whose exit to look at."""

    tracker_id: Name | None = None
    """One position; without it all that are open."""
