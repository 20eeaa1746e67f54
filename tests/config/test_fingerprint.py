"""The settings' hash: equal where two engines decide alike, and blind to secrets and places."""

from pathlib import Path

import pytest

from squareoff.config import Settings
from squareoff.config.fingerprint import config_hash
from squareoff.config.loading import load_settings

SAME = {
    "a token": {"credentials": {"access_token": "canary-token"}},
    "an api token": {"api_token": "canary-api-token-canary"},
    "alert addresses": {"alert_urls": "tgram://canary"},
    "a database's password": {"database_url": "postgresql://u:canary@h/d"},
    "a redis password": {"redis_url": "redis://:canary@h"},
    "a port": {"api": {"port": 9000}},
    "a path": {"instruments": "elsewhere.csv"},
    "a recording": {"recording": {"folder": "feed"}},
}
OTHER = {
    "the mode": {"mode": "live"},
    "the order type": {"exit": {"order_type": "market"}},
    "a slippage": {"exit": {"max_slippage_percent": "4.5"}},
    "a limit": {"limits": {"orders_per_second": 7}},
    "a quarantine": {"settle": {"quarantine_seconds": 20}},
    "a holiday": {"calendar": {"holidays": ["2026-11-24"]}},
    "a lease": {"ownership": {"lease_seconds": 2}},
}


@pytest.mark.parametrize("name", SAME)
def test_secrets_and_places_are_not_compared(name: str) -> None:
    """Two machines have tokens, passwords, ports and paths of their own."""
    assert config_hash(Settings(**SAME[name])) == config_hash(Settings())


@pytest.mark.parametrize("name", OTHER)
def test_what_decides_about_orders_is_compared(name: str) -> None:
    """Any other setting changes the hash."""
    assert config_hash(Settings(**OTHER[name])) != config_hash(Settings())


def test_rules_are_compared(tmp_path: Path) -> None:
    """Rules of adopted positions decide about orders too; the same file gives the same hash."""
    hashes = []
    for points in ("8", "9", "8"):
        path = tmp_path / "squareoff.toml"
        path.write_text(f'[rules.default]\nstop_loss = {{ points = "{points}" }}\n')
        hashes.append(config_hash(load_settings(path, {})))

    assert hashes[0] == hashes[2] != hashes[1]
    assert len(hashes[0]) == 12
