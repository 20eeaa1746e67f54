"""Who calls, and what that one may do: tokens, roles, and the role that each call needs.

Invariants:
1. Of a token only its SHA-256 is kept; every known one is compared, each in constant time.
2. A change that is not in the table needs `admin`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from squareoff.web.error_shape import ApiError

CHANGING_METHODS = frozenset({"POST", "PATCH", "PUT", "DELETE"})
SCHEME = "bearer "


class Role(str, Enum):
    """What a token is good for; each role may do all that the ones before it may."""

    READ = "read"
    """Look at everything, change nothing."""
    OPERATE = "operate"
    """Close, halt, tighten rules, take positions under watch, acknowledge alarms, reconcile."""
    ADMIN = "admin"
    """Everything: also loosen rules, resume, take an exit back, let go, place entries."""

    def covers(self, other: "Role") -> bool:
        """Say whether this role may do what `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}
_API = "/api/v1"

ROLE_OF_CHANGE: Mapping[tuple[str, str], Role] = {
    ("POST", f"{_API}/trackers"): Role.OPERATE,
    ("POST", f"{_API}/entries"): Role.ADMIN,
    ("PATCH", f"{_API}/trackers/{{tracker_id}}"): Role.OPERATE,
    ("POST", f"{_API}/trackers/{{tracker_id}}/exit"): Role.OPERATE,
    ("POST", f"{_API}/trackers/{{tracker_id}}/withdraw"): Role.ADMIN,
    ("POST", f"{_API}/trackers/{{tracker_id}}/untrack"): Role.ADMIN,
    ("POST", f"{_API}/trackers/{{tracker_id}}/resolve-over-exit"): Role.ADMIN,
    ("POST", f"{_API}/exit-all"): Role.OPERATE,
    ("POST", f"{_API}/kill-switch"): Role.OPERATE,
    ("POST", f"{_API}/alarms/{{alarm_id}}/acknowledge"): Role.OPERATE,
    ("POST", f"{_API}/reconcile"): Role.OPERATE,
}
"""The role that each change needs at the least; loosening rules and lifting the kill switch are
asked for again where it shows that they are that."""


def role_of_call(method: str, path_template: str) -> Role:
    """Return the role that a call needs."""
    if method not in CHANGING_METHODS:
        return Role.READ
    return ROLE_OF_CHANGE.get((method, path_template), Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the role of the token, where the call comes from, and whether from a page."""

    role: Role
    source: str
    is_page: bool

    def require(self, role: Role, what: str) -> None:
        """Refuse what this caller may not do.

        Raises:
            ApiError: 403 `role_too_low`; nothing was changed.
        """
        if not self.role.covers(role):
            text = (
                f"{what} needs a token with the role {role.value}, this one has {self.role.value}"
            )
            raise ApiError(403, "role_too_low", text, {"role": role.value})


class Tokens:
    """The tokens in force, by their hashes."""

    def __init__(self, tokens: Mapping[Role, str]) -> None:
        self._hashes = tuple((role, _hash_of(token)) for role, token in tokens.items())

    def role_of(self, authorization: str) -> Role | None:
        """Return the role that an Authorization header proves, None for none.

        Whatever is wrong with it takes the same way: it is hashed and compared with each.
        """
        scheme, given = authorization[: len(SCHEME)], _hash_of(authorization[len(SCHEME) :])
        is_bearer = scheme.lower() == SCHEME  # RFC 9110 11.1: in any case
        found: Role | None = None
        for role, expected in self._hashes:
            if hmac.compare_digest(given, expected) and is_bearer:
                found = role
        return found


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
