"""How the simulated broker behaves: every point where dhanhq-v2.md is uncertain is a knob here.

Defaults are what a cautious reader of dhanhq-v2.md expects of production. Delays are milliseconds;
a pair is a range drawn from the seed. docs/simulator.md lists the knobs by the section they show.
"""

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal

import msgspec

from squareoff.adapters.broker.dhan.totp import TotpSecret
from squareoff.domain.errors import ConfigError

DelayRange = tuple[float, float]
RateLimits = dict[str, dict[str, int]]

_NUMBER_MAX = 1e12
_YEARS = 10.0
_MOST = (
    ("_ms", _YEARS * 365 * 86_400_000),
    ("_seconds", _YEARS * 365 * 86_400),
    ("_hours", _YEARS * 365 * 24),
)
"""The largest sensible number of a knob by the end of its name: later dates cannot be shown."""

ORDER_CLASS, DATA_CLASS, QUOTE_CLASS, OTHER_CLASS = "order", "data", "quote", "other"


def documented_rate_limits() -> RateLimits:
    """Return the limits of dhanhq-v2.md 9.1: calls per horizon and class, 0 for no limit."""
    return {
        ORDER_CLASS: {"second": 10, "minute": 250, "hour": 1000, "day": 7000},
        DATA_CLASS: {"second": 5, "minute": 0, "hour": 0, "day": 100_000},
        QUOTE_CLASS: {"second": 1, "minute": 0, "hour": 0, "day": 0},
        OTHER_CLASS: {"second": 20, "minute": 0, "hour": 0, "day": 0},
    }


