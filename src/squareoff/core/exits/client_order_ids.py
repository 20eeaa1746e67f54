"""Client order ids: derived from account, tracker, attempt and slice; never random, never a clock.

Shape: `sqx-` + 12 of the tracker's digest + `-` + attempt + `-` + slice, 23 characters of
`[a-z0-9-]` (the broker takes 25 of `[A-Za-z0-9_-]`). `sqx` is an exit order, `sqe` an entry order,
`sqf` one that takes back what was closed too much. The same inputs give the same id for ever, so a
plan made twice cannot become two orders under two ids, and an order at the broker names its owner.
"""

import hashlib
import re

from squareoff.domain.ids import AccountId, ClientOrderId, TrackerId
from squareoff.domain.orders import OrderRole

CLIENT_ORDER_ID_LENGTH_MAX = 25
FLATTEN_PREFIX = "sqf"
_PREFIXES = {OrderRole.EXIT: "sqx", OrderRole.ENTRY: "sqe", OrderRole.FLATTEN: FLATTEN_PREFIX}
_OURS = re.compile(r"sq[xef]-[0-9a-z]{12}-[0-9a-z]{3}-[0-9a-z]{2}\Z")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGEST_CHARACTERS = 12  # 62 bits: a collision among 10 million trackers has odds of 1 in 100,000
_ATTEMPT_DIGITS = 3
_SLICE_DIGITS = 2


def client_order_id(
    account_id: AccountId,
    tracker_id: TrackerId,
    role: OrderRole,
    *,
    attempt: int,
    slice_number: int,
) -> ClientOrderId:
    """Derive the id of one order.

    Args:
        attempt: counts from 1, at most 46,655.
        slice_number: counts from 1, at most 1,295.

    Raises:
        ValueError: attempt or slice outside its range.
    """
    digest = hashlib.sha256(f"{account_id}\n{tracker_id}".encode()).digest()
    tag = _base36(int.from_bytes(digest[:8], "big") % 36**_DIGEST_CHARACTERS, _DIGEST_CHARACTERS)
    text = (
        f"{_PREFIXES[role]}-{tag}-{_base36(attempt, _ATTEMPT_DIGITS)}"
        f"-{_base36(slice_number, _SLICE_DIGITS)}"
    )
    assert len(text) <= CLIENT_ORDER_ID_LENGTH_MAX, text
    assert _OURS.match(text), text
    return ClientOrderId(text)


def is_ours(tag: str | None) -> bool:
    """Say whether a tag at the broker has the shape of our ids; orders without it are not ours."""
    return tag is not None and _OURS.match(tag) is not None


def _base36(number: int, width: int) -> str:
    if not 0 <= number < 36**width:
        raise ValueError(f"{number} does not fit {width} characters of an order id")
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
