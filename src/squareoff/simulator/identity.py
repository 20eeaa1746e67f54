"""Who calls: access tokens, their life and death (dhanhq-v2.md 1.3 - 1.6).

Without credentials any token is good and belongs to the one account; with credentials only theirs.
A token lives until the `exp` that it claims, else from its first use for the hours that the conduct
says, or until it is killed. A client has one live token: making one kills the others.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.simulator.wire import WireRequest, body_fields

DEFAULT_CLIENT_ID = "1100000001"
"""Name of the one account until a client names itself."""

WEB_MADE, API_MADE = "SELF", "APP"
"""`tokenConsumerType` of tokens made in the web console and by the API (dhanhq-v2.md 1.3)."""

_EXPIRY_SECONDS_MAX = 32_503_680_000
"""The year 3000: an `exp` in milliseconds is far, and no date that can be shown."""


class Identity:
    """Maps tokens to clients and knows which tokens are dead."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._clients = dict(credentials)
        self.is_open = not credentials
        self._born_ns: dict[str, int] = {}
        self._dead: set[str] = set()
        self._minted = 0
        self._logged_in_ns: dict[str, int] = {}

    def client_ids(self) -> list[str]:
        """Return the clients that the credentials name."""
        return sorted(set(self._clients.values()))

    def client_of(self, client_id: str, token: str) -> str | None:
        """Return whose token this is; `client_id` is what the caller says. None: refused."""
        if not token or token in self._dead:
            return None
        if self.is_open:
            return client_id or str(_claims(token).get("dhanClientId", ""))
        owner = self._clients.get(token)
        return owner if owner is not None and client_id in ("", owner) else None

    def client_of_request(self, request: WireRequest) -> str | None:
        """Return the client of a REST request by its headers and body, None where refused."""
        headers = request.headers
        said = headers.get("client-id") or headers.get("dhanclientid")
        named = said or str(body_fields(request.body).get("dhanClientId") or "")
        return self.client_of(named, headers.get("access-token", ""))

    def expires_ns(self, token: str, hours: float, now_ns: int) -> int:
        """Return when the token ends: its own `exp` where it is a JWT, else from first use."""
        born_ns = self._born_ns.setdefault(token, now_ns)
        expiry = _claims(token).get("exp")
        if isinstance(expiry, int):
            return min(expiry, _EXPIRY_SECONDS_MAX) * NANOSECONDS_PER_SECOND
        return born_ns + seconds_to_ns(hours * 3_600)

    def is_dead(self, token: str) -> bool:
        """Say whether the token was killed."""
        return token in self._dead

    def is_renewable(self, token: str) -> bool:
        """Say whether the token was made on the web page: those made by the API are not renewed."""
        return _claims(token).get("tokenConsumerType") != API_MADE

    def kill(self, token: str) -> None:
        """Let a token die at once."""
        self._dead.add(token)

    def kill_all(self) -> None:
        """Let every token that was ever used die; new ones are good."""
        self._dead |= set(self._born_ns)

    def renew(self, token: str, client_id: str, now_ns: int, hours: float) -> str:
        """Kill `token` and return a new one of the same client, of the kind made on the web."""
        self.kill(token)
        return self._issue(client_id, now_ns, hours, WEB_MADE)

    def may_log_in(self, client_id: str, interval_seconds: float, now_ns: int) -> bool:
        """Say whether the client's last login lies far enough back for another."""
        last_ns = self._logged_in_ns.get(client_id)
        return last_ns is None or now_ns - last_ns >= seconds_to_ns(interval_seconds)

    def mint(self, client_id: str, now_ns: int, hours: float) -> str:
        """Return a new token for a client that logged in by PIN and TOTP; its others die."""
        self._logged_in_ns[client_id] = now_ns
        for token in list(self._born_ns):
            if self.is_open or self._clients.get(token) == client_id:
                self.kill(token)
        for token, owner in list(self._clients.items()):
            if owner == client_id:
                self.kill(token)
        return self._issue(client_id, now_ns, hours, API_MADE)

    def _issue(self, client_id: str, now_ns: int, hours: float, kind: str) -> str:
        self._minted += 1
        expiry = (now_ns + seconds_to_ns(hours * 3_600)) // NANOSECONDS_PER_SECOND
        claims = {
            "iss": "dhan", "partnerId": "", "exp": expiry, "tokenConsumerType": kind,
            "webhookUrl": "", "dhanClientId": client_id, "number": self._minted,
        }  # fmt: skip
        parts = (_segment({"typ": "JWT", "alg": "HS512"}), _segment(claims), "c2ltdWxhdGVk")
        fresh = ".".join(parts)
        if not self.is_open:
            self._clients[fresh] = client_id
        self._born_ns[fresh] = now_ns
        return fresh


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT without checking it, empty where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
