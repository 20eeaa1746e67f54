"""`squareoff bench` runs the real thing and reports its figures; how fast it is, is not tested."""

import asyncio
import json
import subprocess

import pytest

from squareoff.cli.bench import mass_fire, start_up, ticks
from squareoff.cli.bench.percentiles import percentile
from squareoff.cli.bench.tick_floor import count_crossed, count_crossed_in_batches
from squareoff.cli.bench.tick_stage import FIRST_SECURITY_ID, walk
from squareoff.cli.demo.processes import program


def test_the_exit_benchmark_times_real_exits() -> None:
    """Engine, simulator and floor run, and the ratios are those of the figures beside them."""
    done = subprocess.run(
        [*program(), "bench", "exit", "--samples", "20", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    figures = json.loads(done.stdout)

    assert figures["samples"] == 20
    for name in ("p50", "p99"):
        floor = figures[f"floor_{name}_seconds"]
        assert floor > 0
        assert figures[f"{name}_ratio"] == pytest.approx(figures[f"{name}_seconds"] / floor)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.99, 4), (0.01, 1), (1.0, 4)])
def test_percentiles_are_of_the_sample_itself(share: float, expected: int) -> None:
    """Nearest rank: always a value that was measured."""
    assert percentile([4, 1, 3, 2], share) == expected


def test_the_tick_benchmark_plays_every_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each configuration gives its rows, and each ratio is that of the figures beside it."""
    monkeypatch.setattr(ticks, "CONFIGURATIONS", ((1, 1), (40, 5)))
    monkeypatch.setattr(ticks, "JUDGED", ((40, 5),))
    monkeypatch.setattr(ticks, "RALLY_POSITIONS", 30)
    monkeypatch.setattr(ticks, "ADDED", ((40, 5),))
    monkeypatch.setattr(ticks, "FIRED", (30,))
    ticks.run(ticks.Size(packets=2_000, runs=2), as_json=True)
    rows = json.loads(capsys.readouterr().out)

    assert [(row["positions"], row["instruments"], row["mode"]) for row in rows] == [
        (1, 1, "packet"), (1, 1, "batch"), (40, 5, "packet"), (40, 5, "batch"),
        (40, 5, "account"), (30, 1, "new_high"), (40, 5, "add"), (30, 1, "fire"),
    ]  # fmt: skip
    for row in rows[:6]:
        ratio = row["ticks_per_second"] / row["floor_ticks_per_second"]
        assert row["ratio"] == pytest.approx(ratio, rel=1e-3)
        assert row["ticks_per_second_min"] <= row["ticks_per_second"]
    assert all(row["bytes_per_position"] > 0 for row in rows[:4])
    assert all(row["seconds"] > 0 for row in rows[6:])


def test_the_tick_benchmark_is_shown_to_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json the rows stand in a table."""
    monkeypatch.setattr(ticks, "measure", lambda size: [ticks.Row(7, 1, "fire", seconds=0.5)])
    ticks.run(ticks.Size(packets=1, runs=1), as_json=False)

    assert "fire" in capsys.readouterr().out


def test_the_start_benchmark_watches_every_position(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Engines are started on real files, in this process and as one of their own."""
    monkeypatch.setattr(start_up, "CONFIGURATIONS", ((12, 3),))
    monkeypatch.setattr(start_up, "run_until_told", asyncio.run)
    start_up.run(1, as_json=True)
    shown = capsys.readouterr().out
    (row,) = json.loads(shown[shown.index("[\n") :])

    assert (row["positions"], row["instruments"]) == (12, 3)
    assert row["load_seconds"] > 0
    assert 0 < row["watching_seconds_min"] <= row["watching_seconds"]
    assert row["process_seconds"] > 0


def test_the_fire_benchmark_times_every_position(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One tick fires them all over real sockets; each step comes after the one before it."""
    monkeypatch.setattr(mass_fire, "FIRED", (7,))
    monkeypatch.setattr(mass_fire, "run_until_told", asyncio.run)
    mass_fire.run(1, as_json=True)
    shown = capsys.readouterr().out
    (row,) = json.loads(shown[shown.index("[\n") :])

    assert row["positions"] == 7
    assert 0 < row["first_byte_seconds"] <= row["last_byte_seconds"] < row["booked_seconds"]
    assert 0 < row["claims_seconds"] < row["booked_seconds"]
    assert row["next_exit_seconds"] > 0


@pytest.mark.parametrize("at", [900.0, 1_000.0, 1_100.0])
def test_both_floors_count_the_same(at: float) -> None:
    """The bare loop and the bare columns see the same packets beyond a level."""
    packets = walk(3_000, 7, second=1)
    levels = {FIRST_SECURITY_ID + number: (at, at + 0.5) for number in range(7)}

    one_by_one = count_crossed(packets, levels)
    assert one_by_one == count_crossed_in_batches([b"".join(packets)], levels)
    assert one_by_one > 0


def test_the_flood_benchmark_floods_and_still_closes_and_halts() -> None:
    """Both sides have exits and halts, and the callers were answered in every way."""
    done = subprocess.run(
        [*program(), "bench", "flood", "--seconds", "2", "--calls", "800", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    figures = json.loads(done.stdout)

    assert min(figures[f"{side}_{what}"] for side in ("calm", "flood")
               for what in ("exits", "halts")) > 0  # fmt: skip
    assert {"200", "401", "429"} <= set(figures["answers"])
    for name in ("p50", "p99"):
        ratio = figures[f"flood_{name}_seconds"] / figures[f"calm_{name}_seconds"]
        assert figures[f"{name}_ratio"] == pytest.approx(ratio)
