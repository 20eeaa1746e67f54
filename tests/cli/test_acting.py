"""Commands that change something go through the API; refusals end with 1, misuse with 2."""

import json
from pathlib import Path
from typing import Any

import pytest

from api_rig import ApiRig

TRACK = ("track", "--segment", "NSE_FNO", "--security-id", "49081", "--product", "INTRADAY",
         "--side", "LONG", "--quantity", "75", "--entry-price", "150.00")  # fmt: skip


def test_a_position_is_taken_under_watch(ask: Any, rig: ApiRig) -> None:
    """`track` makes the tracker that the API makes, rules included."""
    made = ask(*TRACK, "--rules", '{"stop_loss": {"points": "10"}}', "--json")
    tracker = json.loads(made.out)

    assert made.status == 0
    assert rig.get(f"/trackers/{tracker['id']}").json["rules"] == {"stop_loss": {"points": "10.00"}}
    assert tracker["id"] not in ask(*TRACK).out


def test_a_key_makes_the_command_repeatable(ask: Any) -> None:
    """The same words with the same key act once."""
    first, again = ask(*TRACK, "--key", "k", "--json"), ask(*TRACK, "--key", "k", "--json")

    assert json.loads(first.out)["id"] == json.loads(again.out)["id"]


def test_rules_come_from_a_file_too(ask: Any, tmp_path: Path, rig: ApiRig) -> None:
    """`@FILE` reads the rules; `rules` replaces them."""
    (tmp_path / "rules.json").write_text('{"target": {"points": "30"}}')
    mine = rig.track()

    assert ask("rules", mine, "@rules.json").status == 0
    assert rig.get(f"/trackers/{mine}").json["rules"] == {"target": {"points": "30.00"}}


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "bad quantity": ((*TRACK[:-4], "--quantity", "80", *TRACK[-2:]), "quantity: must be"),
    "bad price": ((*TRACK, "--entry-price", "0"), "entry_price: must be above zero"),
    "wrong side stop": (
        (*TRACK, "--rules", '{"stop_loss": {"price": "999"}}'),
        "rules.stop_loss.price: is on the wrong side",
    ),
    "blank reason": (("exit", "trk-x", "--reason", " "), "the reason is blank"),
    "unknown position": (("exit", "trk-x", "--reason", "x"), "there is no tracker trk-x"),
    "blank reason for all": (("exit-all", "--reason", ""), "the reason is blank"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line_and_status_one(name: str, ask: Any) -> None:
    """What the engine refuses is told on standard error, in one line."""
    words, start = REFUSED[name]
    refused = ask(*words)

    assert refused.status == 1
    assert refused.err.startswith(f"squareoff: {start}"), refused.err
    assert refused.err.count("\n") == 1
    assert refused.out == ""


MISUSED: dict[str, tuple[str, ...]] = {
    "no reason": ("exit", "trk-x"),
    "no position": ("exit", "--reason", "x"),
    "unknown option": ("exit", "trk-x", "--reason", "x", "--now"),
    "unknown command": ("sell",),
    "quantity as words": (*TRACK, "--quantity", "many"),
    "quantity zero": (*TRACK, "--quantity", "0"),
    "price as words": (*TRACK, "--entry-price", "cheap"),
    "unknown segment": (*TRACK, "--segment", "NSE"),
    "unknown side": (*TRACK, "--side", "UP"),
    "unknown level": ("kill", "--level", "some"),
    "unknown wait": ("exit", "trk-x", "--reason", "x", "--wait", "for-ever"),
    "wait too long": ("exit", "trk-x", "--reason", "x", "--wait-seconds", "99"),
    "rules no JSON": (*TRACK, "--rules", "{"),
    "rules from nowhere": (*TRACK, "--rules", "@nowhere.json"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_misuse_ends_with_status_two(name: str, ask: Any) -> None:
    """A command that cannot be understood says so on standard error and asks nobody."""
    misused = ask(*MISUSED[name])

    assert (misused.status, misused.out) == (2, "")
    assert "Error" in misused.err


def test_an_exit_is_done_once(ask: Any, rig: ApiRig) -> None:
    """The first exit and its repeat both end with 0."""
    mine = rig.track()
    first = ask("exit", mine, "--reason", "done", "--wait", "filled", "--json")
    again = ask("exit", mine, "--reason", "done")

    assert (first.status, json.loads(first.out)["code"]) == (0, "exited")
    assert again.status == 0
    assert "already_exited" in again.out


def test_an_exit_that_is_not_done_yet_is_no_success(ask: Any, rig: ApiRig) -> None:
    """A latched exit that waits ends with 1 and says that it goes on."""
    mine = rig.track()
    words = ("--reason", "x", "--wait", "filled", "--wait-seconds", "0", "--json")
    waiting = ask("exit", mine, *words)

    assert waiting.status == 1
    assert json.loads(waiting.out)["intent_id"] is not None
    assert "goes on by itself" in waiting.err
    rig.post(f"/trackers/{mine}/exit", {"reason": "wait", "wait": "filled"})


def test_a_refused_exit_still_tells_scripts(ask: Any) -> None:
    """With `--json` the result of a refusal is on standard output."""
    refused = ask("exit", "trk-none", "--reason", "x", "--json")

    assert refused.status == 1
    assert json.loads(refused.out)["code"] == "invalid_tracker"


def test_reconcile_tells_differences(ask: Any) -> None:
    """Books that agree are said to agree."""
    assert ask("reconcile").out == "the books agree\n"
    assert json.loads(ask("reconcile", "--json").out) == {"differences": []}


@pytest.mark.parametrize(("word", "status"), [("n\n", 1), ("y\n", 0)])
def test_a_person_is_asked_before_closing(
    word: str, status: int, ask: Any, rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal an exit wants a yes; a no changes nothing."""
    mine = rig.track()
    monkeypatch.setattr("sys.stdin", _Terminal(word))
    ended = ask("exit", mine, "--reason", "x", "--wait", "filled")

    assert ended.status == status
    found = rig.get(f"/trackers/{mine}").json["status"]
    assert found == ("ACTIVE" if status else "EXITED")


class _Terminal:
    """A person's keyboard."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, word: str) -> None:
        self._word = word

    def isatty(self) -> bool:
        """Say yes."""
        return True

    def readline(self, *_: object) -> str:
        """Return what is typed."""
        return self._word
