"""Alerts through Apprise, sent to a small HTTP server of the test's own."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from async_body import run_async
from squareoff.adapters.alerts import ALARMS_WAITING_MAX, AlertPace, AppriseAlerts
from squareoff.core.state.facts import Severity
from squareoff.domain.errors import ConfigError

SECRET = "canary-secret-5c2e"
FAST = AlertPace(interval_seconds=0.05, close_seconds=5.0)
SLOW = AlertPace(interval_seconds=60.0, close_seconds=5.0)
WAIT_SECONDS_MAX = 10.0


class Inbox:
    """Takes what Apprise posts; answers with the status it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.request_count = 0
        self.status = 200
        self.changed = threading.Condition()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"json://user:{SECRET}@127.0.0.1:{self.port}/"

    def wait_for(self, message_count: int) -> None:
        with self.changed:
            arrived = self.changed.wait_for(
                lambda: len(self.messages) >= message_count, WAIT_SECONDS_MAX
            )
        assert arrived, f"{len(self.messages)} of {message_count} messages came"

    def wait_for_requests(self, request_count: int) -> None:
        with self.changed:
            arrived = self.changed.wait_for(
                lambda: self.request_count >= request_count, WAIT_SECONDS_MAX
            )
        assert arrived, f"{self.request_count} of {request_count} requests came"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """Give a running inbox on a free loopback port."""
    box = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with box.changed:
                box.request_count += 1
                box.changed.notify_all()
            box.may_answer.wait(WAIT_SECONDS_MAX)
            with box.changed:
                if box.status == 200:
                    box.messages.append(body)
                box.changed.notify_all()
            self.send_response(box.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield box
    box.may_answer.set()
    server.shutdown()
    server.server_close()
    thread.join(WAIT_SECONDS_MAX)


def test_the_first_alarm_goes_out_at_once(inbox: Inbox) -> None:
    """An alarm after a quiet time is sent without waiting for others, with its kind."""
    alerts = AppriseAlerts([inbox.url], SLOW)
    alerts.notify(Severity.CRITICAL, "over_exit", "NIFTY closed 150 of 75")
    inbox.wait_for(1)
    run_async(alerts.close())

    [message] = inbox.messages
    assert message["title"] == "squareoff: CRITICAL"
    assert message["message"] == "over_exit: NIFTY closed 150 of 75"
    assert message["type"] == "failure"


def test_a_storm_becomes_one_message(inbox: Inbox) -> None:
    """Alarms of one interval go out together: critical first, repeats and the rest counted."""
    inbox.may_answer.clear()
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.notify(Severity.WARNING, "first", "goes alone")
    inbox.wait_for_requests(1)
    for number in range(30):
        alerts.notify(Severity.WARNING, "exit_blocked", f"position {number}")
    for _ in range(5):
        alerts.notify(Severity.CRITICAL, "store_down", "the database is away")
    inbox.may_answer.set()
    inbox.wait_for(2)
    run_async(alerts.close())

    lines = inbox.messages[1]["message"].splitlines()
    assert lines[0] == "store_down (5 times): the database is away"
    assert len(lines) == 21
    assert lines[-1].startswith("and 11 more")
    assert inbox.messages[1]["title"] == "squareoff: CRITICAL"


def test_notify_never_waits_for_the_network(inbox: Inbox) -> None:
    """While the channel hangs, alarms are taken at once; beyond the queue they are counted."""
    inbox.may_answer.clear()
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.notify(Severity.WARNING, "first", "hangs")
    inbox.wait_for_requests(1)
    started = time.monotonic()
    for _ in range(ALARMS_WAITING_MAX + 7):
        alerts.notify(Severity.WARNING, "storm", "again")
    elapsed = time.monotonic() - started
    inbox.may_answer.set()
    inbox.wait_for(2)
    run_async(alerts.close())

    assert elapsed < 1.0
    assert f"storm ({ALARMS_WAITING_MAX} times)" in inbox.messages[1]["message"]
    assert "and 7 more" in inbox.messages[1]["message"]


def test_a_message_that_failed_is_sent_again(inbox: Inbox) -> None:
    """A channel that was away gets the message when it is back."""
    inbox.status = 500
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.notify(Severity.WARNING, "token", "ends in 30 minutes")
    inbox.wait_for_requests(1)
    inbox.status = 200
    inbox.wait_for(1)
    run_async(alerts.close())

    assert inbox.messages[0]["message"] == "token: ends in 30 minutes"


def test_a_message_is_given_up_after_three_tries(inbox: Inbox) -> None:
    """A warning is tried three times; then the next message has its turn, and counts it."""
    inbox.status = 500
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.notify(Severity.WARNING, "lost", "never arrives")
    alerts.notify(Severity.WARNING, "lost", "nor this")
    inbox.wait_for_requests(3)
    alerts.notify(Severity.CRITICAL, "next", "arrives")
    inbox.wait_for_requests(10)
    inbox.status = 200
    inbox.wait_for(1)
    run_async(alerts.close())

    [message] = inbox.messages
    assert message["message"].splitlines() == [
        "next: arrives",
        "2 alarms before could not be sent: see `squareoff alarms`",
    ]


def test_what_weighs_is_tried_for_longer(inbox: Inbox) -> None:
    """A critical alarm and the summary of the day outlive an outage that costs warnings."""
    inbox.status = 500
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.notify(Severity.CRITICAL, "over_exit", "sold twice")
    alerts.tell("the day", "Exits: 3")
    inbox.wait_for_requests(8)
    inbox.status = 200
    inbox.wait_for(2)
    run_async(alerts.close())

    bodies = sorted(message["message"] for message in inbox.messages)
    assert bodies == ["Exits: 3", "over_exit: sold twice"]


def test_one_dead_channel_keeps_nothing_from_the_others(inbox: Inbox) -> None:
    """An address that nobody listens at does not stop the alarm at the other address."""
    alerts = AppriseAlerts([f"json://{SECRET}@127.0.0.1:1/", inbox.url], SLOW)
    alerts.notify(Severity.WARNING, "code", "text")
    inbox.wait_for(1)
    run_async(alerts.close())

    assert len(inbox.messages) == 1


def test_closing_sends_what_waits(inbox: Inbox) -> None:
    """What came during the pause between two messages is sent before the end; later alarms not."""
    alerts = AppriseAlerts([inbox.url], SLOW)
    alerts.notify(Severity.WARNING, "first", "at once")
    inbox.wait_for(1)
    alerts.notify(Severity.WARNING, "second", "waits")
    run_async(alerts.close())
    alerts.notify(Severity.WARNING, "third", "too late")
    run_async(alerts.close())

    assert [message["message"] for message in inbox.messages] == [
        "first: at once",
        "second: waits",
    ]


def test_without_addresses_nothing_runs() -> None:
    """No address means no thread, and alarms are a matter of the log."""
    alerts = AppriseAlerts([])
    alerts.notify(Severity.CRITICAL, "code", "text")
    run_async(alerts.close())

    assert not any(thread.name == "alerts" for thread in threading.enumerate())


@pytest.mark.parametrize("url", [f"nosuch://{SECRET}", f"tgram://{SECRET}", SECRET, ""])
def test_a_bad_address_stops_the_start_without_its_secret(url: str) -> None:
    """An address that Apprise cannot read is named by its place only."""
    with pytest.raises(ConfigError, match="address 2") as refused:
        AppriseAlerts([f"json://{SECRET}@127.0.0.1:1/", url])

    assert SECRET not in str(refused.value)


def test_no_secret_reaches_the_log(
    inbox: Inbox, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even with every logger at DEBUG and a failing channel does an address appear (I11)."""
    caplog.set_level(logging.DEBUG)
    inbox.status = 403
    alerts = AppriseAlerts([inbox.url, f"json://{SECRET}@127.0.0.1:1/{SECRET}"], FAST)
    alerts.notify(Severity.WARNING, "code", "text")
    inbox.wait_for_requests(3)
    run_async(alerts.close())

    captured = capfd.readouterr()
    assert SECRET not in caplog.text + captured.out + captured.err + repr(alerts._channels)


def test_a_message_that_is_no_alarm_goes_as_it_is(inbox: Inbox) -> None:
    """With its own title, beside the alarms and not among their lines."""
    alerts = AppriseAlerts([inbox.url], FAST)
    alerts.tell("the day", "Exits: none.")
    alerts.notify(Severity.WARNING, "code", "text")
    inbox.wait_for(2)
    run_async(alerts.close())
    told = {message["title"]: message for message in inbox.messages}

    assert told["the day"]["message"] == "Exits: none."
    assert told["the day"]["type"] == "info"
    assert told["squareoff: warning"]["message"] == "code: text"
