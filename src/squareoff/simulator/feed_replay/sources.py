"""What a replay is asked to play: recordings of the feed, or recorded prices.

The two are not mixed: the first knows receipts to the nanosecond, the second often only seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from squareoff.adapters.feed_recording.feed_file import is_feed_file
from squareoff.adapters.recordings import Recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.services.desk.desk_requests import PositionRequest, instrument_of
from squareoff.simulator.catalogue import default_listings
from squareoff.simulator.feed_replay.timed_records import (
    FeedFiles,
    TimedRecord,
    records_of_prices,
)
from squareoff.simulator.replay import TickSource, parse_tick_source, read_source


class ReplaySources:
    """The records to play and the terms of their instruments.

    Args:
        texts: each a file `*.sqfeed`, or recorded prices as `squareoff sim --ticks` takes them.
        requests: the positions to hold; terms that they give are used for recorded prices.

    Raises:
        ConfigError: a source cannot be read, or both kinds are named.
        InvalidRequest: neither a position nor the built-in list gives the terms of an instrument.
    """

    def __init__(self, texts: Sequence[str], requests: Iterable[PositionRequest]) -> None:
        paths = [Path(text) for text in texts if is_feed_file(Path(text))]
        if not texts or (paths and len(paths) < len(texts)):
            raise ConfigError("replay: give recordings of the feed, or recorded prices, not both")
        self.files = FeedFiles(paths)
        self._recordings: list[Recording] = []
        self.instruments: Mapping[InstrumentId, Instrument] = {}
        if paths:
            self.instruments = self.files.instruments()
            return
        terms = _Terms(requests)
        sources = [parse_tick_source(text) for text in texts]
        self.instruments = {each.instrument_id: terms.of(each) for each in sources}
        for source in sources:
            tick_size = self.instruments[source.instrument_id].tick_size
            self._recordings.append(read_source(source, tick_size))

    def timed_records(self) -> Iterator[TimedRecord]:
        """Yield all that is to be played, in order of time."""
        if self.files.paths:
            return self.files.timed_records()
        return records_of_prices(self._recordings, self.instruments)

    def begin_ns(self) -> int:
        """Return the wall time of the first record, UTC ns.

        Raises:
            ConfigError: there is none.
        """
        first = next(self.timed_records(), None)
        if first is None:
            raise ConfigError("replay: the recording holds nothing to play")
        return first.record.received.wall_ns


class _Terms:
    """Terms of instruments: a position's own, else those of the simulator's built-in list.

    Circuit limits are left out: those of the list are of one day, the recording of another.
    """

    def __init__(self, requests: Iterable[PositionRequest]) -> None:
        self._listed = {
            each.instrument_id: replace(each.instrument, lower_circuit=None, upper_circuit=None)
            for each in default_listings()
        }
        self._requests = {
            InstrumentId(each.exchange_segment, each.security_id): each
            for each in requests
            if each.tick_size is not None
        }

    def of(self, source: TickSource) -> Instrument:
        """Return the terms of the instrument whose prices a source holds."""
        request = self._requests.get(source.instrument_id)
        if request is not None:
            return instrument_of(request, _Nothing())
        listed = self._listed.get(source.instrument_id)
        if listed is None:
            raise ConfigError(
                f"replay: {source.instrument_id} is not known; give lot_size and tick_size with a "
                "position in it"
            )
        return listed


class _Nothing:
    """An instrument master that holds nothing."""

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return None."""
        return None
