"""Kinds of settings: their types, checks and what the docs say of them.

A check raises ValueError with a text that says what the setting must be; the loader adds the
setting's name and what it was.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, SecretStr

from squareoff.domain.account_rules import AccountRules
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.rule_parsing import read_clock_time
from squareoff.domain.rules import RuleSet

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names of this machine itself; nothing else may serve or be reached without TLS."""

BROKER_DOMAIN = "dhan.co"
"""Where tokens and orders may go besides this machine: a wrong address would be told them."""

_CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_TEXT = "must be a date as YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment variable that overrides a setting; `from_file` also allows `NAME_FILE`."""

    name: str
    from_file: bool = False


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The value may hold a password: no message ever shows it."""


@dataclass(frozen=True, slots=True)
class Address:
    """The value is an address: messages show its scheme and host alone."""


def is_loopback(host: str | None) -> bool:
    """Say whether a host is this machine."""
    if host is None:
        return False
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_host(value: str) -> str:
    if not is_loopback(value):
        raise ValueError(
            "must be a loopback address (127.0.0.1, ::1 or localhost): the API can close positions "
            "and speaks without TLS; reach it from elsewhere through an SSH tunnel"
        )
    return value


def _address(value: str, plain: str, secure: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in (plain, secure) or not parts.hostname or not _has_good_port(parts):
        raise ValueError(f"must be an address as {secure}://host/path")
    if parts.scheme == plain and not is_loopback(parts.hostname):
        raise ValueError(f"must begin with {secure}:// unless it is on this machine")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be an address without user, password, query or fragment")
    if not (is_loopback(parts.hostname) or _is_of_broker(parts.hostname)):
        raise ValueError(f"must be an address of {BROKER_DOMAIN} or of this machine")
    return value.rstrip("/")


def _is_of_broker(host: str) -> bool:
    return host == BROKER_DOMAIN or host.endswith(f".{BROKER_DOMAIN}")


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    # A database in memory would forget what is watched with the process.
    is_file = url.startswith("sqlite:///") and url not in ("sqlite:///", "sqlite:///:memory:")
    is_server = url.startswith(("postgresql://", "postgres://")) and bool(urlsplit(url).hostname)
    if not (is_file or is_server):
        raise ValueError("must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    parts = urlsplit(url)
    is_address = parts.scheme in ("redis", "rediss", "unix") and bool(parts.netloc + parts.path)
    if url and not is_address:
        raise ValueError("must be redis://HOST:PORT/NUMBER, or empty for none")
    return value


def _not_blank(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("must not be blank")
    return SecretStr(value.get_secret_value().strip())


def _location(value: Path) -> Path:
    """An empty path is the folder in which the engine happens to have been started."""
    if not value.name:
        raise ValueError("must name a file or a folder")
    return value


def _client_id(value: str) -> str:
    """A blank more is another account to the database: its positions would not be found, and its
    lock would keep no second engine out."""
    name = value.strip()
    if not _CLIENT_ID.fullmatch(name):
        raise ValueError("must be letters and digits alone")
    return name


def _decimal(value: object) -> object:
    return str(value) if isinstance(value, float) else value


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _tick_source(value: str) -> str:
    name, _, path = value.partition("=")
    segment, _, security_id = name.partition(":")
    is_instrument = segment in ExchangeSegment.__members__ and security_id.isdecimal()
    if not is_instrument or not path.strip():
        raise ValueError("must be SEGMENT:SECURITY_ID=FILE.csv")
    return value


def _clock_time(value: object) -> time:
    clock = read_clock_time(value)
    if clock is None:
        raise ValueError("must be a time in IST as HH:MM or HH:MM:SS, without an offset")
    return clock


def _day(value: object) -> date:
    """TOML knows dates; a number would count as seconds since 1970, and a moment is no day."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(_DAY_TEXT) from error
    raise ValueError(_DAY_TEXT)


LoopbackHost = Annotated[str, AfterValidator(_loopback_host)]
RestUrl = Annotated[str, AfterValidator(lambda value: _address(value, "http", "https")), Address()]
SocketUrl = Annotated[str, AfterValidator(lambda value: _address(value, "ws", "wss")), Address()]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url), Sensitive()]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url), Sensitive()]
Secret = Annotated[SecretStr, AfterValidator(_not_blank), Sensitive()]
ClientId = Annotated[str, AfterValidator(_client_id), Sensitive()]
Location = Annotated[Path, AfterValidator(_location)]
TickSource = Annotated[str, AfterValidator(_tick_source)]
Percent = Annotated[
    Decimal, BeforeValidator(_decimal), BeforeValidator(_no_switch), Field(gt=0, le=100)
]
Number = Annotated[float, BeforeValidator(_no_switch)]
Whole = Annotated[int, BeforeValidator(_no_switch)]
Seconds = Annotated[Number, Field(gt=0, le=300)]
"""So low that a number meant as milliseconds is a fault, and not an exit that never moves."""
CallSeconds = Annotated[Number, Field(gt=0, le=60)]
Count = Annotated[Whole, Field(ge=1, le=1_000)]
Port = Annotated[Whole, Field(ge=0, le=65_535)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Day = Annotated[date, BeforeValidator(_day)]
RuleSetValue = InstanceOf[RuleSet]
AccountRulesValue = InstanceOf[AccountRules]
