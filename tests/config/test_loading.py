"""Settings come from the file and the environment, and every fault is one line with its name."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from squareoff.config import Settings, load_settings, load_settings_without_secrets
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.errors import ConfigError
from squareoff.domain.rules import PriceRule, RuleSet

SECRET = "correct-horse-battery-staple"
LIVE = {"SQUAREOFF_MODE": "live", "DHAN_CLIENT_ID": "1100000001", "DHAN_ACCESS_TOKEN": SECRET}


def load(tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None) -> Settings:
    """Load settings from this TOML text and environment."""
    path = tmp_path / "squareoff.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path, environment or {})


def faults_of(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return the lines that the settings are refused with."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, environment)
    return caught.value.faults


def test_without_anything_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file and no variable: paper mode with the documented defaults."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {})

    assert (settings.mode, settings.api.host, settings.api.port) == ("paper", "127.0.0.1", 8700)
    assert settings.database_url.get_secret_value() == "sqlite:///squareoff.db"
    assert (settings.timeouts.gateway_seconds, settings.timeouts.order_seconds) == (8, 3)
    assert settings.exit.max_slippage_percent == Decimal(5)
    assert settings.limits.orders_per_day == 6_800
    assert settings.instrument_master is None


def test_the_default_file_is_read_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`squareoff.toml` in the working folder counts without being named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "squareoff.toml").write_text("[api]\nport = 9000\n")

    assert load_settings(None, {}).api.port == 9000


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """A variable wins over the file; what it does not name stays the file's."""
    settings = load(
        tmp_path,
        'adopt = "all"\n[api]\nport = 9000\nmetrics_public = true\n',
        {"SQUAREOFF_API_PORT": "9001"},
    )

    assert (settings.api.port, settings.api.metrics_public, settings.adopt) == (9001, True, "all")


def test_every_table_of_the_file_is_read(tmp_path: Path) -> None:
    """Each documented table reaches its settings, rules and calendar included."""
    settings = load(
        tmp_path,
        """
over_exit_action = "flatten"
[dhan]
rest_url = "http://127.0.0.1:8800/v2"
[timeouts]
order_seconds = 2.5
[settle]
readings = 4
[exit]
order_type = "market"
max_slippage_percent = 2.5
attempts_max = 7
[prices]
spike_percent = "12.5"
[reconcile]
in_flight_seconds = 0.5
[limits]
orders_per_second = 5
[calendar]
holidays = [2026-10-20, "2026-11-05"]
special_sessions = [{date = "2026-11-08", exchange = "NSE", open = "18:00", close = 19:00:00}]
[paper]
ticks = ["NSE_EQ:2885=a.csv", "NSE_FNO:49543=b.csv"]
speed = 60
[rules.default]
stop_loss = {percent = 12.5}
[account_rules]
max_loss = "5000"
""",
    )

    assert settings.dhan.rest_url == "http://127.0.0.1:8800/v2"
    assert (settings.exit.order_type, settings.exit.attempts_max) == ("market", 7)
    assert settings.exit.max_slippage_percent == Decimal("2.5")
    assert [day.isoformat() for day in settings.calendar.holidays] == ["2026-10-20", "2026-11-05"]
    assert settings.calendar.special_sessions[0].close.hour == 19
    beside = (f"NSE_EQ:2885={tmp_path}/a.csv", f"NSE_FNO:49543={tmp_path}/b.csv")
    assert settings.paper.ticks == beside, "recordings stand beside the file that names them"
    assert settings.default_rules == RuleSet(stop_loss=PriceRule(percent=Decimal("12.5")))
    assert settings.account_rules == AccountRules(max_loss=Decimal(5000))
    assert settings.over_exit_action == "flatten"


