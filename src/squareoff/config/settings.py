"""Every setting with its default, its environment variable and what it is for.

The docstring under a field is its row in docs/settings.md. Secrets have no place in the TOML file:
they live in `Settings.credentials` and `Settings.api_token` and come from the environment or files.
"""

from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from squareoff.config.fields import (
    AccountRulesValue,
    CallSeconds,
    ClientId,
    ClockTime,
    Count,
    DatabaseUrl,
    Day,
    Environment,
    Location,
    LoopbackHost,
    Number,
    Percent,
    Port,
    RedisUrl,
    RestUrl,
    RuleSetValue,
    Seconds,
    Secret,
    SocketUrl,
    TickSource,
    Whole,
)
from squareoff.domain.account_rules import NO_ACCOUNT_RULES
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.rules import NO_RULES, RuleSet

QUARANTINE_SECONDS_MIN = 10.0
QUARANTINE_MARGIN_SECONDS = 5.0
"""The default quarantine of an unknown order: the larger of 10 s and the order timeout + 5 s."""

LIVE_INSTRUMENTS = "https://images.dhan.co/api-data/api-scrip-master-detailed.csv"
"""The broker's own instrument master, detailed form (dhanhq-v2.md 8.2)."""


class Group(BaseModel):
    """One table of the settings file; names that it does not know are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Dhan(Group):
    """Where the broker is reached."""

    rest_url: Annotated[RestUrl, Environment("DHAN_REST_URL")] = "https://api.dhan.co/v2"
    """Address of the broker's REST interface."""
    order_update_url: Annotated[SocketUrl, Environment("DHAN_ORDER_UPDATE_URL")] = (
        "wss://api-order-update.dhan.co"
    )
    """Address of the socket that reports orders."""
    market_feed_url: Annotated[SocketUrl, Environment("DHAN_MARKET_FEED_URL")] = (
        "wss://api-feed.dhan.co"
    )
    """Address of the socket that carries prices."""
    auth_url: Annotated[RestUrl, Environment("DHAN_AUTH_URL")] = "https://auth.dhan.co"
    """Address of the broker's login, which makes tokens by PIN and one-time code."""


class Api(Group):
    """Where our own HTTP interface listens."""

    host: Annotated[LoopbackHost, Environment("SQUAREOFF_API_HOST")] = "127.0.0.1"
    """Loopback address the API listens on; any other is refused."""
    port: Annotated[Port, Environment("SQUAREOFF_API_PORT")] = 8700
    """Port of the API; 0 takes a free one, which is printed."""
    metrics_public: bool = False
    """Whether `/metrics` answers without the token."""
    token_path: Location = Path("squareoff-api-token")
    """Where the token made at the first start is kept, with mode 0600."""


class Timeouts(Group):
    """How long a call may take."""

    gateway_seconds: CallSeconds = 8.0
    """A whole gateway call: accepted, refused, or unknown and being settled."""
    order_seconds: CallSeconds = 3.0
    """One order write; after it the outcome is unknown and being settled."""


class Settle(Group):
    """When an order of unknown outcome may be called absent."""

    quarantine_seconds: Annotated[Number, Field(ge=0, le=900)] = 0.0
    """How long it stays unknown at the least; 0: the larger of 10 and the order timeout + 5."""
    readings: Count = 3
    """How many spaced, complete readings of the broker's books must lack it."""


class Exit(Group):
    """How a position is closed."""

    order_type: Literal["limit", "market"] = "limit"
    """`limit` sends protected limit orders and chases; `market` sends market orders."""
    chase_interval_seconds: Seconds = 2.0
    """After this long without a fill the order is moved toward the market."""
    max_slippage_percent: Percent = Decimal(5)
    """Farthest that a limit may go beyond the best bid or ask (unknown: the last price) of the
    moment, and on from there to the next tick; each step measures anew, so a market that runs away
    is followed."""
    on_last_step: Literal["keep", "market"] = "keep"
    """Where a limit that far does not fill, or the broker's 25th modification is due: `keep` lets
    it rest and follow the market, `market` turns it into a market order."""
    attempts_max: Count = 10
    """Failed attempts after which a person is called."""


class Prices(Group):
    """Which prices may fire a rule."""

    stale_after_seconds: Seconds = 5.0
    """A price older than this fires nothing and becomes no exit price."""
    spike_percent: Annotated[Percent, Field(ge=1)] = Decimal(15)
    """A jump beyond this from one tick to the next must be confirmed by another tick; at least 1,
    so that 0.15 is not taken for 15."""


class Reconcile(Group):
    """How often our book is compared with the broker's."""

    interval_seconds: Seconds = 30.0
    """Pause between comparisons."""
    in_flight_seconds: Seconds = 1.0
    """The same while an exit is under way."""


class Limits(Group):
    """Most order writes in any window; the broker's own limits are the upper bounds."""

    orders_per_second: Annotated[Whole, Field(ge=1, le=10)] = 8
    """In any second."""
    orders_per_minute: Annotated[Whole, Field(ge=1, le=250)] = 240
    """In any minute."""
    orders_per_hour: Annotated[Whole, Field(ge=1, le=1_000)] = 950
    """In any hour."""
    orders_per_day: Annotated[Whole, Field(ge=1, le=7_000)] = 6_800
    """In any day."""


