"""Fuzz of the market feed: a price comes only from a whole packet that holds it.

The check looks at every place of the frame with `struct` and shares no code with the decoder.
"""

import math
import random
import struct

from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import FeedEvent
from squareoff.simulator.campaign.fuzz.mutations import mutated_bytes
from squareoff.simulator.campaign.fuzz.samples import START_NS, samples
from squareoff.simulator.campaign.fuzz.tally import FuzzTally

_SIZES = {2: 16, 4: 50, 8: 162}
_HEADER = struct.Struct("<BHBI")
_PRICE = struct.Struct("<f")
_ODD_PRICES = (0.0, -1.0, math.nan, math.inf, -math.inf, 1e38, 1e-40, 210.5, 3.4e38)


def fuzz_packets(chance: random.Random, count: int, tally: FuzzTally) -> None:
    """Try so many frames."""
    decoder = FeedDecoder()
    for instrument in samples().instruments:
        decoder.watch(instrument)
    now = Now(START_NS, 1)
    known = samples().packets
    for _ in range(count):
        _try(decoder, _frame(known, chance), now, tally)


def _frame(known: list[bytes], chance: random.Random) -> bytes:
    frame = b"".join(chance.choice(known) for _ in range(chance.choice((1, 1, 2, 3))))
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randint(0, 300))
        case 1:
            return _with_fields(bytearray(frame), chance)
        case _:
            return mutated_bytes(frame, chance)


def _with_fields(frame: bytearray, chance: random.Random) -> bytes:
    """Change what a packet's header and price say, in place."""
    match chance.randrange(4):
        case 0:
            frame[0] = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 99))
        case 1:
            frame[1:3] = struct.pack("<H", chance.choice((0, 1, 8, 16, 50, 162, 0xFFFF)))
        case 2:
            frame[4:8] = struct.pack("<I", chance.choice((0, 49081, 2885, 2**32 - 1)))
        case _ if len(frame) >= 16:
            frame[8:12] = _PRICE.pack(chance.choice(_ODD_PRICES))
    return bytes(frame)


def _try(decoder: FeedDecoder, frame: bytes, now: Now, tally: FuzzTally) -> None:
    tally.cases += 1
    events: list[FeedEvent] = []
    try:
        decoder.decode(frame, now, events.append)
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        tally.violate(f"{error!r} escaped from {frame.hex()[:600]}")
        return
    ticks = [event for event in events if isinstance(event, Tick)]
    tally.outcomes["a price" if ticks else "no price"] += 1
    if not ticks:
        return
    held = prices_in(frame)
    for tick in ticks:
        price = tick.last_traded_price / 10_000
        name = int(tick.instrument_id.security_id)
        if price <= 0 or not any(i == name and abs(p - price) <= 0.06 for i, p in held):
            tally.violate(f"{tick.instrument_id} at {price} is not in {frame.hex()[:600]}")


def prices_in(frame: bytes) -> list[tuple[int, float]]:
    """Return security id and price of everything in the frame that may be a whole packet."""
    found = []
    for at in range(len(frame) - _HEADER.size - _PRICE.size + 1):
        code, length, _, security_id = _HEADER.unpack_from(frame, at)
        size = _SIZES.get(code)
        if size is None or length not in (size, size - _HEADER.size) or at + size > len(frame):
            continue
        price = _PRICE.unpack_from(frame, at + _HEADER.size)[0]
        if math.isfinite(price) and price > 0:
            found.append((security_id, price))
    return found