FILE_FAULTS = {
    "unknown setting": ("bogus = 1", "squareoff.toml: bogus: unknown setting"),
    "unknown nested": (
        "[api]\nprot = 1",
        "squareoff.toml: api.prot: unknown setting; did you mean api.port?",
    ),
    "unknown table": ("[apis]\nport = 1", "squareoff.toml: apis: unknown setting"),
    "wrong word": (
        'mode = "real"',
        "squareoff.toml: mode: must be 'paper' or 'live', was 'real'",
    ),
    "a share for percent": (
        "[prices]\nspike_percent = 0.15",
        "squareoff.toml: prices.spike_percent: must be at least 1",
    ),
    "no number": (
        '[api]\nport = "x"',
        "squareoff.toml: api.port: must be a whole number, was 'x'",
    ),
    "true for a number": ("[api]\nport = true", "squareoff.toml: api.port: must be a number"),
    "too large": (
        "[limits]\norders_per_second = 11",
        "squareoff.toml: limits.orders_per_second: must be at most 10, was 11",
    ),
    "zero seconds": (
        "[timeouts]\norder_seconds = 0",
        "squareoff.toml: timeouts.order_seconds: must be above 0",
    ),
    "milliseconds of a chase": (
        "[exit]\nchase_interval_seconds = 2000",
        "squareoff.toml: exit.chase_interval_seconds: must be at most 300, was 2000",
    ),
    "milliseconds of an age": (
        "[prices]\nstale_after_seconds = 5000",
        "squareoff.toml: prices.stale_after_seconds: must be at most 300, was 5000",
    ),
    "milliseconds of a call": (
        "[timeouts]\ngateway_seconds = 8000",
        "squareoff.toml: timeouts.gateway_seconds: must be at most 60, was 8000",
    ),
    "milliseconds of a comparison": (
        "[reconcile]\nin_flight_seconds = 1000",
        "squareoff.toml: reconcile.in_flight_seconds: must be at most 300, was 1000",
    ),
    "milliseconds of a quarantine": (
        "[settle]\nquarantine_seconds = 10000",
        "squareoff.toml: settle.quarantine_seconds: must be at most 900, was 10000",
    ),
    "a database that ends with the process": (
        'database_url = "sqlite:///:memory:"',
        "squareoff.toml: database_url: must be sqlite:///FILE or postgresql://",
    ),
    "an afternoon time as of the night": (
        '[square_off]\nnse_fno = "03:15"',
        "square_off.nse_fno: must not be before the exchange opens at 09:15 (15:15 is 3:15 in the "
        "afternoon), was 03:15",
    ),
    "a commodity before its open": (
        '[square_off]\nmcx_comm = "08:59:59"',
        "square_off.mcx_comm: must not be before the exchange opens at 09:00",
    ),
    "an account's time of the night": (
        '[account_rules]\nsquare_off_at = "03:18"',
        "account_rules.square_off_at: must not be before the exchange opens at 09:00",
    ),
    "an adopted position's time of the night": (
        '[rules.default]\nsquare_off_at = "03:15"',
        "rules.default.square_off_at: must not be before the exchange opens at 09:00",
    ),
    "open to the network": (
        '[api]\nhost = "0.0.0.0"',
        "squareoff.toml: api.host: must be a loopback address",
    ),
    "a plain address elsewhere": (
        '[dhan]\nrest_url = "http://example.com/v2"',
        "squareoff.toml: dhan.rest_url: must begin with https://",
    ),
    "an address with a query": (
        '[dhan]\nmarket_feed_url = "wss://example.com/?token=x"',
        "squareoff.toml: dhan.market_feed_url: must be an address without",
    ),
    "unknown rule": (
        "[rules.default]\nstop_los = {percent = 1}",
        "squareoff.toml: rules.default.stop_los: unknown rule",
    ),
    "unknown rule set": ("[rules.other]\n", "squareoff.toml: rules.other: unknown setting"),
    "a rule in two forms": (
        "[rules.default]\ntrailing = {points = 1, percent = 2}",
        "squareoff.toml: rules.default.trailing: takes exactly one of points and percent",
    ),
    "one price for all": (
        "[rules.default]\nstop_loss = {price = 100}",
        "squareoff.toml: rules.default.stop_loss.price: one price cannot fit every position",
    ),
    "unknown account rule": (
        "[account_rules]\nmin_loss = 1",
        "squareoff.toml: account_rules.min_loss: unknown rule",
    ),
    "a date that is none": (
        '[calendar]\nholidays = ["2026-13-01"]',
        "squareoff.toml: calendar.holidays[0]: must be a date",
    ),
    "an epoch for a date": (
        "[calendar]\nholidays = [1767225600]",
        "squareoff.toml: calendar.holidays[0]: must be a date as YYYY-MM-DD, was 1767225600",
    ),
    "a moment for a date": (
        "[calendar]\nholidays = [2026-10-20T00:00:00]",
        "squareoff.toml: calendar.holidays[0]: must be a date",
    ),
    "true for a limit": (
        "[limits]\norders_per_second = true",
        "squareoff.toml: limits.orders_per_second: must be a number",
    ),
    "false for a quarantine": (
        "[settle]\nquarantine_seconds = false",
        "squareoff.toml: settle.quarantine_seconds: must be a number",
    ),
    "true for a lease": (
        "[ownership]\nlease_seconds = true",
        "squareoff.toml: ownership.lease_seconds: must be a number",
    ),
    "a session that opens with an offset": (
        "[calendar]\nspecial_sessions = "
        '[{date = 2026-11-08, exchange = "NSE", open = "00:05+05:30", close = "19:00"}]',
        "squareoff.toml: calendar.special_sessions[0].open: must be a time in IST as HH:MM",
    ),
    "a session that closes first": (
        "[calendar]\nspecial_sessions = "
        '[{date = 2026-11-08, exchange = "NSE", open = "19:00", close = "18:00"}]',
        "squareoff.toml: calendar.special_sessions[0]: must close after it opens",
    ),
    "ticks of nothing": (
        '[paper]\nticks = ["NSE:1=a.csv"]',
        "squareoff.toml: paper.ticks[0]: must be SEGMENT:SECURITY_ID=FILE.csv",
    ),
    "a value where a table belongs": ("api = 1", "squareoff.toml: api: must be a table"),
    "no TOML": ("mode paper", "squareoff.toml: is no TOML"),
    "order above gateway": (
        "[timeouts]\norder_seconds = 9",
        "timeouts.order_seconds: must be at most timeouts.gateway_seconds (8), was 9",
    ),
    "a quarantine shorter than an order": (
        "[settle]\nquarantine_seconds = 2",
        "settle.quarantine_seconds: must be 0 or above timeouts.order_seconds (3), was 2",
    ),
}


