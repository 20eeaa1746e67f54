"""Feed packets against the byte vectors of dhanhq-v2.md 7.5."""

from dataclasses import replace
from decimal import Decimal

from squareoff.domain.instruments import ExchangeSegment
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.packets import (
    FeedImage,
    depth_part,
    disconnect_packet,
    full_packet,
    heartbeat_packet,
    open_interest_packet,
    previous_close_packet,
    quote_packet,
    status_packet,
    ticker_packet,
    with_payload_length,
)

IMAGE = FeedImage(
    ExchangeSegment.NSE_EQ, "1333", 1640.5, 1781084997, 25, Decimal("1638.75"), 123456, 5000, 7000,
    987650, 990000, 980000, Decimal("1635"), Decimal("1632.25"), Decimal("1644"),
    Decimal("1630.5"),
)  # fmt: skip
FUTURE = replace(IMAGE, exchange_segment=ExchangeSegment.NSE_FNO, security_id="49081")


def plain(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def test_every_vector_of_the_sheet() -> None:
    """Each packet is, byte for byte, what the broker's sheet computes."""
    no_interest = replace(IMAGE, open_interest=0)
    trading = "0010cd44 1900 4533296a 00d8cc44 40e20100 88130000 581b0000"
    day = "0060cc44 0008cc44 0080cd44 00d0cb44"

    assert ticker_packet(IMAGE) == plain("02 1000 01 35050000 0010cd44 4533296a")
    assert previous_close_packet(no_interest) == plain("06 1000 01 35050000 0008cc44 00000000")
    assert open_interest_packet(FUTURE) == plain("05 0c00 02 b9bf0000 02120f00")
    assert status_packet(ExchangeSegment.NSE_EQ) == plain("07 0800 01 00000000")
    assert disconnect_packet(805) == plain("32 0a00 00 00000000 2503")
    assert quote_packet(IMAGE) == plain(f"04 3200 01 35050000 {trading} {day}")
    assert full_packet(FUTURE)[:62] == plain(
        f"08 a200 02 b9bf0000 {trading} 02120f00 301b0f00 20f40e00 {day}"
    )


def test_depth_levels() -> None:
    """Best level first, five levels always, empty ones zero."""
    depth = Depth(
        (DepthLevel(Decimal("1640.45"), 100, 3),), (DepthLevel(Decimal("1640.55"), 200, 4),)
    )

    raw = depth_part(depth)

    assert raw[:20] == plain("64000000 c8000000 0300 0400 660ecd44 9a11cd44")
    assert raw[20:] == bytes(80)
    assert len(full_packet(replace(FUTURE, depth=depth))) == 162


def test_odd_packets() -> None:
    """The heartbeat is a bare header, and the length field can leave out the header."""
    assert heartbeat_packet() == plain("00 0800 00 00000000")
    assert with_payload_length(ticker_packet(IMAGE))[:3] == plain("02 0800")


def test_quantities_too_large_for_their_field_are_cut() -> None:
    """A last quantity above 16 bits shows as the largest value the field can hold."""
    assert quote_packet(replace(IMAGE, last_quantity=70_000))[12:14] == b"\xff\xff"
