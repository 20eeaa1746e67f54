"""A script that asked for JSON reads one object, whether its command was carried out or not."""

import json
from typing import Any

import pytest


def error_of(ended: Any) -> dict[str, Any]:
    """Return the error of the one object on standard output."""
    body = json.loads(ended.out)
    assert body["ok"] is False
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "details"}
    return error


def test_a_refusal_of_the_engine_is_passed_on(ask: Any) -> None:
    """Code, message and details are the API's; standard error and the status stay."""
    refused = ask("exit", "trk-none", "--reason", " ", "--json")
    unknown = ask("rules", "trk-none", "{}", "--json")

    assert (refused.status, unknown.status) == (1, 1)
    error = error_of(unknown)
    assert (error["code"], error["details"]) == ("tracker_not_found", {"field": "tracker_id"})
    assert error["message"] == "there is no tracker trk-none"
    assert unknown.err == "squareoff: there is no tracker trk-none (tracker_not_found)\n"
    assert json.loads(refused.out)["success"] is False, "the exit's own result is the one object"


def test_an_engine_that_is_down_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine there is no code of its own."""
    monkeypatch.setenv("SQUAREOFF_API_TOKEN", "some-token-0123456789")
    monkeypatch.setenv("SQUAREOFF_API_PORT", "1")
    refused = run("positions", "--json")

    assert (refused.status, error_of(refused)["code"]) == (1, "engine_away")


def test_settings_at_fault_are_all_told(run: Any, tmp_path: Any) -> None:
    """Each fault is one line of the details."""
    (tmp_path / "squareoff.toml").write_text('mode = "real"\nbogus = 1\n')
    misused = run("status", "--json")

    error = error_of(misused)
    assert (misused.status, error["code"]) == (2, "settings_at_fault")
    assert error["details"]["faults"] == [
        line.removeprefix("squareoff: ") for line in misused.err.splitlines()
    ]


@pytest.mark.parametrize(
    "words", [("kill", "--level", "most", "--json"), ("positions", "--json", "--bogus")]
)
def test_a_wrong_option_is_told(words: tuple[str, ...], run: Any) -> None:
    """What cannot be read is misuse, in JSON as well."""
    misused = run(*words)

    assert (misused.status, error_of(misused)["code"]) == (2, "misused")
    assert words[-1] in error_of(misused)["message"] or "--level" in error_of(misused)["message"]


def test_without_json_standard_output_stays_empty(run: Any) -> None:
    """People read the line on standard error."""
    assert run("kill", "--level", "most").out == ""
    assert run("positions").out == ""