@dataclass(slots=True, kw_only=True)
class BrokerConduct:
    """All knobs of the simulated broker; change them at any time."""

    # Delays of an order's way: to the exchange, of a modify, of a cancel, of updates, of answers.
    exchange_delay_ms: DelayRange = (10.0, 40.0)
    modify_delay_ms: DelayRange = (10.0, 40.0)
    cancel_delay_ms: DelayRange = (10.0, 40.0)
    update_delay_ms: DelayRange = (1.0, 5.0)
    answer_delay_ms: DelayRange = (0.0, 0.0)

    # Placement (2.2, 2.3).
    placement_status: Literal["TRANSIT", "PENDING", "REJECTED"] = "TRANSIT"
    correlation_id_length_max: int = 25
    correlation_id_charset: Literal["safe", "docs", "portal"] = "docs"
    correlation_id_when_missing: Literal["NA", "invented"] = "NA"
    duplicate_correlation_id: Literal["accept", "refuse"] = "accept"
    refuse_empty_strings: bool = True
    accept_numeric_strings: bool = True
    disclosed_quantity_rule: Literal["min_30", "max_30", "off"] = "min_30"
    static_ip_allowed: bool = True
    static_ip_code: Literal["DH-905", "DH-911"] = "DH-905"
    market_hours: Literal["open", "closed"] = "open"
    funds_check: Literal["off", "reject", "refuse"] = "off"
    check_lot_size: Literal["refuse", "reject", "off"] = "refuse"
    slicing_answer: Literal["array", "object"] = "array"
    slicing_fail_at: int = 0

    # Market and stop-market orders (2.4), matching, sandbox habits (2.11).
    market_orders: Literal["protect", "plain", "reject"] = "protect"
    protection_slabs_options: tuple[tuple[Decimal | None, Decimal], ...] = (
        (Decimal("50"), Decimal("20")),
        (Decimal("200"), Decimal("10")),
        (Decimal("1000"), Decimal("5")),
        (None, Decimal("2")),
    )
    protection_slabs_others: tuple[tuple[Decimal | None, Decimal], ...] = (
        (Decimal("100"), Decimal("2")),
        (Decimal("500"), Decimal("1")),
        (None, Decimal("0.5")),
    )
    converted_row_shows: Literal["LIMIT", "MARKET"] = "LIMIT"
    stop_loss_market: Literal["wait", "immediate", "refuse"] = "wait"
    quantity_per_print: int | None = None
    fills: Literal["market", "never", "at_100"] = "market"
    ioc_rest_status: Literal["EXPIRED", "CANCELLED"] = "EXPIRED"

    # Modify and cancel (2.5, 2.6).
    modifications_max: int = 25
    modify_shows_transit: bool = True
    modify_in_transit: Literal["accept", "refuse"] = "accept"
    modify_partial_body: Literal["refuse", "keep"] = "refuse"
    cancel_in_transit: Literal["accept", "refuse"] = "accept"
    delete_answer: Literal["200_cancelled", "200_transit", "202_cancelled", "202_empty"] = (
        "202_cancelled"
    )

    # Reads (2.7, 2.8, 3): shapes and how far they lag behind the truth.
    order_by_id_shape: Literal["array", "object"] = "array"
    external_shape: Literal["object", "array"] = "object"
    duplicate_lookup: Literal["first", "newest", "array"] = "newest"
    lookup_lag_ms: DelayRange = (0.0, 0.0)
    lookup_hides_transit: bool = True
    order_book_lag_ms: DelayRange = (0.0, 0.0)
    trade_book_lag_ms: DelayRange = (0.0, 0.0)
    positions_lag_ms: DelayRange = (0.0, 0.0)
    remaining_after_end: Literal["observed", "documented"] = "observed"
    healthy_reason: Literal["CONFIRMED", "", None] = "CONFIRMED"
    healthy_error_code: Literal["0", None] = "0"
    missing_option_type: Literal["NA", None] = "NA"
    missing_expiry: Literal["0001-01-01", None] = "0001-01-01"
    modified_row_word: Literal["", "MODIFIED", "INACTIVE"] = ""
    average_lags_fill: bool = False
    numbers_as_strings: bool = False
    times_in_utc: bool = False
    trades_by_order_shape: Literal["array", "object"] = "array"
    holdings_empty: Literal["error", "older_error", "array"] = "error"
    holdings_after_sale: Literal["stay", "available_falls", "all_fall"] = "stay"
    quote_never_traded: Literal["missing", "close", "zero"] = "missing"
    fund_start_of_day: Decimal = Decimal("1000000")

    # Identity (1.3 - 1.6).
    token_is_alive: bool = True
    dead_token_answer: Literal["401", "400", "807", "809"] = "401"
    dead_token_quote_status: Literal[401, 400] = 401
    dead_token_quote_code: Literal[807, 808, 809, 810] = 807
    token_hours: float = 24.0
    token_death_ends_sockets: bool = False
    renew_allowed: bool = True
    renew_answer: Literal["documented", "token", "access_token", "data", "array"] = "documented"
    login_pin: str = ""
    login_totp_secret: str = ""
    mint_interval_seconds: float = 120.0
    ip_answer: Literal["observed", "documented", "error_array"] = "observed"
    date_header_offset_seconds: float = 0.0
    active_segment_style: Literal["letters", "words"] = "letters"
    data_plan: Literal["active", "806_401", "806_400", "DH-902_401", "DH-902_403"] = "active"

    # Rates (9.1) and traders control (4).
    rate_limits: RateLimits = field(default_factory=documented_rate_limits)
    kill_switch_parameter: Literal["query", "header", "both"] = "query"

    # Order-update socket (6).
    alert_timing: Literal["after_answer", "before_answer"] = "after_answer"
    alert_keys: Literal["camel", "pascal", "mixed"] = "camel"
    alert_words: Literal["title", "upper"] = "title"
    alert_partial_word: str = "Part-Traded"
    alert_transit: bool = True
    alert_modified_word: bool = True
    alert_correlation_id: bool = True
    alert_traded_quantity: Literal["cumulative", "last"] = "cumulative"
    alert_algo_order_number: Literal["empty", "number", "string", "absent"] = "empty"
    login_answer: Literal["none", "json"] = "none"
    bad_login: Literal["reset", "close"] = "reset"
    bad_login_binary_frame: bool = False
    order_socket_idle_seconds: float = 0.0
    order_socket_connections_max: int = 0

    # Market feed (7).
    feed_snapshot: bool = True
    feed_concatenate: bool = False
    feed_length_includes_header: bool = True
    feed_prev_close: Literal["all", "index", "none"] = "all"
    feed_close_field: Literal["previous", "zero"] = "previous"
    feed_open_interest_packet: bool = True
    feed_index_packet: bool = False
    feed_heartbeat_seconds: float = 0.0
    feed_status_packet: bool = False
    feed_index_full_mode: Literal["full", "quote", "none"] = "full"
    feed_last_trade_time: Literal["wall", "recorded"] = "wall"
    feed_ping_seconds: float = 10.0
    feed_pong_timeout_seconds: float = 40.0
    feed_connections_max: int = 5
    feed_instruments_per_message_max: int = 100
    feed_instruments_max: int = 5000
    feed_bad_token_code: Literal[807, 808, 809, 810] = 807
    feed_bad_token_reset: bool = False

    # Instrument file (8.2).
    freeze_file_value: Literal["first_refused", "limit"] = "first_refused"


