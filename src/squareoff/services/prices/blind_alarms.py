"""Tell people of instruments whose prices went missing, and when they are back.

Answers for: one alarm for all that go blind at once, and none for an instrument that comes and goes
while its last one stands. Never waits for the database; `run` does.
Invariants:
1. An alarm stands until every instrument of it has had prices for twice the limit.
2. Where no quote stands in either, the alarm is critical, also when that becomes so later.
3. A feed that is silent and one that tells late are told apart, for they leave different rules.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from squareoff.core.state.facts import Severity
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.monitoring.alarm_desk import AlarmDesk

NAMES_SHOWN = 5
"""More names than this nobody reads; the positions' rows say it of each."""


@dataclass(slots=True)
class _Outage:
    """What went blind at one look: until when each instrument counts (monotonic ns), and what was
    told of it. `is_late` where the feed tells its prices, too late."""

    names: dict[InstrumentId, str]
    until_ns: dict[InstrumentId, int]
    is_late: bool
    is_critical: bool
    messages: list[str] = field(default_factory=list)


_Word = tuple[Literal["raise"], Severity, str] | tuple[Literal["clear"], None, str]


class BlindAlarms:
    """Raises and clears the alarms of one engine."""

    def __init__(self, alarms: AlarmDesk, clock: Clock, stale_after_seconds: float) -> None:
        self._alarms = alarms
        self._clock = clock
        self._limit_seconds = stale_after_seconds
        self._limit_ns = seconds_to_ns(stale_after_seconds)
        self._outages: list[_Outage] = []
        self._priced_ns: dict[InstrumentId, int] = {}
        self._words: asyncio.Queue[_Word] = asyncio.Queue()
        self._has_cleared_old = False
        self._started_ns = clock.now().monotonic_ns

    def note_priced(self, instrument_id: InstrumentId, at_ns: int) -> None:
        """A quote gave a price that the rules have judged."""
        self._priced_ns[instrument_id] = at_ns

    def note(
        self,
        lost: Sequence[Instrument],
        blind: frozenset[InstrumentId],
        *,
        behind: Collection[InstrumentId],
        is_feed_up: bool,
    ) -> None:
        """Take in a look: what went blind, all that is blind now, and what the feed tells late."""
        now_ns = self._clock.now().monotonic_ns
        fresh = [each for each in lost if not self._is_told(each.instrument_id)]
        silent = [each for each in fresh if each.instrument_id not in behind]
        late = [each for each in fresh if each.instrument_id in behind]
        if silent:
            why = "it is connected" if is_feed_up else "it is not connected"
            self._begin(silent, now_ns, f"has told no price of {{}} for {{}} s ({why})")
        if late:
            self._begin(late, now_ns, "tells prices of {} more than {} s late", is_late=True)
        for outage in tuple(self._outages):
            self._follow(outage, blind, now_ns)
        self._clear_what_the_last_process_left(now_ns)

    async def run(self) -> None:
        """Raise and clear in order; never returns."""
        while True:
            what, severity, text = await self._words.get()
            if what == "raise":
                assert severity is not None, "every alarm has one"
                await self._alarms.raise_alarm(severity, "blind", text)
            else:
                await self._alarms.clear("blind", "prices are back", about=text)

    def _is_told(self, instrument_id: InstrumentId) -> bool:
        return any(instrument_id in outage.until_ns for outage in self._outages)

    def _begin(
        self, lost: Sequence[Instrument], now_ns: int, what: str, *, is_late: bool = False
    ) -> None:
        """Tell of them; `what` has places for their names and for the limit."""
        names = {each.instrument_id: each.trading_symbol for each in lost}
        is_critical = not all(self._is_priced(name, now_ns) for name in names)
        outage = _Outage(names, dict.fromkeys(names, now_ns), is_late, is_critical)
        self._outages.append(outage)
        what = what.format(_listed(list(names.values())), f"{self._limit_seconds:g}")
        text = f"BLIND: the market feed {what}, and price rules wait for them. "
        self._tell(outage, text + _what_now(outage))

    def _follow(self, outage: _Outage, blind: frozenset[InstrumentId], now_ns: int) -> None:
        """End an outage whose instruments have prices; make it critical where no quote helps."""
        for name in outage.until_ns:
            if name in blind:
                outage.until_ns[name] = now_ns
        if all(now_ns - at_ns > 2 * self._limit_ns for at_ns in outage.until_ns.values()):
            self._outages.remove(outage)
            for name in outage.names:
                self._priced_ns.pop(name, None)
            for message in outage.messages:
                self._words.put_nowait(("clear", None, message))
            return
        unpriced = [
            text
            for name, text in outage.names.items()
            if name in blind and not self._is_priced(name, now_ns)
        ]
        if unpriced and not outage.is_critical:
            outage.is_critical = True
            when = " in time" if outage.is_late else ""
            text = f"neither the market feed nor a quote tells a price of {_listed(unpriced)}{when}"
            self._tell(outage, f"BLIND: {text}. " + _what_now(outage))

    def _is_priced(self, instrument_id: InstrumentId, now_ns: int) -> bool:
        at_ns = self._priced_ns.get(instrument_id)
        return at_ns is not None and now_ns - at_ns <= 2 * self._limit_ns

    def _tell(self, outage: _Outage, text: str) -> None:
        outage.messages.append(text)
        severity = Severity.CRITICAL if outage.is_critical else Severity.WARNING
        self._words.put_nowait(("raise", severity, text))

    def _clear_what_the_last_process_left(self, now_ns: int) -> None:
        """An alarm of before the restart has nobody else to end it."""
        if self._has_cleared_old or now_ns - self._started_ns <= 2 * self._limit_ns:
            return
        if not self._outages:
            self._has_cleared_old = True
            self._words.put_nowait(("clear", None, ""))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    rest = len(names) - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _what_now(outage: _Outage) -> str:
    if not outage.is_critical:
        return "Their rules go on with the broker's REST quotes, about one a second."
    if outage.is_late:
        what = "their price rules fire as late as the feed tells"
    else:
        what = "no price rule of them can fire now"
    return (
        f"The broker's REST quotes give none either: {what}. Time rules go on. Watch these "
        "positions, and close by hand where you must."
    )
