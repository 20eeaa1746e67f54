"""`squareoff replay` from the outside: the table, and one line for each refusal."""

import json
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded"
DEPTH = f"NSE_FNO:49543={RECORDED / 'nifty-fut-2025-12-29-dhan-full-depth5.csv.gz'}"
UNKNOWN = DEPTH.replace("49543", "777")
POSITION: dict[str, Any] = {
    "id": "one",
    "exchange_segment": "NSE_FNO",
    "security_id": "49543",
    "product_type": "INTRADAY",
    "side": "LONG",
    "quantity": 75,
    "entry_price": "25974.90",
    "rules": {"target": {"price": "25980.00"}},
}


def positions_file(folder: Path, *positions: dict[str, Any]) -> str:
    path = folder / "positions.json"
    path.write_text(json.dumps(positions))
    return str(path)


def test_the_table_shows_what_exits(run: Any, tmp_path: Path) -> None:
    """One row a position, with the rule, its level, the price and the times."""
    done = run("replay", DEPTH, "--positions", positions_file(tmp_path, POSITION))

    assert done.status == 0
    for text in ("one", "target", "25980.00", "2025-12-29T12:47:03", "EXITED"):
        assert text in done.out


REFUSALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such field": (DEPTH, {**POSITION, "stop": 1}, "positions[0].stop: unknown"),
    "a rule that is none": (DEPTH, {**POSITION, "rules": {"stop": 1}}, "positions: rules.stop"),
    "an empty name": (DEPTH, {**POSITION, "id": ""}, "positions[0].id: must have at least 1 char"),
    "no name": (
        DEPTH,
        {name: POSITION[name] for name in POSITION if name != "id"},
        "positions[0].id: is missing",
    ),
    "no time": (DEPTH, {**POSITION, "opened_at": "noon"}, "positions: opened_at must be HH:MM:SS"),
    "unknown terms": (UNKNOWN, POSITION, "replay: NSE_FNO:777 is not known; give lot_size"),
    "no file": ("NSE_FNO:49543=no.csv", POSITION, "ticks: no.csv cannot be read"),
    "no recording": ("no.sqfeed", POSITION, "no.sqfeed: cannot be read: No such file"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_replayed_is_misuse(name: str, run: Any, tmp_path: Path) -> None:
    """The first line says what is wrong, by its place."""
    source, position, text = REFUSALS[name]
    done = run("replay", source, "--positions", positions_file(tmp_path, position))

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"squareoff: {text}")


HELD: dict[str, dict[str, Any]] = {
    "another instrument": {"security_id": "777", "lot_size": 75, "tick_size": "0.05"},
    "another day": {"opened_at": "2025-12-30T09:15:00+05:30"},
}


@pytest.mark.parametrize("name", HELD)
def test_a_position_without_a_price_is_told(name: str, run: Any, tmp_path: Path) -> None:
    """That nothing fired says nothing of its rules, where nothing could."""
    position = {**POSITION, "entry_price": "25970", **HELD[name]}
    file = positions_file(tmp_path, position, {**POSITION, "id": "other"})
    shown, told = (
        run("replay", DEPTH, "--positions", file),
        run("replay", DEPTH, "--positions", file, "--json"),
    )

    assert shown.status == 0
    assert shown.err.startswith("one: no price of NSE_FNO:")
    assert shown.err.count("\n") == 1
    assert [row["was_priced"] for row in json.loads(told.out)["positions"]] == [False, True]


def test_two_positions_of_one_name_are_misuse(run: Any, tmp_path: Path) -> None:
    """The report could not tell them apart; a list is asked for where there is none."""
    done = run("replay", DEPTH, "--positions", positions_file(tmp_path, POSITION, POSITION))
    (tmp_path / "one.json").write_text(json.dumps(POSITION))
    no_list = run("replay", DEPTH, "--positions", "one.json")

    assert (done.status, no_list.status) == (2, 2)
    assert done.err == "squareoff: positions: each needs an id of its own, and one is there twice\n"
    assert no_list.err == "squareoff: positions: must be a list\n"


def test_both_kinds_of_sources_are_misuse(run: Any, tmp_path: Path) -> None:
    """Receipts of two kinds are not mixed."""
    file = positions_file(tmp_path, POSITION)
    done = run("replay", DEPTH, "a.sqfeed", "--positions", file)

    assert done.status == 2
    assert "not both" in done.err


def test_no_positions_is_misuse(run: Any, tmp_path: Path) -> None:
    """A replay without a position has nothing to say."""
    done = run("replay", DEPTH, "--positions", positions_file(tmp_path))

    assert done.status == 2
    assert "at least one" in done.err


def test_a_position_that_cannot_be_held_is_refused(run: Any, tmp_path: Path) -> None:
    """The engine's own refusal is told."""
    odd = {**POSITION, "quantity": 76}
    done = run("replay", DEPTH, "--positions", positions_file(tmp_path, odd))

    assert done.status == 1
    assert "multiple of the lot size" in done.err
