"""One-time codes from a shared secret: RFC 6238 (TOTP) over RFC 4226 (HOTP), SHA-1, 6 digits, 30 s.

Invariant: neither the secret nor a code appears in an error or a repr.
"""

import base64
import binascii
import hashlib
import hmac

from squareoff.domain.time import NANOSECONDS_PER_SECOND

DIGITS = 6
STEP_SECONDS = 30
_SECRET_BYTES_MIN = 10
"""80 bits, the shortest that authenticator programs hand out."""


class TotpSecret:
    """A shared secret in the base32 that authenticator programs show.

    Raises:
        ValueError: the text is no base32 of at least 80 bits; the text itself is not shown.
    """

    def __init__(self, text: str) -> None:
        letters = "".join(text.split()).replace("-", "").upper().rstrip("=")
        try:
            key = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except (binascii.Error, ValueError):
            key = b""
        if len(key) < _SECRET_BYTES_MIN:
            raise ValueError("must be the base32 secret of an authenticator, 16 letters or more")
        self._key = key

    def code(self, wall_ns: int, digits: int = DIGITS) -> str:
        """Return the code of an instant (UTC ns)."""
        counter = wall_ns // (STEP_SECONDS * NANOSECONDS_PER_SECOND)
        digest = hmac.new(self._key, counter.to_bytes(8, "big"), hashlib.sha1).digest()
        offset = digest[-1] & 0x0F
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
        return f"{number % 10**digits:0{digits}d}"
