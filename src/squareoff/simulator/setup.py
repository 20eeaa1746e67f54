"""What `squareoff sim` can be told, and the broker that follows from it."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from squareoff.adapters.recordings import Recording
from squareoff.domain.errors import ConfigError
from squareoff.ports import Clock
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import Listing, banded
from squareoff.simulator.conduct import conduct_from_json
from squareoff.simulator.faults import parse_rules
from squareoff.simulator.memory import load_memory
from squareoff.simulator.replay import (
    Replay,
    is_feed_source,
    parse_tick_source,
    read_feed_source,
    read_source,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """What `squareoff sim` can be told. `port` 0 takes a free port, told to `on_ready`."""

    clock: Clock
    host: str = "127.0.0.1"
    port: int = 8800
    state_file: Path | None = None
    ticks: tuple[str, ...] = ()
    speed: float = 1.0
    is_paused: bool = False
    seed: int = 0
    credentials_file: Path | None = None
    conduct: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Mapping[str, Any], ...] = ()
    port_file: Path | None = None
    on_ready: Callable[[int], None] | None = None


def build_broker(options: SimulatorOptions) -> SimulatedBroker:
    """Return the broker these options describe, with its memory and its replay."""
    now_ns = options.clock.now().wall_ns
    broker = SimulatedBroker(
        random.Random(options.seed),
        now_ns,
        conduct=conduct_from_json(dict(options.conduct)),
        credentials=_credentials(options.credentials_file),
        speed=options.speed,
    )
    broker.replay = Replay([each for text in options.ticks for each in _recordings(broker, text)])
    broker.clock.set_paused(options.is_paused, now_ns)
    broker.faults.add(parse_rules([dict(rule) for rule in options.faults]), now_ns)
    if options.state_file is not None and options.state_file.exists():
        try:
            load_memory(broker, json.loads(options.state_file.read_text()), now_ns)
        except (ValueError, KeyError, TypeError) as error:
            name = options.state_file.name
            raise ConfigError(f"state: {name} cannot be used: {error!r}") from error
    return broker


def _recordings(broker: SimulatedBroker, text: str) -> Iterator[Recording]:
    """Read one source; what a recording of the feed holds and is not listed yet is listed."""
    if not is_feed_source(text):
        yield _recording(broker, text)
        return
    for recording, instrument in read_feed_source(text):
        if instrument.instrument_id not in broker.days:
            name, close = instrument.trading_symbol, recording.prices[0]
            broker.list_instrument(Listing(instrument, name, name, close))
        _widen_band(broker, recording)
        yield recording


def _recording(broker: SimulatedBroker, text: str) -> Recording:
    source = parse_tick_source(text)
    day = broker.days.get(source.instrument_id)
    if day is None:
        raise ConfigError(f"ticks: {source.instrument_id} is not listed")
    recording = read_source(source, day.listing.instrument.tick_size)
    _widen_band(broker, recording)
    return recording


def _widen_band(broker: SimulatedBroker, recording: Recording) -> None:
    """Give an instrument whose band does not hold the recording a band that does."""
    day, prices = broker.days[recording.instrument_id], recording.prices
    instrument = day.listing.instrument
    if prices and recording.instrument_id.exchange_segment.is_tradable:
        lowest, highest = instrument.lower_circuit, instrument.upper_circuit
        is_below = lowest is not None and min(prices) < lowest
        if is_below or (highest is not None and max(prices) > highest):
            broker.list_instrument(banded(day.listing, prices[0]))


def _credentials(path: Path | None) -> dict[str, str]:
    """Return token -> client id of a file `[{"client_id": ..., "access_token": ...}, ...]`."""
    if path is None:
        return {}
    try:
        items = json.loads(path.read_text())
        return {item["access_token"]: item["client_id"] for item in items}
    except OSError as error:
        raise ConfigError(f"credentials: {path.name} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):  # what it holds is not repeated, not even behind it
        raise ConfigError(
            f"credentials: {path.name} must hold a JSON list of "
            '{"client_id": "...", "access_token": "..."}'
        ) from None
