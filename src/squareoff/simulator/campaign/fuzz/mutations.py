"""Changes to bytes and to JSON: blind ones, and ones that know the shape."""

import json
import random
from typing import Any

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.1, -0.0, 1e308, 1e-320,
    "", " ", "0", "-5", "NaN", "Infinity", "1e9", "75.0", "75.5", "NA", "null",
    "\u0000", "\ud83d\ude00",
    "x" * 2_000, "०१२", [], {}, [1], {"a": 1}, [[[]]],
)  # fmt: skip
_ODD_TEXTS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"\xff\xfe", b"\x00", b"{", b"]", b",", b'"',
    b"\\u0000", b"\\ud800", b"00075", b"[" * 300, b"{\"a\":" * 300,
)  # fmt: skip
_EDITS_MAX = 4


def mutated_bytes(sample: bytes, chance: random.Random) -> bytes:
    """Return the sample with some bytes flipped, cut, doubled, moved or put in."""
    value = bytearray(sample)
    for _ in range(chance.randint(1, _EDITS_MAX)):
        at = chance.randint(0, len(value))
        match chance.randrange(6):
            case 0 if value:
                value[at % len(value)] = chance.randrange(256)
            case 1 if value:
                value[at % len(value)] ^= 1 << chance.randrange(8)
            case 2:
                del value[at : at + chance.randint(1, 40)]
            case 3:
                value[at:at] = value[at : at + chance.randint(1, 40)]
            case 4:
                value[at:at] = chance.choice(_ODD_TEXTS)
            case _:
                del value[at:]
    return bytes(value)


def mutated_json(sample: bytes, chance: random.Random) -> bytes:
    """Return the sample with some values changed, left out, renamed or doubled; still JSON."""
    value = json.loads(sample)
    for _ in range(chance.randint(1, _EDITS_MAX)):
        value = _edited(value, chance)
    return json.dumps(value).encode()


def _edited(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        return _edited_object(dict(value), chance)
    if isinstance(value, list) and value and chance.random() < 0.9:
        return _edited_array(list(value), chance)
    return chance.choice(_ODD_VALUES)


def _edited_object(value: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    name = chance.choice(list(value))
    match chance.randrange(7):
        case 0:
            del value[name]
        case 1:
            value[name.swapcase()] = value.pop(name)
        case 2:
            value[name] = str(value[name])
        case 3:
            value[name] = chance.choice(list(value.values()))
        case 4 if isinstance(value[name], int | float) and not isinstance(value[name], bool):
            value[name] = value[name] * chance.choice((-1, 0, 2, 10**12))
        case _:
            value[name] = _edited(value[name], chance)
    return value


def _edited_array(value: list[Any], chance: random.Random) -> list[Any]:
    at = chance.randrange(len(value))
    match chance.randrange(4):
        case 0:
            del value[at]
        case 1:
            value.append(value[at])
        case _:
            value[at] = _edited(value[at], chance)
    return value
