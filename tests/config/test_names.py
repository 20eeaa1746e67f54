"""The names of settings are those of docs/settings.md."""

from squareoff.config.names import secret_variable, setting_names

VARIABLES = {
    "DHAN_CLIENT_ID": "credentials.client_id",
    "DHAN_ACCESS_TOKEN": "credentials.access_token",
    "DHAN_ACCESS_TOKEN_FILE": "credentials.access_token_file",
    "DHAN_PIN": "credentials.pin",
    "DHAN_TOTP_SECRET": "credentials.totp_secret",
    "DHAN_REST_URL": "dhan.rest_url",
    "DHAN_ORDER_UPDATE_URL": "dhan.order_update_url",
    "DHAN_MARKET_FEED_URL": "dhan.market_feed_url",
    "DHAN_AUTH_URL": "dhan.auth_url",
    "SQUAREOFF_MODE": "mode",
    "SQUAREOFF_DATABASE_URL": "database_url",
    "SQUAREOFF_REDIS_URL": "redis_url",
    "SQUAREOFF_INSTRUMENTS": "instruments",
    "SQUAREOFF_API_HOST": "api.host",
    "SQUAREOFF_API_PORT": "api.port",
    "SQUAREOFF_API_TOKEN": "api_token",
    "SQUAREOFF_API_OPERATE_TOKEN": "api_operate_token",
    "SQUAREOFF_API_READ_TOKEN": "api_read_token",
    "SQUAREOFF_ADOPT": "adopt",
    "SQUAREOFF_ALERT_URLS": "alert_urls",
    "SQUAREOFF_SESSION": "session",
}
TOML_ONLY = {
    "timeouts.gateway_seconds", "timeouts.order_seconds",
    "settle.quarantine_seconds", "settle.readings",
    "exit.order_type", "exit.chase_interval_seconds", "exit.max_slippage_percent",
    "exit.on_last_step", "exit.attempts_max",
    "prices.stale_after_seconds", "prices.spike_percent",
    "reconcile.interval_seconds", "reconcile.in_flight_seconds",
    "limits.orders_per_second", "limits.orders_per_minute", "limits.orders_per_hour",
    "limits.orders_per_day", "calendar.holidays", "calendar.special_sessions",
    "over_exit_action", "rules.default", "account_rules", "paper.ticks", "paper.speed",
    "api.metrics_public",
}  # fmt: skip


def test_every_variable_of_the_interface_sets_its_setting() -> None:
    """Each documented environment variable leads to the setting beside it."""
    found = {
        name.environment.name: ".".join(name.path)
        for name in setting_names()
        if name.environment is not None
    }

    assert found == VARIABLES


def test_every_setting_of_the_file_is_there() -> None:
    """Each documented TOML path exists."""
    paths = {".".join(name.path) for name in setting_names() if name.is_in_toml}

    assert paths >= TOML_ONLY


def test_secrets_are_marked() -> None:
    """Whatever may hold a secret is known not to be shown."""
    sensitive = {".".join(name.path) for name in setting_names() if name.is_sensitive}

    assert sensitive == {
        "database_url", "redis_url", "alert_urls", "api_token", "api_operate_token",
        "api_read_token", "credentials.access_token", "credentials.client_id", "credentials.pin",
        "credentials.totp_secret",
    }  # fmt: skip


def test_a_secret_word_leads_to_its_variable() -> None:
    """A secret written into the file is told where it belongs; other words are not secrets."""
    assert secret_variable("pin") == "DHAN_PIN or DHAN_PIN_FILE"
    assert secret_variable("port") is None
