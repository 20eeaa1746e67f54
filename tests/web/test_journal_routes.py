"""The journal over HTTP: its pages, and its stream, which loses nothing and repeats nothing."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api_rig import TOKEN, ApiRig


@contextmanager
def stream(rig: ApiRig, query: str = "", **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Open the event stream and give its events as they come, with their id."""
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    sent = {"Authorization": f"Bearer {TOKEN}", **headers}
    connection.request("GET", f"/api/v1/events{query}", headers=sent)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    try:
        yield _events(answer)
    finally:
        connection.close()


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    number: int | None = None
    while line := answer.readline().decode():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            assert event["seq"] == number
            yield event


def until(events: Iterator[dict[str, Any]], kind: str, tracker_id: str) -> list[dict[str, Any]]:
    """Read events up to the first of this kind about this position."""
    found = []
    for event in events:
        found.append(event)
        if (event["kind"], event["tracker_id"]) == (kind, tracker_id):
            return found
    raise AssertionError(f"the stream ended before {kind}")


def test_the_stream_shows_the_journal_as_it_grows(rig: ApiRig) -> None:
    """A fact reaches an open stream with its number as the event's id."""
    with stream(rig) as events:
        mine = rig.track()
        rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
        seen = until(events, "position_exited", mine)

    numbers = [event["seq"] for event in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert "order_sent" in [event["kind"] for event in seen]


def test_a_stream_resumes_after_the_last_event_seen(rig: ApiRig) -> None:
    """`Last-Event-ID` continues right behind it: no gap, no repeat; `after` does the same."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    facts = rig.get(f"/trackers/{mine}/journal").json["items"]
    middle = facts[len(facts) // 2]["seq"]

    with stream(rig, **{"Last-Event-ID": str(middle)}) as events:
        resumed = until(events, "position_exited", mine)
    with stream(rig, f"?after={middle}") as events:
        asked = until(events, "position_exited", mine)

    assert resumed[0]["seq"] == middle + 1
    assert resumed == asked
    assert resumed == rig.get(f"/journal?after={middle}").json["items"][: len(resumed)]


def test_an_empty_last_event_id_is_none(rig: ApiRig) -> None:
    """A client that has seen nothing yet may say so with an empty header: `after` counts."""
    mine = rig.track()
    seq = rig.get(f"/trackers/{mine}/journal").json["items"][0]["seq"]

    with stream(rig, f"?after={seq - 1}", **{"Last-Event-ID": ""}) as events:
        assert next(events)["seq"] == seq


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 17])
def test_a_wrong_last_event_id_is_refused(last: str, rig: ApiRig) -> None:
    """What is no sequence number names the header."""
    answer = rig.get("/events", headers={"Last-Event-ID": last})

    assert (answer.status, answer.error["details"]["field"]) == (422, "Last-Event-ID")


def test_an_open_stream_does_not_hold_up_the_end(rig: ApiRig) -> None:
    """A server that ends cuts its streams."""
    with ApiRig() as own, stream(own) as events:
        own.server.stop()

        assert list(events) == []


def test_the_journal_comes_in_pages(rig: ApiRig) -> None:
    """`next` of a full page is the `after` of the following one, null on the last."""
    rig.track()
    whole = rig.get("/journal").json["items"]
    first = rig.get("/journal?limit=2").json

    assert [fact["seq"] for fact in whole[:2]] == [fact["seq"] for fact in first["items"]]
    assert first["next"] == first["items"][-1]["seq"]
    assert rig.get(f"/journal?after={whole[-1]['seq'] + 1000}").json == {"items": [], "next": None}


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "befor=1"])
def test_a_wrong_page_is_refused(query: str, rig: ApiRig) -> None:
    """Limits and names of the query are checked."""
    answer = rig.get(f"/journal?{query}")

    assert (answer.status, answer.error["details"]["field"]) == (422, query.partition("=")[0])