class Ownership(Group):
    """How an account changes hands between two engines (docs/two-engines.md)."""

    lease_seconds: Annotated[Number, Field(ge=0.5, le=60)] = 5.0
    """How long an engine may send without a renewal of its lease in the database; a standby takes
    over from a silent one 5 s after that."""


class SpecialSession(Group):
    """One session outside the usual hours (Muhurat trading, a Saturday), in IST."""

    date: Day
    """The day."""
    exchange: Literal["NSE", "BSE", "MCX"]
    """The exchange."""
    open: ClockTime
    """When it opens."""
    close: ClockTime
    """When it closes, after `open`."""

    @model_validator(mode="after")
    def _closes_after_opening(self) -> Self:
        if self.close <= self.open:
            raise ValueError(f"must close after it opens at {self.open}, closes at {self.close}")
        return self


class Calendar(Group):
    """What the built-in exchange calendar does not know."""

    holidays: tuple[Day, ...] = ()
    """More days without trading; MCX trades the evening of them, as of other holidays."""
    special_sessions: tuple[SpecialSession, ...] = ()
    """Sessions in place of a day's usual hours: tables of `date`, `exchange`, `open`, `close`."""


class SquareOff(Group):
    """When intraday positions without a time of their own must be gone; IST. What carries forward
    is left alone (docs/square-off.md)."""

    nse_eq: ClockTime | None = None
    """Square-off time of intraday positions in NSE_EQ that have none of their own; IST."""
    nse_fno: ClockTime | None = None
    """Square-off time of intraday positions in NSE_FNO that have none of their own; IST."""
    nse_currency: ClockTime | None = None
    """Square-off time of intraday positions in NSE_CURRENCY that have none of their own; IST."""
    bse_eq: ClockTime | None = None
    """Square-off time of intraday positions in BSE_EQ that have none of their own; IST."""
    bse_fno: ClockTime | None = None
    """Square-off time of intraday positions in BSE_FNO that have none of their own; IST."""
    bse_currency: ClockTime | None = None
    """Square-off time of intraday positions in BSE_CURRENCY that have none of their own; IST."""
    mcx_comm: ClockTime | None = None
    """Square-off time of intraday positions in MCX_COMM that have none of their own; IST."""

    def by_segment(self) -> dict[ExchangeSegment, time]:
        """Return the times that are set."""
        times = {each: getattr(self, each.value.lower(), None) for each in ExchangeSegment}
        return {segment: clock for segment, clock in times.items() if clock is not None}


class Recording(Group):
    """The market feed written to files as it comes in (docs/recording.md)."""

    folder: Location | None = None
    """Where the market feed is recorded, a folder that is made if it is missing; unset: nowhere."""
    file_megabytes: Annotated[Whole, Field(ge=1, le=4_096)] = 256
    """A file of this size is followed by another; each day begins one too."""
    free_megabytes_min: Annotated[Whole, Field(ge=0, le=1_048_576)] = 1_024
    """What must stay free on the disk; with less the recording pauses, so that the database never
    goes without."""


class Paper(Group):
    """Paper trading: prices without the broker."""

    ticks: tuple[TickSource, ...] = ()
    """Recorded prices to play, each `SEGMENT:SECURITY_ID=FILE.csv`, beside the settings file."""
    speed: Annotated[Number, Field(gt=0, le=10_000)] = 1.0
    """Market seconds per second of real time."""
    loop: bool = False
    """Whether recorded prices start again at their end; otherwise they fall silent."""


class Rules(Group):
    """Rules for positions that come without their own."""

    default: RuleSetValue = NO_RULES
    """For adopted positions; the same shape as in the API, without `price`."""


class Credentials(Group):
    """What proves who we are at the broker; only from the environment or files."""

    client_id: Annotated[ClientId | None, Environment("DHAN_CLIENT_ID")] = Field(
        default=None, repr=False
    )
    """The account at the broker."""
    access_token: Annotated[Secret | None, Environment("DHAN_ACCESS_TOKEN")] = None
    """The broker's access token, valid for a day."""
    access_token_file: Annotated[Location | None, Environment("DHAN_ACCESS_TOKEN_FILE")] = None
    """A file that holds the token; read again whenever the broker refuses the token, and written
    when the token was renewed."""
    pin: Annotated[Secret | None, Environment("DHAN_PIN", from_file=True)] = None
    """The PIN, for renewing the token without a person; needs `DHAN_TOTP_SECRET` as well."""
    totp_secret: Annotated[Secret | None, Environment("DHAN_TOTP_SECRET", from_file=True)] = None
    """The secret of the one-time codes, for the same."""


