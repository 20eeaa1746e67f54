"""Alarms to people through Apprise: Telegram, Slack, e-mail and a hundred others.

A thread of its own sends, because Apprise blocks. The first alarm goes out at once; those of the
next seconds go out together, repeats counted, so that a storm of alarms is a few messages.

Invariants:
1. `notify` takes microseconds, never waits for the network and never raises.
2. Addresses hold secrets: only their scheme is ever named. The loggers of Apprise and of the HTTP
   library below it, which write addresses, are silenced.
3. An alarm that is dropped or cannot be sent is counted, and the channel's next message says how
   many were. Critical ones, and messages that are no alarms, are tried for an hour.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import apprise
import structlog

from squareoff.core.state.facts import Severity
from squareoff.domain.errors import ConfigError, InvariantBroken

_log = structlog.get_logger("squareoff.alerts")

ALARMS_WAITING_MAX = 1_000
"""One alarm per position of a large account; beyond, they are the same story."""

MESSAGES_WAITING_MAX = 10
"""Messages that are no alarms come once a day."""

LINES_MAX = 20
"""Distinct alarms in one message; people read no more."""

BODY_LENGTH_MAX = 3_800
"""Telegram takes 4,096 characters, title and markup included."""

ATTEMPTS_MAX = 3
"""Tries of one warning at one channel, an interval apart; then it is given up and counted."""

ATTEMPTS_MAX_OF_WEIGHT = 720
"""Tries of a message that is critical or no alarm: an hour at the usual interval. A line that is
away for some minutes loses neither what needs a person nor the summary of the day."""

_TITLES = {Severity.CRITICAL: "squareoff: CRITICAL", Severity.WARNING: "squareoff: warning"}
_KINDS = {
    Severity.CRITICAL: apprise.NotifyType.FAILURE,
    Severity.WARNING: apprise.NotifyType.WARNING,
}
_LOGGERS_WITH_ADDRESSES = ("apprise", "urllib3", "requests")


@dataclass(frozen=True, slots=True)
class AlertPace:
    """`interval_seconds` lies between two messages; `close_seconds` is what closing may take."""

    interval_seconds: float = 5.0
    close_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class _Message:
    title: str
    kind: apprise.NotifyType
    body: str
    alarm_count: int = 0

    @property
    def attempts_max(self) -> int:
        """How often a channel is tried."""
        is_warning = self.kind is apprise.NotifyType.WARNING
        return ATTEMPTS_MAX if is_warning else ATTEMPTS_MAX_OF_WEIGHT


@dataclass(slots=True)
class _Unsent:
    message: _Message
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Alarm:
    severity: Severity
    code: str
    message: str


@dataclass(slots=True)
class _Channel:
    """One address and the messages that it has not taken yet; its repr holds no address."""

    scheme: str
    sender: apprise.Apprise = field(repr=False)
    unsent: list[_Unsent] = field(default_factory=list)
    lost_count: int = 0
    """Alarms given up since the last message that it took."""


class AppriseAlerts:
    """Fulfils `ports.Alerts`. Starts its thread; `close` ends it.

    Args:
        urls: Apprise addresses, secrets included; none makes every alarm a matter of the log.
        pace: how often messages go out.

    Raises:
        ConfigError: Apprise cannot read an address; it is named by its place and scheme.
    """

    def __init__(self, urls: Sequence[str], pace: AlertPace | None = None) -> None:
        for name in _LOGGERS_WITH_ADDRESSES:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._pace = pace or AlertPace()
        self._channels = [_channel(place, url) for place, url in enumerate(urls, start=1)]
        self._alarms: deque[_Alarm] = deque()
        self._told: deque[_Message] = deque(maxlen=MESSAGES_WAITING_MAX)
        self._dropped_count = 0
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        if self._channels:
            self._thread.start()

    @staticmethod
    def check(url: str) -> None:
        """Raise ConfigError where Apprise cannot read an address; nothing is sent."""
        _channel(1, url)

    def notify(self, severity: Severity, code: str, message: str) -> None:
        """Hand an alarm over; never waits, never raises. A full queue drops and counts it."""
        if not self._channels or self._closing.is_set():
            return
        with self._lock:
            if len(self._alarms) >= ALARMS_WAITING_MAX:
                self._dropped_count += 1
            else:
                self._alarms.append(_Alarm(severity, code, message))
        self._arrived.set()

    def tell(self, title: str, message: str) -> None:
        """Hand over a message that is no alarm; never waits, never raises."""
        if not self._channels or self._closing.is_set():
            return
        with self._lock:
            self._told.append(_Message(title, apprise.NotifyType.INFO, message[:BODY_LENGTH_MAX]))
        self._arrived.set()

    async def close(self) -> None:
        """Send what waits, within `close_seconds`; the rest is lost with a line in the log."""
        self._closing.set()
        self._arrived.set()
        if not self._thread.is_alive():
            return
        await asyncio.to_thread(self._thread.join, self._pace.close_seconds)
        if self._thread.is_alive():
            _log.warning("alerts_not_sent_before_the_end")

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._arrived.wait(self._retry_seconds())
                self._arrived.clear()
                self._send_waiting()
                self._closing.wait(self._pace.interval_seconds)
            self._send_waiting()
        except Exception as error:  # noqa: BLE001 - the top of the thread: recorded and raised
            # Neither its text nor its traceback is shown: both may hold an address.
            _log.error("alerts_stopped", error=type(error).__name__)
            raise InvariantBroken("the thread that sends alerts has died") from None

    def _retry_seconds(self) -> float | None:
        """Return how long to wait for another alarm: for ever while nothing is left to retry."""
        return 0.0 if any(channel.unsent for channel in self._channels) else None

    def _send_waiting(self) -> None:
        messages = self._take_messages()
        for channel in self._channels:
            channel.unsent.extend(_Unsent(message) for message in messages)
            _deliver(channel)

    def _take_messages(self) -> list[_Message]:
        with self._lock:
            alarms, dropped_count = list(self._alarms), self._dropped_count
            told = list(self._told)
            self._alarms.clear()
            self._told.clear()
            self._dropped_count = 0
        message = _message(alarms, dropped_count)
        return told if message is None else [message, *told]


def _channel(place: int, url: str) -> _Channel:
    scheme = url.partition("://")[0] if "://" in url else "no scheme"
    shown = scheme if scheme.isalnum() else "unreadable"
    # Kept in memory: the default writes caches to disk. No threads of its own: we have one.
    asset = apprise.AppriseAsset(storage_mode="memory", async_mode=False)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        raise ConfigError(f"alerts: address {place} ({shown}) is none that Apprise can read")
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    return _Channel(shown, sender)


def _deliver(channel: _Channel) -> None:
    """Send what a channel has not taken, oldest first, until a try fails."""
    while channel.unsent:
        if _is_sent(channel.sender, _with_lost(channel.unsent[0].message, channel.lost_count)):
            del channel.unsent[0]
            channel.lost_count = 0
            continue
        # The others would fail as well, so it counts as a try of each: no channel piles up.
        for each in channel.unsent:
            each.attempts += 1
        lost = [each for each in channel.unsent if each.attempts >= each.message.attempts_max]
        channel.unsent = [each for each in channel.unsent if each not in lost]
        channel.lost_count += sum(each.message.alarm_count for each in lost)
        if lost:
            _log.error("alert_not_delivered", channel=channel.scheme, messages=len(lost))
        else:
            _log.warning("alert_delayed", channel=channel.scheme)
        return


def _with_lost(message: _Message, lost_count: int) -> _Message:
    if not lost_count:
        return message
    line = f"\n{lost_count} alarms before could not be sent: see `squareoff alarms`"
    return replace(message, body=message.body[: BODY_LENGTH_MAX - len(line)] + line)


def _is_sent(sender: apprise.Apprise, message: _Message) -> bool:
    """Try once. Apprise catches what its plug-ins raise and answers whether it went."""
    answer = sender.notify(
        body=message.body,
        title=message.title,
        notify_type=message.kind,
        body_format=apprise.NotifyFormat.TEXT,
    )
    return bool(answer)


def _message(alarms: Sequence[_Alarm], dropped_count: int) -> _Message | None:
    """Return alarms as one message: critical ones first, repeats as a count; None for nothing."""
    if not alarms and not dropped_count:
        return None
    counts: dict[_Alarm, int] = {}
    for alarm in alarms:
        counts[alarm] = counts.get(alarm, 0) + 1
    ordered = sorted(counts, key=lambda alarm: alarm.severity is not Severity.CRITICAL)
    shown = ordered[:LINES_MAX]
    lines = [_line(alarm, counts[alarm], BODY_LENGTH_MAX // len(shown)) for alarm in shown]
    hidden = sum(counts[alarm] for alarm in ordered[LINES_MAX:]) + dropped_count
    if hidden:
        lines.append(f"and {hidden} more: see the dashboard or `squareoff journal`")
    is_critical = any(alarm.severity is Severity.CRITICAL for alarm in counts)
    severity = Severity.CRITICAL if is_critical else Severity.WARNING
    count = len(alarms) + dropped_count
    return _Message(_TITLES[severity], _KINDS[severity], "\n".join(lines), count)


def _line(alarm: _Alarm, count: int, length_max: int) -> str:
    times = "" if count == 1 else f" ({count} times)"
    text = f"{alarm.code}{times}: {alarm.message}"
    return text if len(text) <= length_max else f"{text[: length_max - 3]}..."
