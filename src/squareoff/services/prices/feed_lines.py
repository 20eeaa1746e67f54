"""Keep every connection of the market feed up, each by itself.

A connection that ends is opened again after its own growing pause; the others go on. What the
broker says at the end (`core.prices.feed_endings`) may make all of them wait, and a person know.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from squareoff.core.prices.feed_endings import ORDINARY, FeedEnding, ending_of
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import Chance, Clock, FeedConnected, FeedEvent, FeedLine, FeedLost, MarketFeed
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.session.backoff import STANDING_SECONDS, Backoff

_log = structlog.get_logger("squareoff.feed_lines")
_SOCKET = "market_feed"

Publish = Callable[[FeedEvent], None]


class FeedLines:
    """Runs the connections of one feed; `is_connected` is true while all that are needed are up.

    Args:
        lines: the feed's connections; none where it has but that of `run_once`.
    """

    def __init__(
        self,
        feed: MarketFeed,
        lines: Sequence[FeedLine],
        *,
        clock: Clock,
        chance: Chance,
        alarms: AlarmDesk,
        metrics: Metrics,
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._lines = [
            _Line(number, line.run_once, line, Backoff(chance)) for number, line in enumerate(lines)
        ] or [_Line(0, feed.run_once, None, Backoff(chance))]
        self._hold_until_ns = self._token_hold_until_ns = 0
        self._tokens_noted = 0
        self._new_token = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Say whether every connection that is needed is up."""
        return all(line.is_up for line in self._lines if line.is_needed)

    @property
    def up_since_ns(self) -> int | None:
        """Since when (UTC ns) every connection that is needed is up, None while one is not."""
        since = [line.up_since_ns for line in self._lines if line.is_needed]
        return max(since) if self.is_connected else None

    def start(self, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        """Run all connections, for ever."""
        for line in self._lines:
            tasks.create_task(self._run(line, publish, tasks))

    def note_new_token(self) -> None:
        """Another access token is in use: what was refused to the one before holds up no more."""
        self._tokens_noted += 1
        self._token_hold_until_ns = 0
        for line in self._lines:
            if ending_of(line.last_code).is_of_token:
                line.repeats = 0
        self._new_token.set()
        self._new_token = asyncio.Event()

    async def _run(self, line: "_Line", publish: Publish, tasks: asyncio.TaskGroup) -> None:
        def hear(event: FeedEvent) -> None:
            if isinstance(event, FeedConnected):
                self._note_up(line)
                if ending_of(line.last_code).alarm:
                    tasks.create_task(self._clear_once_it_stands(line))
            publish(event)

        while True:
            await self._wait_while_held()
            line.tokens_noted = self._tokens_noted
            try:
                await line.run_once(hear)
            except FeedDisconnected as error:
                publish(FeedLost(line.carried))
                ending = self._ending_of(line, error)
                new_token = self._new_token
                pause = await self._note_end(line, error, ending)
                if ending.is_of_token:
                    await _pause(pause, new_token)
                else:
                    await self._clock.sleep(pause)

    async def _wait_while_held(self) -> None:
        while (left_ns := self._held_until_ns - self._clock.now().monotonic_ns) > 0:
            await _pause(left_ns / NANOSECONDS_PER_SECOND, self._new_token)

    @property
    def _held_until_ns(self) -> int:
        return max(self._hold_until_ns, self._token_hold_until_ns)

    def _ending_of(self, line: "_Line", error: FeedDisconnected) -> FeedEnding:
        """Return what the end asks for; of a token that was replaced since it tells nothing."""
        ending = ending_of(error.code)
        is_over = ending.is_of_token and line.tokens_noted != self._tokens_noted
        return ORDINARY if is_over else ending

    def _note_up(self, line: "_Line") -> None:
        line.is_up, line.up_since_ns = True, self._clock.now().wall_ns
        line.backoff.note_connected(self._clock.now())
        self._show()
        _log.info("market_feed_connected", connection=line.number + 1)

    async def _clear_once_it_stands(self, line: "_Line") -> None:
        """A connection may be taken and refused right after; only one that stands clears that."""
        ends = line.ends
        await self._clock.sleep(STANDING_SECONDS)
        if line.ends == ends:
            await self._alarms.clear("market_feed_refused", "the market feed is connected again")

    async def _note_end(self, line: "_Line", error: FeedDisconnected, ending: FeedEnding) -> float:
        """Tell of an end; return the pause before the next try."""
        was_up, line.is_up = line.is_up, False
        self._show()
        now = self._clock.now()
        if error.code != line.last_code or (was_up and line.backoff.has_stood(now)):
            line.repeats = 0
        line.last_code, line.repeats, line.ends = error.code, line.repeats + 1, line.ends + 1
        least = ending.pause_after(line.repeats)
        pause = least + line.backoff.next_seconds(None, now)
        if ending.holds_all:
            held_ns = now.monotonic_ns + seconds_to_ns(least)
            if ending.is_of_token:
                self._token_hold_until_ns = max(self._token_hold_until_ns, held_ns)
            else:
                self._hold_until_ns = max(self._hold_until_ns, held_ns)
        _log.warning(
            "market_feed_disconnected",
            connection=line.number + 1,
            error=str(error),
            code=error.code,
            next_try_seconds=round(pause, 2),
        )
        if ending.alarm:
            text = f"The market feed was refused with {error.code}. {ending.alarm}"
            await self._alarms.raise_alarm(ending.severity, "market_feed_refused", text)
        return pause

    def _show(self) -> None:
        self._metrics.socket_up.labels(_SOCKET).set(1 if self.is_connected else 0)


async def _pause(seconds: float, new_token: asyncio.Event) -> None:
    """Wait so long, or until there is a new token."""
    try:
        async with asyncio.timeout(seconds):
            await new_token.wait()
    except TimeoutError:
        return


class _Line:
    """One connection: how it is run, and how it fared."""

    def __init__(
        self,
        number: int,
        run_once: Callable[[Publish], Coroutine[Any, Any, None]],
        carrier: FeedLine | None,
        backoff: Backoff,
    ) -> None:
        self.number = number
        self.run_once = run_once
        self._carrier = carrier
        self.backoff = backoff
        self.is_up = False
        self.up_since_ns = 0
        self.last_code: int | None = None
        self.repeats = 0
        self.ends = 0
        self.tokens_noted = 0

    @property
    def is_needed(self) -> bool:
        """The first line always stands."""
        return self.number == 0 or self._carrier is None or self._carrier.is_needed

    @property
    def carried(self) -> tuple[InstrumentId, ...] | None:
        """What it carries; None for all, as the only line of a feed does."""
        return None if self._carrier is None else self._carrier.instrument_ids