@pytest.mark.parametrize(
    "written",
    ['"15:15Z"', '"15:15+05:30"', '"15"', '"T1515"', '"1515"', '"15:15:00.5"', "15:15:00.5", "915"],
)
def test_a_square_off_time_that_would_lose_a_part_is_refused(written: str, tmp_path: Path) -> None:
    """Only HH:MM and HH:MM:SS are times: who reads hour and minute drops an offset in silence."""
    (line,) = faults_of(tmp_path, f"[square_off]\nnse_fno = {written}")

    wanted = "must be a time in IST as HH:MM or HH:MM:SS, without an offset"
    assert f"squareoff.toml: square_off.nse_fno: {wanted}" in line


@pytest.mark.parametrize("name", ["recording.folder", "api.token_path"])
@pytest.mark.parametrize("written", ["", ".", "/"])
def test_a_path_that_names_nothing_is_refused(name: str, written: str, tmp_path: Path) -> None:
    """An empty path is the folder in which the engine happens to have been started."""
    table, _, key = name.partition(".")
    (line,) = faults_of(tmp_path, f'[{table}]\n{key} = "{written}"')

    assert f"squareoff.toml: {name}: must name a file or a folder" in line


def test_a_session_whose_two_times_have_offsets_is_one_line_for_each(tmp_path: Path) -> None:
    """An aware and a naive time cannot be compared; neither reaches the comparison."""
    session = '{{date = 2026-11-08, exchange = "NSE", open = "{0}", close = "{1}"}}'
    toml = "[calendar]\nspecial_sessions = [%s]"

    assert len(faults_of(tmp_path, toml % session.format("18:00+05:30", "19:00"))) == 1
    assert len(faults_of(tmp_path, toml % session.format("18:00", "19:00Z"))) == 1
    assert len(faults_of(tmp_path, toml % session.format("18:00Z", "19:00Z"))) == 2


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_a_fault_of_the_file_is_one_line_that_names_file_and_setting(
    name: str, tmp_path: Path
) -> None:
    """What the file says wrongly stops the start with the path of the setting in it."""
    toml, start = FILE_FAULTS[name]
    (line,) = faults_of(tmp_path, toml)

    assert start in line
    assert "\n" not in line


