"""The demo: its recordings, its audit, and two real runs of the whole thing as a process."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from squareoff.cli.demo import register
from squareoff.cli.demo.audit import audit, average_of
from squareoff.cli.demo.evidence import BrokerTrade, Evidence
from squareoff.cli.demo.failure import DemoFailure
from squareoff.cli.demo.picture import save_picture
from squareoff.cli.demo.processes import free_ports
from squareoff.cli.demo.scenario import (
    EQUITY_RECORDING,
    FUTURE_RECORDING,
    KILLED,
    LOST_ANSWER,
    PARTIAL,
    POSITIONS,
    RECORDINGS_FOLDER,
    SLICED,
    DemoPosition,
)
from squareoff.cli.demo.stage import make_fresh
from squareoff.cli.demo.timeline import Moment, tell_story
from squareoff.simulator.replay import parse_tick_source, read_source

RUN_SECONDS_MAX = 280
"""The deadlines inside a run end it sooner; this is for the worst machine."""

TICK = Decimal("0.10")
PRICED = [position for position in POSITIONS if position.fires_at is not None]
MONEY = Decimal("0.01")


# --- The recordings -----------------------------------------------------------------------------


@pytest.mark.parametrize("position", PRICED, ids=lambda position: position.name)
def test_each_price_rule_fires_at_its_known_print(position: DemoPosition) -> None:
    """Walked by hand, the recording fires the rule at the price and place that are written down."""
    seconds, price = _first_firing(position)

    assert price == position.fires_at
    assert seconds == pytest.approx(position.market_seconds, abs=0.1)


def _first_firing(position: DemoPosition) -> tuple[float, Decimal]:
    name = FUTURE_RECORDING if position.holding.exchange_segment == "NSE_FNO" else EQUITY_RECORDING
    recording = read_source(parse_tick_source(str(RECORDINGS_FOLDER / name)), TICK)
    best: Decimal | None = None
    for step, offset_ns in zip(recording.steps, recording.offsets_ns, strict=True):
        if step.last_price is None:
            continue
        gain = (step.last_price - position.entry_price) * position.sign
        best = gain if best is None else max(best, gain)
        if _fires(position, step.last_price, best - gain):
            return offset_ns / 1e9, step.last_price
    raise AssertionError(f"{position.name} never fires")


def _fires(position: DemoPosition, price: Decimal, given_back: Decimal) -> bool:
    rule = position.rules[position.rule]
    if position.rule == "trailing":
        return given_back >= Decimal(rule["points"])
    gain_over_level = (price - Decimal(rule["price"])) * position.sign
    return gain_over_level >= 0 if position.rule == "target" else gain_over_level <= 0


# --- The audit ----------------------------------------------------------------------------------


def test_a_true_story_has_no_difference() -> None:
    """Where engine and broker agree, nothing is reported and everything shown is claimed."""
    result = audit(_evidence(), 2.0)

    assert result.differences == ()
    assert len(result.claims) == 7
    assert all(each.engine_price == each.ledger_price for each in result.positions)


def test_an_average_is_exact_to_eight_decimals() -> None:
    """The demo's own average is quantity-weighted and rounded half even at eight decimals."""
    trades = [_trade(PARTIAL, "1", 1, "100.00"), _trade(PARTIAL, "1", 2, "100.10")]

    assert average_of(trades) == Decimal("100.06666667")
    assert average_of([]) is None


def _wrong_price(evidence: Evidence) -> None:
    evidence.tracker(KILLED)["exit_price"] = "25973.15000001"


def _still_open(evidence: Evidence) -> None:
    evidence.tracker(KILLED)["status"] = "EXITING"


def _wrong_profit(evidence: Evidence) -> None:
    evidence.tracker(KILLED)["realized_pnl"] = "1.00"


def _wrong_rule(evidence: Evidence) -> None:
    evidence.tracker(KILLED)["intent"]["rule"] = "stop_loss"


def _late_fire(evidence: Evidence) -> None:
    evidence.tracker(KILLED)["intent"]["trigger_price"] = "25973.00"


def _over_exit(evidence: Evidence) -> None:
    exit_trade = evidence.exits_of(KILLED)[0]
    evidence.trades.append(replace(exit_trade, quantity=10_000, order_id="stray"))


def _double_fill(evidence: Evidence) -> None:
    evidence.trades.append(evidence.exits_of(KILLED)[0])


def _order_twice(evidence: Evidence) -> None:
    evidence.broker_orders.append(evidence.orders_of(KILLED)[0] | {"order_id": "again"})


