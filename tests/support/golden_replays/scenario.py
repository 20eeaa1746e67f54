"""Golden replays: what a file of tests/golden/replays holds, played by the engine, and plainly.

A file has `about`, `sources` (below tests/data/recorded, as `squareoff replay` takes them),
`positions` (its --positions) and `exits`: what became of each position.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from golden_replays.plain_rules import Fired, first_to_fire
from golden_replays.recorded_prints import INDIA, prints_of
from squareoff.adapters.calendar import ExchangeCalendar
from squareoff.assembly import EngineSettings
from squareoff.cli.replay_program import planned_positions, read_positions
from squareoff.domain.ids import AccountId
from squareoff.simulator.feed_replay.replay_report import report_as_json
from squareoff.simulator.feed_replay.replaying import ReplaySettings, replay
from squareoff.simulator.feed_replay.sources import ReplaySources

TESTS_FOLDER = Path(__file__).resolve().parents[2]
GOLDEN_FOLDER = TESTS_FOLDER / "golden" / "replays"
RECORDED_FOLDER = TESTS_FOLDER / "data" / "recorded"
KEPT = (
    "id", "status", "rule", "level", "price", "exchange_time", "claimed_at", "exit_price",
    "realized_pnl", "stop_moves", "last_stop",
)  # fmt: skip

Scenario = Mapping[str, Any]
Row = Mapping[str, Any]


def scenario_names() -> list[str]:
    """Return the names of all golden replays."""
    return sorted(path.stem for path in GOLDEN_FOLDER.glob("*.json"))


def load_scenario(name: str) -> dict[str, Any]:
    """Return one golden replay."""
    found: dict[str, Any] = json.loads((GOLDEN_FOLDER / f"{name}.json").read_text())
    return found


def replayed(scenario: Scenario) -> list[dict[str, Any]]:
    """Return the exits that the engine makes of it."""
    asked = read_positions(scenario["positions"])
    sources = [_placed(source) for source in scenario["sources"]]
    playing = ReplaySources(sources, [each.as_asked() for each in asked])
    settings = ReplaySettings(
        engine=EngineSettings(AccountId("PAPER"), "paper"),
        calendar=ExchangeCalendar(),
        pause=_no_pause,
    )
    planned = planned_positions(asked, playing.begin_ns())
    report = replay(playing.timed_records(), playing.instruments, planned, settings)
    return [{name: row[name] for name in KEPT} for row in report_as_json(report)["positions"]]


def differences(scenario: Scenario, exits: Sequence[Row]) -> list[str]:
    """Return where exits are not what the plain evaluator says, one line each."""
    found: list[str] = []
    for position, row in zip(scenario["positions"], exits, strict=True):
        fired = _plainly(scenario, position)
        wrong = _differences(fired, row)
        found.extend(f"{row['id']}: {line}" for line in wrong)
    return found


def _plainly(scenario: Scenario, position: Row) -> Fired | None:
    name = f"{position['exchange_segment']}:{position['security_id']}"
    source = next(each for each in scenario["sources"] if each.startswith(f"{name}="))
    file_name, _, option = source.partition("=")[2].partition("#day=")
    tick = Fraction(position["tick_size"])
    prints = prints_of(RECORDED_FOLDER / file_name, tick, option or None)
    first = prints[0].received
    clock = position.get("opened_at")
    opened = first - timedelta(seconds=5)  # held from before the first price
    if clock is not None:
        opened = datetime.fromisoformat(f"{first.date()}T{clock}").replace(tzinfo=INDIA)
    return first_to_fire(position, opened, prints)


def _differences(fired: Fired | None, row: Row) -> list[str]:
    if fired is None:
        return [] if row["rule"] is None else [f"nothing fires, the engine says {row['rule']}"]
    expected: dict[str, object] = {"rule": fired.rule, "status": "EXITED"}
    if fired.print is not None:
        expected["exchange_time"] = fired.print.traded
        expected["claimed_at"] = fired.print.received
        expected["level"], expected["price"] = fired.level, fired.print.price
    wrong = [
        f"{name} is {value}, the engine says {row[name]}"
        for name, value in expected.items()
        if _read(name, row[name]) != value
    ]
    if fired.due is not None and row["claimed_at"] is not None:
        late = datetime.fromisoformat(row["claimed_at"]) - fired.due
        if not timedelta(0) <= late <= timedelta(seconds=1):
            wrong.append(f"due at {fired.due}, claimed at {row['claimed_at']}")
    return wrong


def _read(name: str, text: str | None) -> object:
    if text is None or name in ("rule", "status"):
        return text
    return Fraction(text) if name in ("level", "price") else datetime.fromisoformat(text)


def _placed(source: str) -> str:
    name, _, rest = source.partition("=")
    return f"{name}={RECORDED_FOLDER / rest}"


def _no_pause(seconds: float) -> None:
    raise AssertionError("a replay as fast as it goes waits for nothing")