ENVIRONMENT_FAULTS = {
    "unknown, near": (
        {"SQUAREOFF_API_PROT": "1"},
        "SQUAREOFF_API_PROT: unknown setting; did you mean SQUAREOFF_API_PORT?",
    ),
    "unknown, of the broker": ({"DHAN_TOKEN": "x"}, "DHAN_TOKEN: unknown setting"),
    "wrong word": (
        {"SQUAREOFF_SESSION": "never"},
        "SQUAREOFF_SESSION: must be 'exchange' or 'always', was 'never'",
    ),
    "no number": ({"SQUAREOFF_API_PORT": "x"}, "SQUAREOFF_API_PORT: must be a whole number"),
    "open to the network": ({"SQUAREOFF_API_HOST": "10.0.0.5"}, "SQUAREOFF_API_HOST: must be a"),
    "pin without secret": (
        {"DHAN_PIN": "1234"},
        "DHAN_PIN and DHAN_TOTP_SECRET: the token is renewed with both or not at all",
    ),
    "live without a client": (
        {"SQUAREOFF_MODE": "live", "DHAN_ACCESS_TOKEN": SECRET},
        "DHAN_CLIENT_ID: is needed in live mode",
    ),
    "a client of blanks": ({**LIVE, "DHAN_CLIENT_ID": "  "}, "DHAN_CLIENT_ID: must be letters and"),
    "a client with more in it": (
        {**LIVE, "DHAN_CLIENT_ID": "1100000001 # mine"},
        "DHAN_CLIENT_ID: must be letters and digits alone",
    ),
    "live without a token": (
        {"SQUAREOFF_MODE": "live", "DHAN_CLIENT_ID": "1100000001"},
        "DHAN_ACCESS_TOKEN: is needed in live mode (or DHAN_ACCESS_TOKEN_FILE, or DHAN_PIN with",
    ),
    "token twice": (
        {**LIVE, "DHAN_ACCESS_TOKEN_FILE": "token"},
        "DHAN_ACCESS_TOKEN and DHAN_ACCESS_TOKEN_FILE: only one of them may be set",
    ),
    "secret file missing": (
        {"SQUAREOFF_API_TOKEN_FILE": "no-such-file"},
        "SQUAREOFF_API_TOKEN_FILE: no-such-file could not be read",
    ),
    "secret twice": (
        {"SQUAREOFF_API_TOKEN": SECRET, "SQUAREOFF_API_TOKEN_FILE": __file__},
        "SQUAREOFF_API_TOKEN and SQUAREOFF_API_TOKEN_FILE: only one of them may be set",
    ),
}


@pytest.mark.parametrize("name", ENVIRONMENT_FAULTS)
def test_a_fault_of_the_environment_names_the_variable(name: str, tmp_path: Path) -> None:
    """What a variable says wrongly stops the start with the variable's name, secrets unseen."""
    environment, start = ENVIRONMENT_FAULTS[name]
    lines = faults_of(tmp_path, "", environment)

    assert [line for line in lines if line.startswith(start)], lines
    assert SECRET not in "\n".join(lines)


@pytest.mark.parametrize(
    ("toml", "variable"),
    [
        ('[dhan]\naccess_token = "{secret}"', "DHAN_ACCESS_TOKEN_FILE"),
        ('[dhan]\nclient_id = "{secret}"', "DHAN_CLIENT_ID"),
        ('pin = "{secret}"', "DHAN_PIN"),
        ('[api]\ntoken = "{secret}"', "SQUAREOFF_API_TOKEN"),
        ('api_token = "{secret}"', "SQUAREOFF_API_TOKEN"),
        ('[credentials]\ntotp_secret = "{secret}"', "DHAN_TOTP_SECRET"),
    ],
)
def test_a_secret_in_the_file_is_refused_unseen(toml: str, variable: str, tmp_path: Path) -> None:
    """Secrets have no place in the file; the line says where they belong and not what they are."""
    lines = faults_of(tmp_path, toml.replace("{secret}", SECRET))

    assert any("is not read from this file" in line and variable in line for line in lines), lines
    assert SECRET not in "\n".join(lines)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """A file with faults and an environment with faults are refused together."""
    lines = faults_of(tmp_path, 'mode = "x"\nbogus = 1\n', {"SQUAREOFF_API_PORT": "-1"})

    assert len(lines) == 3


