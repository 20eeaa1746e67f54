"""Reading values: exact digits, sentinels, and nothing that escapes as another error."""

import random
from decimal import Decimal

import pytest

from squareoff.adapters.broker.dhan.json_values import (
    Unreadable,
    average_of,
    decimal_of,
    load_json,
    ns_from_ist_text,
    quantity_of,
    whole_of,
    word_of,
)


def test_fractions_keep_their_digits():
    """No float is made on the way from JSON to Decimal."""
    row = load_json(b'{"a": 25974.90, "b": "0.05", "c": 7, "d": 152.23333333333332}')

    assert [decimal_of(row, name) for name in "abc"] == [
        Decimal("25974.90"),
        Decimal("0.05"),
        Decimal(7),
    ]
    assert average_of(row, "d") == Decimal("152.23333333")


@pytest.mark.parametrize(
    "text",
    [
        b"1e999999999",
        b"1e-999999999",
        b"123456789012345678901234567890",
        b'"NaN"',
        b'"Infinity"',
        b'""',
        b'"1,5"',
        b"true",
        b"null",
        b"[]",
        b"{}",
        b'"--"',
        b'"0x10"',
        b"0e999999",
        b'"1e400"',
    ],
)
def test_what_is_no_sane_number_is_unreadable(text):
    """Absurd, empty and non-finite numbers raise one error, fast."""
    with pytest.raises(Unreadable):
        decimal_of({"a": load_json(text)}, "a")


def test_whole_numbers_and_quantities():
    """75, 75.0 and their texts are whole; fractions and, for quantities, negatives are not."""
    for value in (75, "75", Decimal("75.0"), "75.0", " 75 "):
        assert whole_of({"a": value}, "a") == 75
    assert whole_of({"a": -75}, "a") == -75
    for value in (Decimal("0.5"), "75.1", -1, None):
        with pytest.raises(Unreadable):
            quantity_of({"a": value}, "a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-15 10:02:14", 1_789_446_734),
        ("2026-09-15T10:02:14", 1_789_446_734),
        ("2026-09-15 10:02:14.987", 1_789_446_734),
        ("15/09/2026 10:02:14", 1_789_446_734),
        ("15/09/2026 10:02", 1_789_446_720),
        ("0001-01-01 00:00:00", None),
        ("01/01/1980 00:00:00", None),
        ("NA", None),
        ("", None),
        ("2026-13-45 10:00:00", None),
    ],
)
def test_ist_times_become_utc(text, expected):
    """Dhan's clock is IST; sentinels and rubbish are no time."""
    result = ns_from_ist_text(text)

    assert result == (None if expected is None else expected * 1_000_000_000)


def test_words_are_compared_in_one_form():
    """Case, blanks and dashes do not make another word."""
    assert word_of(" Part-Traded ") == word_of("part traded") == "PART_TRADED"
    assert word_of(None) == word_of(5) == ""


def test_no_bytes_make_the_json_reader_raise():
    """Random and broken documents are None or a value, never an exception."""
    seed = 20260915
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(5_000):
        length = chance.randrange(40)
        load_json(
            bytes(chance.choice(b'{}[]",:0123456789eE+-.truefalsn\\u \xff') for _ in range(length))
        )
    assert load_json(b"[" * 100_000) is None
    with pytest.raises(Unreadable):
        decimal_of({"a": load_json(b"1" * 10_000)}, "a")
    with pytest.raises(Unreadable):
        decimal_of({"a": load_json(b"1" * 4_000)}, "a")