def _stranger(evidence: Evidence) -> None:
    order = evidence.orders_of(KILLED)[0]
    evidence.broker_orders.append(order | {"order_id": "other", "correlation_id": "sqx-unknown"})


def _critical_alarm(evidence: Evidence) -> None:
    evidence.alarms.append({"severity": "critical", "message": "over-exit"})


def _no_fault(evidence: Evidence) -> None:
    evidence.faults_fired["held-answer"] = 0


def _no_asking(evidence: Evidence) -> None:
    for fact in evidence.facts(LOST_ANSWER):
        fact["data"]["source"] = "STREAM"


LIES: dict[str, tuple[Callable[[Evidence], None], str]] = {
    "another exit price": (_wrong_price, "exit price 25973.15000001"),
    "still open": (_still_open, "calls it EXITING"),
    "another profit": (_wrong_profit, "P&L 1.00"),
    "another rule": (_wrong_rule, "ended by stop_loss"),
    "another trigger": (_late_fire, "fired at 25973.00"),
    "over-exit": (_over_exit, "crossed zero"),
    "filled twice": (_double_fill, "closed 300 of 150"),
    "sent twice": (_order_twice, "at the broker 2 times"),
    "an order nobody knows": (_stranger, "unknown to the engine"),
    "a critical alarm": (_critical_alarm, "critical alarm: over-exit"),
    "a fault that never was": (_no_fault, "held-answer did not happen"),
    "nobody asked": (_no_asking, "was not asked"),
}


@pytest.mark.parametrize("name", LIES)
def test_every_lie_is_found(name: str) -> None:
    """Whatever differs between the two sides is reported in words, and the demo then fails."""
    tamper, words = LIES[name]
    evidence = _evidence()
    tamper(evidence)

    assert any(words in difference for difference in audit(evidence, 2.0).differences)


def test_the_story_is_told_from_the_trigger_to_the_end() -> None:
    """Lines of engine, broker and demo stand in order of time; what was before or after is out."""
    evidence = _evidence()
    deeds = [Moment(_at(1.5), "demo", "kill"), Moment(_at(99.0), "demo", "too late")]

    story = tell_story(evidence, KILLED, deeds)

    tellers = [moment.teller for moment in story.moments]
    assert tellers == ["market", "engine", "broker", "broker", "demo", "engine", "engine", "engine"]
    assert [round(story.seconds(moment), 1) for moment in story.moments][4:] == [1.5, 2.0, 3.0, 4.0]


# --- Folder and picture -------------------------------------------------------------------------


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Only a folder that the demo made is emptied; any other existing one is refused."""
    own, foreign = tmp_path / "own", tmp_path / "foreign"
    make_fresh(own)
    (own / "old.log").touch()
    foreign.mkdir()
    (foreign / "precious").touch()

    make_fresh(own)
    with pytest.raises(DemoFailure, match="was not made by the demo"):
        make_fresh(foreign)

    assert not (own / "old.log").exists()
    assert (foreign / "precious").exists()


def test_a_failure_is_told_and_ends_with_status_one(tmp_path: Path) -> None:
    """What stops the demo is said in words, without a traceback, and the status is 1."""
    app = typer.Typer()
    register(app)
    (tmp_path / "precious").touch()

    done = CliRunner().invoke(app, ["--folder", str(tmp_path)])

    assert done.exit_code == 1
    assert "The demo failed" in done.output
    assert "was not made by the demo" in " ".join(done.output.split())
    assert (tmp_path / "precious").exists()


def test_the_picture_loads_nothing(tmp_path: Path) -> None:
    """The saved picture holds the text and no address of a font or script."""
    console = Console(record=True, file=StringIO(), width=40)
    console.print("EXITED")

    save_picture(console, tmp_path / "demo.svg")

    text = (tmp_path / "demo.svg").read_text()
    assert "EXITED" in text
    assert "url(http" not in text.replace('"', "")


# --- The whole thing ----------------------------------------------------------------------------


def test_a_port_that_an_engine_comes_back_to_is_never_lent_to_another_program() -> None:
    """It is outside what the system gives for `port 0`, where the wish was taken as without one."""
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = free_ports(taken.getsockname()[1], *[0] * 50)

    assert len(set(ports)) == 51
    assert not set(ports) & set(range(int(lent[0]), int(lent[1]) + 1))


def test_the_demo_runs_and_everything_agrees(tmp_path: Path) -> None:
    """Two real processes, faults and a kill -9: status 0, every claim shown, no process left."""
    folder = tmp_path / "run"

    done = subprocess.run(
        [*_program(), "--speed", "10", "--folder", str(folder)],
        cwd=tmp_path, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 of 11 positions EXITED at the ledger's average price" in done.stdout
    assert "0 over-exits" in done.stdout
    assert "sent as 1800 + 1800 + 75" in done.stdout
    assert "Engine and broker agree on everything" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert done.stderr == ""
    assert (folder / "squareoff.db").is_file()
    assert not [pid for pid in _pids_in(done.stdout) if _is_running(pid)]


def test_an_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends both children and answers with the shell's status for it."""
    with subprocess.Popen(
        [*_program(), "--folder", str(tmp_path / "run")],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        said = _read_until(demo.stdout, "the market opens")
        children = _pids_in(said)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)

    assert demo.returncode == 130
    assert len(children) == 2
    assert not [pid for pid in children if _is_running(pid)]


