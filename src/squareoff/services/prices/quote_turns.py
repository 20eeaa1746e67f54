"""The broker's quotes within its rate: one call a second, shared by everybody who waits for it.

Invariants:
1. Two calls begin at least QUOTE_SPACING_SECONDS apart, whoever asks.
2. Everybody who asks before a call begins is in it: a storm of exits costs one call.
3. Nobody waits longer than his limit, and nobody's end ends the wait of the others.
4. A spare call (`spare_call`) begins only while nobody waits, and nobody waits for its answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice

import structlog

from squareoff.domain.errors import BrokerError, BrokerRateLimited
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.orders.gateway import BrokerBooks

_log = structlog.get_logger("squareoff.quote_turns")
QUOTE_SPACING_SECONDS = 1.1
"""The broker answers one quote call a second (DhanHQ v2, data APIs)."""

INSTRUMENTS_MAX = 1_000
"""The broker takes no more in one call; the others go with the next one."""

SPARE_WAIT_SECONDS_MAX = 2.5
"""A spare answer that takes longer comes too late for a price that is wanted every second."""

LIMITED_PAUSE_SECONDS = 5.0
"""No spare call so soon after the broker said that there were too many."""


class QuoteTurns:
    """Quotes of many instruments by few calls."""

    def __init__(self, gateway: BrokerBooks, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._next_call_ns = 0
        self._next_spare_ns = 0
        self._turn = asyncio.Lock()
        self._waiting: dict[InstrumentId, asyncio.Future[Quote | None]] = {}

    async def quote(self, instrument_id: InstrumentId, *, wait_seconds_max: float) -> Quote | None:
        """Return the quote of the next call; None where it fails, lacks it or comes too late."""
        try:
            async with asyncio.timeout(wait_seconds_max):
                return await self._quote(instrument_id)
        except TimeoutError:
            return None

    def has_spare_turn(self) -> bool:
        """Say whether a spare call may begin now."""
        due_ns = max(self._next_call_ns, self._next_spare_ns)
        return not self._waiting and self._clock.now().monotonic_ns >= due_ns

    async def spare_call(
        self, instrument_ids: Sequence[InstrumentId]
    ) -> Mapping[InstrumentId, Quote] | None:
        """Ask at once for quotes that no exit waits for; None where there is no turn or no answer.

        Args:
            instrument_ids: at most INSTRUMENTS_MAX.
        """
        if not self.has_spare_turn():
            return None
        now_ns = self._clock.now().monotonic_ns
        self._next_call_ns = now_ns + seconds_to_ns(QUOTE_SPACING_SECONDS)
        try:
            async with asyncio.timeout(SPARE_WAIT_SECONDS_MAX):
                return await self._gateway.quotes(tuple(instrument_ids))
        except BrokerRateLimited:
            self._next_spare_ns = now_ns + seconds_to_ns(LIMITED_PAUSE_SECONDS)
        except (BrokerError, TimeoutError) as error:
            _log.warning("quotes_failed", instruments=len(instrument_ids), error=str(error))
        return None

    async def _quote(self, instrument_id: InstrumentId) -> Quote | None:
        answer = self._waiting.get(instrument_id)
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
            self._waiting[instrument_id] = answer
        # First come, first served: whoever gets the turn finds his answer there, or calls for all.
        async with self._turn:
            while not answer.done():
                await self._wait_for_turn()
                await self._call()
        return answer.result()

    async def _wait_for_turn(self) -> None:
        wait_ns = self._next_call_ns - self._clock.now().monotonic_ns
        if wait_ns > 0:
            await self._clock.sleep(wait_ns / NANOSECONDS_PER_SECOND)

    async def _call(self) -> None:
        """Ask for all who wait by now; every one of them is answered, however this ends."""
        self._next_call_ns = self._clock.now().monotonic_ns + seconds_to_ns(QUOTE_SPACING_SECONDS)
        asked = dict(islice(self._waiting.items(), INSTRUMENTS_MAX))
        for instrument_id in asked:
            del self._waiting[instrument_id]
        found: Mapping[InstrumentId, Quote] = {}
        try:
            found = await self._gateway.quotes(tuple(asked))
        except BrokerError as error:
            _log.warning("quote_failed", instruments=len(asked), error=str(error))
        finally:
            for instrument_id, answer in asked.items():
                answer.set_result(found.get(instrument_id))
