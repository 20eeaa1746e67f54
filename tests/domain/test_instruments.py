"""Tests of domain.instruments: the text that names an instrument."""

import pytest

from squareoff.domain.instruments import ExchangeSegment, InstrumentId


@pytest.mark.parametrize("segment", ExchangeSegment)
def test_an_instrument_is_read_back_from_its_text(segment: ExchangeSegment) -> None:
    """`SEGMENT:ID` is an instrument's name, both ways."""
    instrument_id = InstrumentId(segment, "49543")

    assert InstrumentId.from_text(str(instrument_id)) == instrument_id


def test_leading_zeros_do_not_make_another_instrument() -> None:
    """A security id typed with zeros in front is the one the instrument master holds."""
    assert str(InstrumentId.from_text("NSE_FNO:049081")) == "NSE_FNO:49081"


@pytest.mark.parametrize(
    "text", ["", "NSE_EQ", "NSE_EQ:", ":2885", "NSE:2885", "NSE_EQ:-1", "NSE_EQ:abc", "NSE_EQ: 1"]
)
def test_what_names_no_instrument_is_refused(text: str) -> None:
    """An unknown segment or an id that is no digits is never guessed at."""
    with pytest.raises(ValueError, match=r"."):
        InstrumentId.from_text(text)