class Settings(BaseSettings):
    """All settings of one engine. Get them from `load_settings`, which also names every fault."""

    # Else `Mode` would pass for `mode`, and win over the environment, which is put under our names.
    model_config = SettingsConfigDict(
        case_sensitive=True, extra="forbid", frozen=True, use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    mode: Annotated[Literal["paper", "live"], Environment("SQUAREOFF_MODE")] = "paper"
    """`paper` trades at a built-in broker without money; `live` trades at the real one."""
    database_url: Annotated[DatabaseUrl, Environment("SQUAREOFF_DATABASE_URL", from_file=True)] = (
        SecretStr("sqlite:///squareoff.db")
    )
    """Where positions and the journal live: `sqlite:///FILE` or `postgresql://...`."""
    redis_url: Annotated[RedisUrl, Environment("SQUAREOFF_REDIS_URL", from_file=True)] = SecretStr(
        ""
    )
    """Where good prices of the live feed are shared between processes; empty: no Redis."""
    instruments: Annotated[str, Environment("SQUAREOFF_INSTRUMENTS")] = ""
    """Path or address of the instrument master CSV (detailed form), cached daily; empty: in live
    mode the broker's own, in paper mode none."""
    adopt: Annotated[Literal["none", "all"], Environment("SQUAREOFF_ADOPT")] = "none"
    """`all`: positions found at the broker that no tracker knows are taken over with
    `[rules.default]`, once two readings agree and nothing of ours closed there just before."""
    session: Annotated[Literal["exchange", "always"], Environment("SQUAREOFF_SESSION")] = "exchange"
    """`exchange`: the calendar decides when orders can go out; `always`: every hour is market
    time (rehearsals, tests)."""
    over_exit_action: Literal["alarm", "flatten"] = "alarm"
    """When more was closed than was held: `alarm` calls a person, `flatten` also buys it back."""
    dhan: Dhan = Dhan()
    api: Api = Api()
    timeouts: Timeouts = Timeouts()
    settle: Settle = Settle()
    exit: Exit = Exit()
    prices: Prices = Prices()
    reconcile: Reconcile = Reconcile()
    limits: Limits = Limits()
    ownership: Ownership = Ownership()
    calendar: Calendar = Calendar()
    square_off: SquareOff = SquareOff()
    recording: Recording = Recording()
    paper: Paper = Paper()
    rules: Rules = Rules()
    account_rules: AccountRulesValue = NO_ACCOUNT_RULES
    """Rules over the day's P&L of the account: `max_loss`, `target`, `trailing` (a table of
    `rupees` and `activate_at_profit_rupees`), `square_off_at`."""
    credentials: Credentials = Credentials()
    api_token: Annotated[Secret | None, Environment("SQUAREOFF_API_TOKEN", from_file=True)] = None
    """The bearer token of the API, for everything; without it one is made at the first start. The
    command line sends it."""
    api_operate_token: Annotated[
        Secret | None, Environment("SQUAREOFF_API_OPERATE_TOKEN", from_file=True)
    ] = None
    """A second token, which closes, halts and tightens; it cannot loosen, resume or let go."""
    api_read_token: Annotated[
        Secret | None, Environment("SQUAREOFF_API_READ_TOKEN", from_file=True)
    ] = None
    """A third token, which only looks."""
    alert_urls: Annotated[Secret | None, Environment("SQUAREOFF_ALERT_URLS", from_file=True)] = None
    """Where alarms are sent besides journal and log: addresses in Apprise's form (Telegram, Slack,
    e-mail, ...), one a line or separated by blanks."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the loader alone: it knows our names and names every fault."""
        return (init_settings,)

    @property
    def default_rules(self) -> RuleSet:
        """The rules of positions that come without their own."""
        return self.rules.default

    @property
    def quarantine_seconds(self) -> float:
        """How long an order of unknown outcome stays unknown at the least."""
        if self.settle.quarantine_seconds > 0:
            return self.settle.quarantine_seconds
        return max(QUARANTINE_SECONDS_MIN, self.timeouts.order_seconds + QUARANTINE_MARGIN_SECONDS)

    @property
    def instrument_master(self) -> str | None:
        """Path or address of the instrument master in force, None for none."""
        if self.instruments:
            return self.instruments
        return LIVE_INSTRUMENTS if self.mode == "live" else None

    def alert_addresses(self) -> tuple[str, ...]:
        """Return the addresses that alarms are sent to; they hold secrets, never print them."""
        return tuple(self.alert_urls.get_secret_value().split()) if self.alert_urls else ()

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret in force, for the redaction of logs; never print them."""
        held = (
            self.api_token,
            self.api_operate_token,
            self.api_read_token,
            self.credentials.access_token,
            self.credentials.pin,
            self.credentials.totp_secret,
        )
        found = [secret.get_secret_value() for secret in held if isinstance(secret, SecretStr)]
        found.extend(self.alert_addresses())
        for url in (self.database_url, self.redis_url):
            found.extend(_carried_by(url.get_secret_value()))
        if "@" in self.instruments or "?" in self.instruments:
            found.extend((self.instruments, *_carried_by(self.instruments)))
        return tuple(found)


def _carried_by(address: str) -> list[str]:
    """Return what an address carries besides where it leads: its password and its query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    return [each for each in (parts.password, parts.query) if each]
