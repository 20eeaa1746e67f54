"""A short hash of what decides about orders, so that two engines of one account can be compared.

Invariant: no secret goes in, and nothing that may differ between two machines or two processes:
credentials, addresses that may hold a password, where the API listens, paths.
"""

import hashlib

import msgspec

from squareoff.config.settings import Settings

_HASH_LENGTH = 12
_NOT_COMPARED = frozenset(
    {
        "credentials",
        "api_token",
        "api_operate_token",
        "api_read_token",
        "alert_urls",
        "database_url",
        "redis_url",
        "api",
        "instruments",
        "recording",
    }
)


def config_hash(settings: Settings) -> str:
    """Return 12 hex digits that are equal where two engines would decide alike."""
    compared = {
        name: getattr(settings, name)
        for name in sorted(type(settings).model_fields)
        if name not in _NOT_COMPARED
    }
    canonical = msgspec.json.encode(compared, enc_hook=_plain, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:_HASH_LENGTH]


def _plain(value: object) -> object:
    """Return a settings group as its fields; everything else has a text of its own."""
    fields = getattr(type(value), "model_fields", None)
    return str(value) if fields is None else {name: getattr(value, name) for name in fields}
