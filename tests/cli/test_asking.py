"""Commands that look: tables for people, the API's JSON for scripts, clear refusals."""

import json
import threading
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from api_rig import ApiRig
from squareoff.cli.api_client import CommandRefused
from squareoff.core.state.facts import Severity


def test_positions_are_a_table_or_json(ask: Any, rig: ApiRig) -> None:
    """The same positions, readable or as the API gives them."""
    mine = rig.track()
    shown, told = ask("positions"), ask("positions", "--json")

    assert (shown.status, told.status) == (0, 0)
    assert mine in shown.out
    assert "150.00" in shown.out
    assert mine in [row["id"] for row in json.loads(told.out)["items"]]
    assert shown.err == told.err == ""


def test_positions_can_be_filtered(ask: Any, rig: ApiRig) -> None:
    """`--status` passes through in any case of letters, and a wrong one is misuse."""
    mine = rig.track()

    assert mine not in ask("positions", "--status", "EXITED").out
    assert mine in ask("positions", "--status", "active").out
    misused = ask("positions", "--status", "OPEN")
    assert (misused.status, misused.out) == (2, "")


def test_watching_shows_every_change(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--watch --json` prints a line whenever something changed, until interrupted."""
    mine, looks = rig.track(), iter(range(3))

    def look_on(_event: threading.Event, _seconds: float) -> None:
        turn = next(looks, None)
        if turn == 1:
            rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
        if turn is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("squareoff.cli.asking.WATCH_SECONDS", 0.0)
    monkeypatch.setattr(threading.Event, "wait", look_on)
    watched = ask("positions", "--watch", "--json")
    statuses = [
        {row["id"]: row["status"] for row in json.loads(line)["items"]}[mine]
        for line in watched.out.splitlines()
    ]

    assert (watched.status, watched.err) == (0, "")
    assert statuses[0] == "ACTIVE"
    assert statuses[-1] == "EXITED"
    assert len(statuses) < 5


def test_a_live_table_outlives_the_engine(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer the last rows stay, are called out of date, and Ctrl-C ends with 0."""
    monkeypatch.setenv("COLUMNS", "80")  # of the shell; what is no terminal is as wide as needed
    mine, looks = rig.track(), iter(range(2))

    def look_on(_event: threading.Event, _seconds: float) -> None:
        if next(looks, None) is None:
            raise KeyboardInterrupt
        monkeypatch.setattr(
            "squareoff.cli.api_client.EngineClient.get", lambda *_, **__: _refuse("no answer")
        )

    monkeypatch.setattr(threading.Event, "wait", look_on)
    watched = ask("positions", "--watch")

    assert watched.status == 0
    assert mine in watched.out
    assert "product" in watched.out
    assert "NOT UP TO DATE: no answer" in watched.out


def test_a_low_screen_shows_what_matters(
    ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ended positions fill it, what is open and that it is old are seen all the same."""
    row = rig.get(f"/trackers/{rig.track()}").json
    ended = [row | {"id": f"trk-ended-{number}", "status": "EXITED"} for number in range(40)]
    answers = iter([{"items": [*ended, row], "next": None}])
    looks: list[str] = []
    drawn = StringIO()
    screen = Console(file=drawn, force_terminal=True, width=200, height=20)

    def look_on(_event: threading.Event, _seconds: float) -> None:
        looks.append(drawn.getvalue())
        if len(looks) == 2:
            raise KeyboardInterrupt

    def get(*_: object, **__: object) -> Any:
        return next(answers, None) or _refuse("no answer")

    monkeypatch.setattr(threading.Event, "wait", look_on)
    monkeypatch.setattr("squareoff.cli.api_client.EngineClient.get", get)
    monkeypatch.setattr("squareoff.cli.asking.console", lambda: screen)

    assert ask("positions", "--watch").status == 0
    first, second = looks[0], looks[1].removeprefix(looks[0])
    assert row["id"] in first
    assert row["id"] in second
    assert "NOT UP TO DATE: no answer" in second


def _refuse(text: str) -> Any:
    raise CommandRefused(text)


def test_orders_and_journal_tell_of_an_exit(ask: Any, rig: ApiRig) -> None:
    """After an exit its order and its story can be seen."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})

    assert "FILLED" in ask("orders").out
    assert mine in [row["tracker_id"] for row in json.loads(ask("orders", "--json").out)["items"]]
    story = json.loads(ask("journal", mine, "--json").out)["items"]
    assert story[-1]["kind"] == "position_exited"
    assert "EXITED at" in ask("journal", mine).out


def test_an_unknown_position_is_refused_in_one_line(ask: Any) -> None:
    """Status 1 and one line on standard error, nothing on standard output."""
    refused = ask("journal", "trk-none")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err == "squareoff: there is no tracker trk-none (tracker_not_found)\n"


def test_a_strange_id_stays_one_part_of_the_path(ask: Any) -> None:
    """Slashes and question marks in an id lead nowhere else."""
    refused = ask("journal", "../status?x")

    assert refused.status == 1
    assert "there is no" in refused.err


def test_status_and_metrics(ask: Any) -> None:
    """Both speak to people and to scripts."""
    assert "paper" in ask("status").out
    assert "account.pnl " in ask("status").out
    assert json.loads(ask("status", "--json").out)["mode"] == "paper"
    assert ask("metrics").out.startswith("# HELP squareoff_")
    samples = json.loads(ask("metrics", "--json").out)
    assert {"name", "labels", "value"} == set(samples[0])
    values = {sample["name"]: sample["value"] for sample in samples}
    assert values["squareoff_token_seconds_left"] is None  # NaN is no JSON
    assert "NaN" not in ask("metrics", "--json").out


def test_alarms_are_listed_and_acknowledged(ask: Any, rig: ApiRig) -> None:
    """An alarm is shown; acknowledging one that is not there is refused."""
    alarms = rig.engine.desk._alarms
    rig.run(alarms.raise_alarm(Severity.WARNING, "rehearsal", "look [red]here[/]"))
    alarm = json.loads(ask("alarms", "--json").out)["items"][-1]

    assert "look [red]here[/]" in ask("alarms").out
    seen = ask("alarms", "--acknowledge", str(alarm["id"]), "--json")
    assert json.loads(seen.out)["items"][-1]["acknowledged_at"] is not None
    assert seen.err == f"squareoff: alarm {alarm['id']} is acknowledged\n"
    refused = ask("alarms", "--acknowledge", "999999")
    assert refused.status == 1
    assert "is acknowledged" not in refused.err
