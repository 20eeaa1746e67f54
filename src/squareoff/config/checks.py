"""Checks of settings against each other; each fault is one line that names the settings."""

from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import SecretStr

from squareoff.config.fields import is_loopback
from squareoff.config.settings import Settings
from squareoff.core.rules.rule_checks import RuledPosition, rule_faults
from squareoff.core.rules.time_rules import early_text
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.domain.sessions import usual_open

API_TOKEN_LENGTH_MIN = 16
"""A shorter token could be guessed; ours have 43 characters."""

_FINEST_TICK = Decimal("0.0001")
_NO_PRICE_YET = Decimal(0)


def together_lines(settings: Settings) -> Iterator[str]:
    """Yield one line per fault that only shows when settings are seen together."""
    credentials = settings.credentials
    if settings.mode == "live" and settings.paper.ticks:
        yield "paper.ticks: recorded prices are for paper mode, and the mode is live"
    if credentials.access_token is not None and credentials.access_token_file is not None:
        yield "DHAN_ACCESS_TOKEN and DHAN_ACCESS_TOKEN_FILE: only one of them may be set"
    if (credentials.pin is None) != (credentials.totp_secret is None):
        yield "DHAN_PIN and DHAN_TOTP_SECRET: the token is renewed with both or not at all"
    yield from _token_lines(settings)
    if settings.session == "exchange":
        yield from _early_lines(settings)
    timeouts = settings.timeouts
    if timeouts.order_seconds > timeouts.gateway_seconds:
        yield (
            f"timeouts.order_seconds: must be at most timeouts.gateway_seconds "
            f"({timeouts.gateway_seconds:g}), was {timeouts.order_seconds:g}"
        )
    quarantine = settings.settle.quarantine_seconds
    if 0 < quarantine <= timeouts.order_seconds:
        yield (
            "settle.quarantine_seconds: must be 0 or above timeouts.order_seconds "
            f"({timeouts.order_seconds:g}), was {quarantine:g}: a late order would be sent twice"
        )


def _early_lines(settings: Settings) -> Iterator[str]:
    """Yield the square-off times that would be due at once, on every day."""
    first = min(usual_open(segment) for segment in ExchangeSegment)
    times = [
        (f"square_off.{segment.value.lower()}", wanted, usual_open(segment))
        for segment, wanted in settings.square_off.by_segment().items()
    ]
    times += [
        (f"{name}.square_off_at", rules.square_off_at, first)
        for name, rules in (
            ("account_rules", settings.account_rules),
            ("rules.default", settings.default_rules),
        )
        if rules.square_off_at is not None
    ]
    for name, wanted, opens in times:
        text = early_text(wanted, opens)
        if text is not None:
            yield f"{name}: {text}"


def engine_lines(settings: Settings) -> Iterator[str]:
    """Yield one line per fault that keeps an engine from trading live: missing credentials, and
    hours that are for rehearsals."""
    if settings.mode != "live":
        return
    if settings.session == "always" and trades_for_real(settings):
        yield (
            "SQUAREOFF_SESSION: `always` is for rehearsals: prices of the pre-open auction would "
            "fire stops, and nothing would be closed before the broker closes it"
        )
    credentials = settings.credentials
    if not credentials.client_id:
        yield "DHAN_CLIENT_ID: is needed in live mode"
    can_log_in = credentials.pin is not None and credentials.totp_secret is not None
    has_token = credentials.access_token is not None or credentials.access_token_file is not None
    if not (has_token or can_log_in):
        yield (
            "DHAN_ACCESS_TOKEN: is needed in live mode (or DHAN_ACCESS_TOKEN_FILE, or DHAN_PIN "
            "with DHAN_TOTP_SECRET)"
        )


def trades_for_real(settings: Settings) -> bool:
    """Say whether orders leave this machine: live, and at no rehearsal broker."""
    host = urlsplit(settings.dhan.rest_url).hostname or ""
    return settings.mode == "live" and not is_loopback(host)


def _token_lines(settings: Settings) -> Iterator[str]:
    given: dict[str, str] = {}
    for name in ("api_token", "api_operate_token", "api_read_token"):
        token: SecretStr | None = getattr(settings, name)
        if token is None:
            continue
        variable = f"SQUAREOFF_{name.upper()}"
        text = token.get_secret_value()
        if len(text) < API_TOKEN_LENGTH_MIN or not text.isascii() or not text.isprintable():
            yield f"{variable}: must have {API_TOKEN_LENGTH_MIN} printable characters or more"
        if text in given:
            yield f"{variable}: must differ from {given[text]}, as their roles do"
        given[text] = variable


def rule_lines(rules: RuleSet) -> Iterator[str]:
    """Yield the faults of `[rules.default]`, which must make sense for any position."""
    for name in ("stop_loss", "target"):
        rule = getattr(rules, name)
        if rule is not None and rule.price is not None:
            yield (
                f"rules.default.{name}.price: one price cannot fit every position; "
                "use points, percent or rupees"
            )
    placeholder = Instrument(InstrumentId(ExchangeSegment.NSE_EQ, "0"), "", 1, _FINEST_TICK)
    position = RuledPosition(placeholder, PositionSide.LONG, _NO_PRICE_YET)
    for fault in rule_faults(rules, position, reference_price=None):
        if not fault.field.endswith(".price"):
            yield f"{fault.field.replace('rules.', 'rules.default.', 1)}: {fault.message}"