def test_an_address_that_may_hold_a_password_is_never_shown(tmp_path: Path) -> None:
    """A wrong database or Redis address is refused without showing it."""
    environment = {
        "SQUAREOFF_DATABASE_URL": f"mysql://user:{SECRET}@host/name",
        "SQUAREOFF_REDIS_URL": f"http://:{SECRET}@host",
    }

    lines = faults_of(tmp_path, "", environment)

    assert len(lines) == 2
    assert SECRET not in "\n".join(lines)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A `_FILE` variable names a file whose content, stripped, is the secret."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    settings = load(tmp_path, "", {"SQUAREOFF_API_TOKEN_FILE": str(path)})

    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == SECRET


def test_the_broker_token_file_stays_a_path(tmp_path: Path) -> None:
    """The access token's file is read again later, so the settings keep its path."""
    environment = {**LIVE, "DHAN_ACCESS_TOKEN_FILE": "token.txt"}
    del environment["DHAN_ACCESS_TOKEN"]

    settings = load(tmp_path, "", environment)

    assert settings.credentials.access_token_file == Path("token.txt")
    assert settings.credentials.access_token is None


def test_empty_secrets_count_as_unset(tmp_path: Path) -> None:
    """`DHAN_PIN=` in an environment file means no PIN."""
    settings = load(tmp_path, "", {"DHAN_PIN": "", "DHAN_TOTP_SECRET": ""})

    assert settings.credentials.pin is None


def test_an_empty_secret_beside_its_file_counts_as_unset(tmp_path: Path) -> None:
    """`SQUAREOFF_API_TOKEN=` is no second secret; the one of the file counts."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    environment = {"SQUAREOFF_API_TOKEN": "", "SQUAREOFF_API_TOKEN_FILE": str(path)}

    settings = load(tmp_path, "", environment)

    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == SECRET


@pytest.mark.parametrize("written", ["1100000001 ", "\t1100000001", "1100000001\r\n"])
def test_blanks_around_the_client_id_make_no_other_account(written: str, tmp_path: Path) -> None:
    """Another account would not find its positions, and would not keep a second engine out."""
    settings = load(tmp_path, "", {**LIVE, "DHAN_CLIENT_ID": written})

    assert settings.credentials.client_id == "1100000001"


def test_no_real_engine_takes_every_hour_for_market_time(tmp_path: Path) -> None:
    """Prints of the pre-open auction would fire stops; a rehearsal broker and paper may."""
    (line,) = faults_of(tmp_path, 'session = "always"', LIVE)
    assert line.startswith("SQUAREOFF_SESSION: `always` is for rehearsals"), line

    rehearsal = {**LIVE, "DHAN_REST_URL": "http://127.0.0.1:8800/v2"}
    assert load(tmp_path, 'session = "always"', rehearsal).session == "always"
    assert load(tmp_path, 'session = "always"').session == "always"


def test_a_rehearsal_may_square_off_at_night(tmp_path: Path) -> None:
    """Where every hour is market time none is before the open."""
    night = 'session = "always"\n[square_off]\nnse_fno = "03:15"\nmcx_comm = "09:00"'

    assert len(load(tmp_path, night).square_off.by_segment()) == 2


def test_variables_of_the_test_suite_are_not_settings(tmp_path: Path) -> None:
    """What tests and rehearsals set does not stop an engine."""
    environment = {
        "SQUAREOFF_TEST_REDIS_URL": "x",
        "SQUAREOFF_REQUIRE_SERVICES": "1",
        "SQUAREOFF_REHEARSAL_KILL_AT": "a:1",
        "SQUAREOFF_CONFIG": "x",
        "PATH": "/bin",
    }

    assert load(tmp_path, "", environment).mode == "paper"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """`--config` with a file that is not there is a fault, not the defaults."""
    with pytest.raises(ConfigError, match=r"missing\.toml: could not be read"):
        load_settings(tmp_path / "missing.toml", {})


def test_no_secret_shows_in_the_settings_text(tmp_path: Path) -> None:
    """Neither repr nor str of the settings holds a secret or the account's number."""
    environment = {
        **LIVE,
        "DHAN_PIN": SECRET,
        "DHAN_TOTP_SECRET": SECRET,
        "SQUAREOFF_API_TOKEN": SECRET,
        "SQUAREOFF_DATABASE_URL": f"postgresql://user:{SECRET}@host/name",
    }
    settings = load(tmp_path, "", environment)

    assert SECRET not in repr(settings) + str(settings)
    assert "1100000001" not in repr(settings)
    assert set(settings.secret_values()) == {SECRET}


