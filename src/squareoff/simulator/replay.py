"""Recorded market data, played back: what a `--ticks` argument names, as steps of the market.

The files and their shapes are `adapters.recordings`' concern.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from squareoff.adapters.feed_recording.feed_file import is_feed_file
from squareoff.adapters.feed_recording.recorded_steps import read_feed_recordings
from squareoff.adapters.recordings import (
    PlayedStep,
    RecordedStep,
    Recording,
    play_side_by_side,
    read_recording,
)
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND
from squareoff.simulator.market import MarketUpdate

KNOWN_PREFIXES = {
    "nifty-fut": InstrumentId(ExchangeSegment.NSE_FNO, "49543"),
    "nifty-index": InstrumentId(ExchangeSegment.IDX_I, "13"),
    "reliance-eq": InstrumentId(ExchangeSegment.NSE_EQ, "2885"),
}
"""File names whose instrument is known without saying so."""


@dataclass(frozen=True, slots=True)
class TickSource:
    """One `--ticks` argument: `[SEGMENT:ID=]PATH[#day=YYYY-MM-DD,start=HH:MM,end=HH:MM,loop]`."""

    path: Path
    instrument_id: InstrumentId
    day: date | None = None
    start: time | None = None
    end: time | None = None
    is_loop: bool = False


def parse_tick_source(text: str) -> TickSource:
    """Return what a `--ticks` argument names.

    A plain path finds its instrument in a sidecar file `PATH.instrument` (one line
    `SEGMENT:ID`), else by the file name's known beginnings.

    Raises:
        ConfigError: the argument cannot be understood, or the instrument is not known.
    """
    location, _, options = text.partition("#")
    named, separator, path_text = location.partition("=")
    if not separator:
        named, path_text = "", location
    path = Path(path_text)
    source = TickSource(path, _instrument_of(named) if named else _instrument_for(path))
    for option in filter(None, options.split(",")):
        source = _with_option(source, option, text)
    return source


def read_source(source: TickSource, tick_size: Decimal) -> Recording:
    """Read the asked range of one recorded file; `tick_size` is rupees.

    Raises:
        ConfigError: the file cannot be read (see `read_recording`), or nothing lies in the range.
    """
    recording = read_recording(source.path, source.instrument_id, tick_size, setting="ticks")
    kept = tuple(step for step in recording.steps if _is_within(step, source))
    if not kept:
        raise ConfigError(f"ticks: {source.path.name} holds no step in the asked range")
    return replace(recording, steps=kept, is_looping=source.is_loop)


def read_feed_source(text: str) -> tuple[tuple[Recording, Instrument], ...]:
    """Read a recording of the feed: `[SEGMENT:ID=]FILE.sqfeed[#...]`, with the options of others.

    Returns:
        The asked range of the instrument that is named, or of all that the file holds, with their
        terms; all begin together.

    Raises:
        ConfigError: the file cannot be read, or nothing lies in the range.
    """
    location, _, options = text.partition("#")
    named, separator, path_text = location.rpartition("=")
    wanted = _instrument_of(named) if separator else None
    found = []
    for recording, instrument in read_feed_recordings(Path(path_text), setting="ticks"):
        source = TickSource(Path(path_text), recording.instrument_id)
        for option in filter(None, options.split(",")):
            source = _with_option(source, option, text)
        steps = tuple(step for step in recording.steps if _is_within(step, source))
        if steps and wanted in (None, recording.instrument_id):
            found.append((recording, steps, source, instrument))
    if not found:
        raise ConfigError(f"ticks: {Path(path_text).name} holds no step in the asked range")
    begin_ns = min(steps[0].time_ns for _, steps, _, _ in found)
    return tuple(
        (replace(each, steps=steps, is_looping=source.is_loop, begin_ns=begin_ns), instrument)
        for each, steps, source, instrument in found
    )


def is_feed_source(text: str) -> bool:
    """Say whether a `--ticks` argument names a recording of the feed."""
    return is_feed_file(Path(text.partition("#")[0]))


class Replay:
    """Plays recordings side by side, each from its own first step at market time zero."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self.recordings = tuple(recordings)
        self._script: Iterator[PlayedStep] = iter(())
        self._next: PlayedStep | None = None
        self.rewind()

    def next_due_ns(self) -> int | None:
        """Return the market time of the next step, None at the end of all recordings."""
        return None if self._next is None else self._next.market_ns

    def take_due(self, market_ns: int) -> list[MarketUpdate]:
        """Return the steps due at `market_ns`, in order of time, and move past them."""
        taken = []
        while self._next is not None and self._next.market_ns <= market_ns:
            taken.append(market_update(self._next))
            self._next = next(self._script, None)
        return taken

    def rewind(self) -> None:
        """Go back to the start of every recording."""
        self._script = play_side_by_side(self.recordings)
        self._next = next(self._script, None)

    def seek(self, market_ns: int) -> None:
        """Skip, unplayed, every step before `market_ns`."""
        self.rewind()
        self.take_due(market_ns - 1)


def market_update(played: PlayedStep) -> MarketUpdate:
    """Return a recorded step as the market takes it."""
    step = played.step
    return MarketUpdate(
        played.instrument_id,
        last_price=step.last_price,
        traded_quantity=step.traded_quantity,
        volume=step.volume,
        open_interest=step.open_interest,
        depth=step.depth,
        recorded_ns=step.time_ns,
        average_price=step.average_price,
        total_buy_quantity=step.total_buy_quantity,
        total_sell_quantity=step.total_sell_quantity,
        day_open=step.day_open,
        day_high=step.day_high,
        day_low=step.day_low,
    )


def _is_within(step: RecordedStep, source: TickSource) -> bool:
    if source.day is None and source.start is None and source.end is None:
        return True
    instant = datetime.fromtimestamp(step.time_ns / NANOSECONDS_PER_SECOND, IST)
    is_other_day = source.day is not None and instant.date() != source.day
    is_early = source.start is not None and instant.time() < source.start
    is_late = source.end is not None and instant.time() > source.end
    return not (is_other_day or is_early or is_late)


def _instrument_of(text: str) -> InstrumentId:
    try:
        return InstrumentId.from_text(text.strip())
    except ValueError as error:
        raise ConfigError(f"ticks: {text!r} is no SEGMENT:ID, such as NSE_FNO:49543") from error


def _instrument_for(path: Path) -> InstrumentId:
    sidecar = path.with_name(path.name + ".instrument")
    if sidecar.is_file():
        return _instrument_of(sidecar.read_text(encoding="utf-8"))
    for prefix, instrument_id in KNOWN_PREFIXES.items():
        if path.name.startswith(prefix):
            return instrument_id
    raise ConfigError(
        f"ticks: the instrument of {path.name} is not known; say SEGMENT:ID={path.name}"
    )


def _with_option(source: TickSource, option: str, text: str) -> TickSource:
    name, _, value = option.partition("=")
    try:
        match name:
            case "day":
                return replace(source, day=date.fromisoformat(value))
            case "start":
                return replace(source, start=time.fromisoformat(value))
            case "end":
                return replace(source, end=time.fromisoformat(value))
            case "loop":
                return replace(source, is_loop=True)
    except ValueError as error:
        raise ConfigError(f"ticks: {option!r} of {text!r} is no day or time of day") from error
    raise ConfigError(f"ticks: {text!r} has an unknown option {json.dumps(name)}")
