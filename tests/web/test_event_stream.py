"""The live stream: prices, levels and status beside the journal, and what it does without it."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest

from api_rig import TOKEN, ApiRig
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.errors import StoreUnavailable

Events = Iterator[tuple[str, dict[str, Any]]]


@contextmanager
def live_stream(rig: ApiRig, after: int) -> Iterator[Events]:
    """Open the live stream and give its events by name, `fact` for those of the journal."""
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": str(after)}
    connection.request("GET", "/api/v1/events?live=true", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    try:
        yield _events(answer)
    finally:
        connection.close()


def _events(answer: http.client.HTTPResponse) -> Events:
    name = "fact"
    while line := answer.readline().decode():
        if line.startswith("event: "):
            name = line[7:].strip()
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
            name = "fact"


def first_with(events: Events, part: str) -> dict[str, Any]:
    """Return the first live event with this part."""
    return next(data for name, data in events if name == "live" and part in data)


def test_it_begins_with_everything_that_is_live(rig: ApiRig) -> None:
    """Prices and levels of what is under watch, the engine's status, and its clock."""
    mine = rig.track(rules={"stop_loss": {"points": "10"}, "target": {"points": "20"}})
    with live_stream(rig, rig.journal_head()) as events:
        live = first_with(events, "status")

    (levels,) = [each for each in live["levels"] if each["tracker_id"] == mine]
    assert levels == {
        "tracker_id": mine, "stop_level": "140.00", "stop_rule": "stop_loss",
        "target_level": "170.00",
    }  # fmt: skip
    assert live["prices"][0]["security_id"] == "49081"
    assert live["status"]["mode"] == "paper"
    assert live["time"].endswith("+05:30")
    assert (live["is_behind"], live["head"]) == (False, rig.journal_head())


def test_a_new_price_is_told_once(rig: ApiRig) -> None:
    """The stream tells a price when it changes; a status follows within the second without it."""
    rig.track()
    with live_stream(rig, rig.journal_head()) as events:
        first_with(events, "prices")
        rig.tick("153.45")
        told = first_with(events, "prices")
        later = first_with(events, "status")

    assert [each["last_traded_price"] for each in told["prices"]] == ["153.45"]
    assert "prices" not in later
    rig.tick("152.35")


def test_a_position_and_the_stream_tell_one_time_of_a_price(rig: ApiRig) -> None:
    """`last_price_at` of a position is the stream's `received_at`, which its age counts from."""
    mine = rig.track()
    with live_stream(rig, rig.journal_head()) as events:
        (told,) = first_with(events, "prices")["prices"]
    shown = rig.get(f"/trackers/{mine}").json

    assert shown["last_traded_price"] == told["last_traded_price"]
    assert shown["last_price_at"] == told["received_at"]
    assert shown["last_price_at"].endswith("+05:30")


def test_facts_keep_their_numbers(rig: ApiRig) -> None:
    """The journal's part of the stream is the journal, from the asked number on."""
    head = rig.journal_head()
    mine = rig.track()
    with live_stream(rig, head) as events:
        asked, opened = islice((data for name, data in events if name == "fact"), 2)

    assert (asked["seq"], asked["kind"]) == (head + 1, "command_asked")
    assert (opened["seq"], opened["tracker_id"]) == (head + 2, mine)
    assert opened["text"].startswith("watches LONG 75")


def test_without_the_database_it_goes_on_and_says_so(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that cannot be read leaves the stream behind; nothing is skipped once it can."""

    async def away(**_: object) -> tuple[JournalEntry, ...]:
        raise StoreUnavailable("the disk is full")

    head = rig.journal_head()
    with live_stream(rig, head) as events:
        assert first_with(events, "status")["is_behind"] is False
        with monkeypatch.context() as patch:
            patch.setattr(rig.engine.desk, "journal", away)
            mine = rig.track()
            assert next(d for n, d in events if n == "live" and d["is_behind"])["head"] == head
        fact = next(data for name, data in events if name == "fact")

    assert fact["seq"] == head + 1
    assert mine in {each["tracker_id"] for each in rig.get(f"/journal?after={head}").json["items"]}