def _program() -> list[str]:
    """Return the command; Ctrl-C reaches it also where the tests were started in the background,
    whose children inherit that it is ignored."""
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{begin}; from squareoff.cli.main import main; main()"
    return [sys.executable, "-c", program, "demo"]


def _read_until(lines: Iterator[str], words: str) -> str:
    said = ""
    for line in lines:
        said += line
        if words in line:
            return said
    raise AssertionError(f"the demo ended before it said {words!r}: {said}")


def _pids_in(text: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"process (\d+)", text)]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- A small world that agrees with itself -------------------------------------------------------


def _evidence() -> Evidence:
    """Return both sides of a run in which everything went well."""
    found = Evidence(
        tracker_ids={position.name: f"trk-{position.name}" for position in POSITIONS},
        trackers={}, engine_orders=[], alarms=[], journal=[], broker_orders=[], trades=[],
        faults_fired={"lost-answer": 1, "held-answer": 1},
    )  # fmt: skip
    for position in POSITIONS:
        entry = _trade(position, f"app-{position.name}", position.quantity, position.entry_price)
        side = "BUY" if position.side == "LONG" else "SELL"
        found.trades.append(replace(entry, side=side))
    for position in POSITIONS:
        _add_exit(found, position)
    return found


def _add_exit(found: Evidence, position: DemoPosition) -> None:
    tracker_id = found.tracker_ids[position.name]
    price = Decimal("25973.15") if position is KILLED else position.entry_price + 1
    sizes = [1800, 1800, 75] if position is SLICED else [position.quantity]
    for number, size in enumerate(sizes, start=1):
        tag = f"sqx-{position.name}-{number}"
        order = {"order_id": tag, "correlation_id": tag, "quantity": size, "source": "P"}
        order |= {"side": position.exit_side, "created_ns": _at(1.0)}
        found.broker_orders.append(order)
        found.engine_orders.append({"client_order_id": tag, "tracker_id": tracker_id})
        parts = [400, 400, 100] if position is PARTIAL else [size]
        found.trades.extend(_trade(position, tag, part, price) for part in parts)
    profit = (price - position.entry_price) * position.quantity * position.sign
    fired = None if position.fires_at is None else str(position.fires_at)
    found.trackers[tracker_id] = {
        "status": "EXITED",
        "exit_price": str(price),
        "realized_pnl": str(profit.quantize(MONEY)),
        "intent": {"rule": position.rule, "trigger_price": fired},
    }
    found.journal.extend(_facts(tracker_id, fired))


def _facts(tracker_id: str, fired: str | None) -> list[dict[str, Any]]:
    trigger = {"price": fired, "received_time": _iso(0.0)}
    reported = {"source": "LOOKUP", "status": "TRADED", "cumulative_quantity": 1}
    exited = {"exit_price": "1.00", "realized_pnl": "1.00"}
    facts = [
        ("exit_claimed", 0.0, {"trigger": trigger, "reason": "a rule"}),
        ("order_outcome_lost", 2.0, {"text": "no answer", "source": ""}),
        ("order_reported", 3.0, reported | {"average_price": None}),
        ("position_exited", 4.0, exited),
    ]
    return [
        {"kind": kind, "time": _iso(seconds), "tracker_id": tracker_id, "data": data}
        for kind, seconds, data in facts
    ]


def _trade(
    position: DemoPosition, order_id: str, quantity: int, price: Decimal | str
) -> BrokerTrade:
    holding = position.holding
    key = (holding.exchange_segment, holding.security_id, holding.product_type)
    return BrokerTrade(order_id, key, position.exit_side, quantity, Decimal(price), _at(1.0))


def _at(seconds: float) -> int:
    return round((1_767_000_000 + seconds) * 1e9)


def _iso(seconds: float) -> str:
    return f"2025-12-29T14:50:{seconds:09.6f}+05:30"