def conduct_from_json(value: dict[str, Any], base: BrokerConduct | None = None) -> BrokerConduct:
    """Return `base` (default: all defaults) with the named knobs changed.

    A delay may be one number or a pair.

    Raises:
        ConfigError: an unknown knob, or a value that the knob cannot take; names the knob.
    """
    known = asdict(base or BrokerConduct())
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ConfigError(f"conduct: unknown knob {', '.join(unknown)}")
    widened = {
        name: _pair(item) if name.endswith(("_delay_ms", "_lag_ms")) else item
        for name, item in value.items()
    }
    try:
        conduct = msgspec.convert(known | widened, BrokerConduct, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"conduct: {error}") from error
    for name in value:
        _check_sense(name, getattr(conduct, name))
    return conduct


def conduct_to_json(conduct: BrokerConduct) -> dict[str, Any]:
    """Return the knobs as plain JSON values; decimals are strings."""
    plain = msgspec.to_builtins(conduct)
    assert isinstance(plain, dict), "a dataclass becomes an object"
    return plain


def _check_sense(name: str, value: Any) -> None:
    """Raise ConfigError for what the knob's type takes and the broker could not live with."""
    numbers: list[Any] = [value] if isinstance(value, int | float | Decimal) else []
    if name == "rate_limits":
        _check_rate_names(value)
        numbers = [limit for of_class in value.values() for limit in of_class.values()]
    elif name.startswith("protection_slabs"):
        _check_slabs(name, value)
    elif name.endswith(("_delay_ms", "_lag_ms")):
        numbers = list(value)
        if value[0] > value[1]:
            raise ConfigError(f"conduct: {name}: the range {value} begins above its end")
    elif name == "login_totp_secret" and value:
        try:
            TotpSecret(value)
        except ValueError as error:
            raise ConfigError(f"conduct: {name} {error}") from error
    if any(isinstance(each, Decimal) and not each.is_finite() for each in numbers):
        raise ConfigError(f"conduct: {name}: {value} is no number")
    if name != "date_header_offset_seconds" and any(number < 0 for number in numbers):
        raise ConfigError(f"conduct: {name}: {min(numbers)} is below zero")
    most = next((most for end, most in _MOST if name.endswith(end)), _NUMBER_MAX)
    if not all(abs(number) <= most for number in numbers):
        raise ConfigError(f"conduct: {name}: {max(numbers, key=abs)} is above {most:g}")


def _check_rate_names(limits: RateLimits) -> None:
    known = documented_rate_limits()
    horizons = {horizon for of_class in limits.values() for horizon in of_class}
    unknown = sorted(set(limits) - set(known)) + sorted(horizons - set(known[ORDER_CLASS]))
    if unknown:
        raise ConfigError(f"conduct: rate_limits: {', '.join(unknown)} is not known")


def _check_slabs(name: str, slabs: tuple[tuple[Decimal | None, Decimal], ...]) -> None:
    """Every price must find its slab: rising limits, then one without a limit."""
    limits = [limit for limit, _ in slabs[:-1] if limit is not None]
    is_whole = len(slabs) > 0 and slabs[-1][0] is None and len(limits) == len(slabs) - 1
    is_whole = is_whole and all(limit.is_finite() for limit in limits)
    if not is_whole or limits != sorted(limits):
        raise ConfigError(f"conduct: {name}: prices must rise, and null must come last, once")
    if not all(percent.is_finite() and 0 <= percent <= 100 for _, percent in slabs):
        raise ConfigError(f"conduct: {name}: a percent is from 0 to 100")


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, (int, float)) else value
