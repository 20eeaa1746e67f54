"""The program behind `squareoff replay`: positions from a file, a feed from others, a table out."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from squareoff.adapters.system import pause
from squareoff.bootstrap import PAPER_ACCOUNT, calendar_of, engine_settings
from squareoff.cli.logs import configure_logs
from squareoff.cli.output import Column, print_json, print_table, table_of
from squareoff.config import Settings
from squareoff.config.fault_texts import fault_text, path_text
from squareoff.domain.errors import ConfigError
from squareoff.domain.ids import TrackerId
from squareoff.domain.rule_parsing import InvalidRules
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND, ns_from_datetime, ns_from_iso
from squareoff.simulator.feed_replay.replay_report import report_as_json
from squareoff.simulator.feed_replay.replaying import PlannedPosition, ReplaySettings, replay
from squareoff.simulator.feed_replay.sources import ReplaySources
from squareoff.web.requests import PositionIn

COLUMNS: Sequence[Column] = (
    ("position", lambda row: row["id"]),
    ("instrument", lambda row: row["instrument"]),
    ("side", lambda row: row["side"]),
    ("open", lambda row: row["quantity"]),
    ("entry", lambda row: row["entry_price"]),
    ("status", lambda row: row["status"]),
    ("rule", lambda row: row["rule"]),
    ("level", lambda row: row["level"]),
    ("price", lambda row: row["price"]),
    ("traded (IST)", lambda row: (row["exchange_time"] or "")[:19]),
    ("claimed (IST)", lambda row: (row["claimed_at"] or "")[:23]),
    ("exit", lambda row: row["exit_price"]),
    ("P&L", lambda row: row["realized_pnl"]),
)


class PositionOfReplay(PositionIn):
    """A position as `POST /trackers` takes it, and when it is taken under watch."""

    id: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$")]
    """Its name in the report."""
    opened_at: str | None = None
    """`HH:MM[:SS[.ffffff]]` of the recording's first day, IST, or ISO 8601 with offset; without it
    the position is held from before the first record."""


_POSITIONS = TypeAdapter(list[PositionOfReplay])


def run(
    settings: Settings,
    sources: Sequence[str],
    positions: Path,
    speed: float | None,
    *,
    as_json: bool,
) -> None:
    """Replay and print what became of each position.

    Raises:
        ConfigError: a file cannot be read.
        DomainError: a position cannot be taken under watch.
    """
    configure_logs(level=logging.ERROR)  # the engine's story of another day, at today's times
    asked = _read_positions(positions)
    playing = ReplaySources(sources, [each.as_asked() for each in asked])
    planned = planned_positions(asked, playing.begin_ns())
    engine = replace(engine_settings(settings), account_id=PAPER_ACCOUNT, mode="paper")
    chosen = ReplaySettings(engine=engine, calendar=calendar_of(settings), pause=pause, speed=speed)
    report = report_as_json(replay(playing.timed_records(), playing.instruments, planned, chosen))
    report["torn"] = {name: torn.why for name, torn in playing.files.torn.items()}
    report["lost_records"] = playing.files.lost_count
    _show(report, as_json=as_json)


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    title = f"{report['frames']} frames, {report['market_seconds']} market seconds"
    print_table(table_of(title, COLUMNS, report["positions"]))
    for cause, count in report["ticks_refused"].items():
        print(f"{count} prices fired nothing: {cause}")
    for row in report["positions"]:
        if not (row["was_priced"] or row["exited_at"]):
            print(
                f"{row['id']}: no price of {row['instrument']} is recorded while it was held, so "
                "nothing could fire",
                file=sys.stderr,
            )
    for name, why in report["torn"].items():
        print(f"{name} is torn and was played up to there: {why}", file=sys.stderr)
    if report["lost_records"]:
        print(f"{report['lost_records']} records were lost while recording", file=sys.stderr)


def read_positions(written: object) -> list[PositionOfReplay]:
    """Read the positions of a replay from what JSON gave.

    Raises:
        ConfigError: one line per fault.
    """
    try:
        found = _POSITIONS.validate_python(written)
        for each in found:
            each.as_asked()
    except ValidationError as error:
        raise ConfigError([_line_of(fault) for fault in error.errors()]) from error
    except InvalidRules as error:
        raise ConfigError(f"positions: {error}") from error
    if not found:
        raise ConfigError("positions: at least one is needed")
    names = Counter(each.id for each in found)
    if len(names) < len(found):
        twice = ", ".join(name for name, count in names.items() if count > 1)
        raise ConfigError(f"positions: each needs an id of its own, and {twice} is there twice")
    return found


def _line_of(fault: Mapping[str, Any]) -> str:
    text = fault_text(fault, show_input=True)
    return f"{path_text(('positions', *fault['loc']))}: {text}"


def planned_positions(asked: Sequence[PositionOfReplay], begin_ns: int) -> list[PlannedPosition]:
    """Return positions with their instants, in a recording that begins at `begin_ns` (UTC)."""
    return [
        PlannedPosition(
            TrackerId(each.id), each.as_asked(), _opened_at_ns(each.opened_at, begin_ns)
        )
        for each in asked
    ]


def _read_positions(path: Path) -> list[PositionOfReplay]:
    try:
        return read_positions(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"positions: {path.name} cannot be read: {error}") from error


def _opened_at_ns(text: str | None, begin_ns: int) -> int | None:
    if text is None:
        return None
    try:
        if "T" in text or " " in text:
            return ns_from_iso(text)
        first_day = datetime.fromtimestamp(begin_ns / NANOSECONDS_PER_SECOND, IST).date()
        return ns_from_datetime(datetime.combine(first_day, time.fromisoformat(text), IST))
    except ValueError as error:
        raise ConfigError(f"positions: opened_at must be HH:MM:SS or ISO 8601: {error}") from error
