"""Records of the feed with their place in time, from recordings of it or from recorded prices.

Recordings of the feed are played in the order of their first record. Within a file the monotonic
clock counts, which no step of the wall clock moves; between files, which may be of other processes
and machines, the wall clock does.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from squareoff.adapters.feed_recording.feed_file import FeedFile, TornTail
from squareoff.adapters.feed_recording.records import (
    FeedRecord,
    RecordKind,
    instrument_of,
    json_payload,
)
from squareoff.adapters.recordings import PlayedStep, Recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.conduct import conduct_from_json
from squareoff.simulator.market import InstrumentDay
from squareoff.simulator.packets import full_packet, quote_packet
from squareoff.simulator.replay import market_update

OVERLAP_SECONDS_MAX = 60.0
"""Between two files of one engine the wall clock may have been set back by so much."""

_RECORDED_TIMES = conduct_from_json({"feed_last_trade_time": "recorded"})


@dataclass(frozen=True, slots=True)
class TimedRecord:
    """A record, and how long after the first one it was received."""

    elapsed_ns: int
    record: FeedRecord


@dataclass(slots=True)
class FeedFiles:
    """Recordings of one feed; `torn` fills while they are read."""

    paths: Sequence[Path]
    torn: dict[str, TornTail] = field(default_factory=dict)
    lost_count: int = 0

    def timed_records(self) -> Iterator[TimedRecord]:
        """Yield everything that was received, oldest file first.

        Raises:
            ConfigError: a file is no recording of the feed.
        """
        self.torn.clear()
        self.lost_count = elapsed_ns = 0  # whoever looked at the beginning counted it already
        before: Now | None = None
        connections = _Connections()
        for path in self._in_order():
            is_same_file = False
            for record in self._received(path):
                ended = connections.left_behind(record)
                if before is not None:
                    yield from (TimedRecord(elapsed_ns, _killed(each, before)) for each in ended)
                    elapsed_ns += _between_ns(before, record.received, by_monotonic=is_same_file)
                yield TimedRecord(elapsed_ns, record)
                before, is_same_file = record.received, True

    def instruments(self) -> dict[InstrumentId, Instrument]:
        """Return the newest terms of every instrument that came under watch.

        Raises:
            ConfigError: a file is no recording of the feed, terms make no sense, or two files are
                of the same time.
        """
        found: dict[InstrumentId, Instrument] = {}
        before: tuple[Path, int] | None = None
        for path in self._in_order():
            begun_ns = ended_ns = None
            for record in FeedFile(path).records():
                if record.kind is RecordKind.INSTRUMENT:
                    instrument = _terms(path, record)
                    found[instrument.instrument_id] = instrument
                    continue
                ended_ns = record.received.wall_ns
                begun_ns = ended_ns if begun_ns is None else begun_ns
            if begun_ns is None or ended_ns is None:
                continue
            if before is not None and begun_ns < before[1] - seconds_to_ns(OVERLAP_SECONDS_MAX):
                raise ConfigError(
                    f"replay: {path.name} begins before {before[0].name} ends: they are recordings "
                    "of two engines; play those of one"
                )
            before = path, ended_ns
        return found

    def _received(self, path: Path) -> Iterator[FeedRecord]:
        file = FeedFile(path)
        for record in file.records():
            if record.kind is RecordKind.LOST:
                self.lost_count += record.fields()["count"]
            elif record.kind is not RecordKind.INSTRUMENT:
                yield record
        if file.torn is not None:
            self.torn[path.name] = file.torn

    def _in_order(self) -> list[Path]:
        return sorted(self.paths, key=_first_wall_ns)


class _Connections:
    """Which connections stand; within one process their numbers rise, so a number that was there
    before is another process's, and what stood until then ended with the killed one."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._newest = 0

    def left_behind(self, record: FeedRecord) -> list[int]:
        """Take a record in; return the connections that ended unrecorded before it."""
        number, ended = record.connection, list[int]()
        match record.kind:
            case RecordKind.CONNECTED:
                if number <= self._newest:
                    ended = sorted(self._open)
                    self._open.clear()
                self._newest = number
                self._open.add(number)
            case RecordKind.ENDED:
                self._open.discard(number)
            case _:
                self._newest = max(self._newest, number)
                self._open.add(number)
        return ended


def _killed(connection: int, last: Now) -> FeedRecord:
    how = {"text": "the recording process ended", "close_code": None, "http_status": None}
    return FeedRecord(RecordKind.ENDED, connection, last, json_payload(how))


def records_of_prices(
    recordings: Iterable[Recording], instruments: Mapping[InstrumentId, Instrument]
) -> Iterator[TimedRecord]:
    """Yield recorded prices as the packets that the broker would have sent, at their own times.

    Full packets for what can be traded, quote packets for index values.
    """
    streams = [
        _packets(recording, instruments[recording.instrument_id]) for recording in recordings
    ]
    first_ns: int | None = None
    for record in heapq.merge(*streams, key=lambda record: record.received.wall_ns):
        wall_ns = record.received.wall_ns
        first_ns = wall_ns if first_ns is None else first_ns
        yield TimedRecord(wall_ns - first_ns, record)


def _packets(recording: Recording, instrument: Instrument) -> Iterator[FeedRecord]:
    listing = Listing(
        instrument, instrument.trading_symbol, instrument.trading_symbol, recording.prices[0]
    )
    is_index = recording.instrument_id.exchange_segment is ExchangeSegment.IDX_I
    market, today = InstrumentDay(listing), date.min
    for step in recording.steps:
        received = Now(step.time_ns, step.time_ns)
        if received.ist().date() != today:
            # The day's high, low and volume begin anew.
            market, today = InstrumentDay(listing), received.ist().date()
        market.apply(market_update(PlayedStep(0, recording.instrument_id, step)), step.time_ns)
        if market.last_price is not None:
            image = market.feed_image(_RECORDED_TIMES, step.time_ns)
            packet = quote_packet(image) if is_index else full_packet(image)
            yield FeedRecord(RecordKind.FRAME, 1, received, packet)


def _between_ns(before: Now, after: Now, *, by_monotonic: bool) -> int:
    if by_monotonic:
        return max(0, after.monotonic_ns - before.monotonic_ns)
    return max(0, after.wall_ns - before.wall_ns)


def _first_wall_ns(path: Path) -> int:
    for record in FeedFile(path).records():
        if record.kind is not RecordKind.INSTRUMENT:
            return record.received.wall_ns
    return 0


def _terms(path: Path, record: FeedRecord) -> Instrument:
    try:
        return instrument_of(record)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ConfigError(f"{path.name}: an instrument's terms make no sense: {error!r}") from error