def test_live_without_a_token_but_with_pin_and_secret_is_enough() -> None:
    """PIN and TOTP secret make the token at the start; one of the two alone is a fault."""
    login = {"DHAN_PIN": "481516", "DHAN_TOTP_SECRET": SECRET}
    live = {"SQUAREOFF_MODE": "live", "DHAN_CLIENT_ID": "1100000001"}

    assert load_settings(None, live | login).credentials.access_token is None
    with pytest.raises(ConfigError, match="both or not at all"):
        load_settings(None, live | {"DHAN_PIN": "481516"})


def test_a_command_about_an_engine_needs_no_secret_of_it() -> None:
    """Live without the broker's credentials, or with files of theirs that are gone: no fault."""
    broken = {
        "SQUAREOFF_MODE": "live",
        "DHAN_CLIENT_ID": "1100000001",
        "DHAN_PIN_FILE": "gone",
        "DHAN_ACCESS_TOKEN": SECRET,
        "DHAN_ACCESS_TOKEN_FILE": "gone",
        "SQUAREOFF_ALERT_URLS_FILE": "gone",
        "SQUAREOFF_API_TOKEN": SECRET,
    }
    settings = load_settings_without_secrets(None, broken)

    assert load_settings_without_secrets(None, {"SQUAREOFF_MODE": "live"}).mode == "live"
    assert settings.credentials.client_id == "1100000001"
    assert settings.secret_values() == (SECRET,)
    assert settings.credentials.access_token is None
    with pytest.raises(ConfigError, match="DHAN_PIN_FILE"):
        load_settings(None, broken)


def test_a_command_about_an_engine_finds_the_other_faults() -> None:
    """What it does not read it still knows by name, and all else is checked as for an engine."""
    with pytest.raises(ConfigError) as refused:
        load_settings_without_secrets(None, {"DHAN_PINS": "1", "SQUAREOFF_MODE": "real"})

    assert [line.split(":")[0] for line in refused.value.faults] == ["DHAN_PINS", "SQUAREOFF_MODE"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:canary@api.dhan.co/v2?a=canary", ", was 'https://api.dhan.co'"),
        ("http://example.com/canary", ", was 'http://example.com'"),
        ("user:canary@api.dhan.co/v2", ""),
    ],
)
def test_a_wrong_address_is_shown_by_its_host(address: str, shown: str, tmp_path: Path) -> None:
    """From the environment and from the file; what is no address is not shown."""
    for text, environment in (
        (f'[dhan]\nrest_url = "{address}"', {}),
        ("", {"DHAN_REST_URL": address}),
        ("", {"DHAN_MARKET_FEED_URL": address.replace("http", "ws")}),
    ):
        with pytest.raises(ConfigError) as refused:
            load(tmp_path, text, environment)
        assert "canary" not in str(refused.value)
        assert str(refused.value).partition(", was ")[2] == shown.removeprefix(", was ").replace(
            "http", "ws" if "FEED" in str(environment) else "http"
        )


def test_what_an_address_carries_is_a_secret(tmp_path: Path) -> None:
    """Passwords and queries of every address are hidden in logs; a plain one hides nothing."""
    instruments = "https://user:canary-1@host/x.csv?token=canary-2"
    settings = load(
        tmp_path,
        "",
        {
            "SQUAREOFF_INSTRUMENTS": instruments,
            "SQUAREOFF_DATABASE_URL": "postgresql://user@host/name?password=canary-3",
            "SQUAREOFF_REDIS_URL": "redis://:canary-4@host",
        },
    )
    plain = load(
        tmp_path,
        "",
        {
            "SQUAREOFF_INSTRUMENTS": "https://host/x.csv",
            "SQUAREOFF_DATABASE_URL": "postgresql://squareoff@host/name",
        },
    )

    assert set(settings.secret_values()) >= {
        instruments, "canary-1", "token=canary-2", "password=canary-3", "canary-4",
    }  # fmt: skip
    assert plain.secret_values() == ()
