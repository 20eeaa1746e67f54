"""What a token says of itself, read without checking its signature.

A claim is never proof of life: the broker kills tokens before their time. Source: the claims that
were seen in the broker's tokens (`exp`, `tokenConsumerType`, `dhanClientId`).
"""

import base64
import binascii
import json
from typing import Any

from squareoff.domain.time import NANOSECONDS_PER_SECOND

API_MADE = "APP"
"""The consumer type of tokens that were made by PIN and TOTP or an API key; the broker renews
only those made on its web page (`SELF`)."""

_EXPIRY_SECONDS_MAX = 253_402_300_799  # the end of the year 9999


def claims_of(token: str) -> dict[str, Any]:
    """Return a JWT's claims, empty where the token is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        value = json.loads(raw)
    except (binascii.Error, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def expires_ns_of(token: str) -> int | None:
    """Return the end that a token claims (UTC ns), None where it claims none."""
    expiry = claims_of(token).get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    if not 0 < expiry <= _EXPIRY_SECONDS_MAX:
        return None
    return int(expiry) * NANOSECONDS_PER_SECOND


def is_renewable(token: str) -> bool:
    """Say whether the broker's RenewToken may take this token; unknown counts as yes."""
    return claims_of(token).get("tokenConsumerType") != API_MADE
