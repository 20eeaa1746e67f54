"""Choose how much comes with each instrument's prices: no more than its positions need.

| what the positions need | detail |
| --- | --- |
| an exit under way, or a price near an armed level, or no price known yet | best bid and ask |
| an armed level that is far, or a rule that may arm one | the day's high and low |
| no rule about prices | the price |

Looked at in turns, so that ten thousand instruments never hold a tick up. More is asked for at
once, less only after a while: each change is a message to the broker.
"""

from collections.abc import Callable

from squareoff.core.prices.watched_instrument import Nearness
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock, PriceDetail, WideFeed
from squareoff.services.positions.position_book import PositionBook

LOOK_SECONDS = 0.2
"""Between two rounds: a price that walks is a hundredth from its level for longer than that."""

TURN_INSTRUMENTS = 100
TURN_SECONDS = 0.02
"""So many instruments are looked at in one go, which takes well below a millisecond."""

ASKED_AT_ONCE_MAX = 200
"""With no more open instruments than these all are asked whenever somebody wants to know."""

KEEP_SECONDS = 60.0
"""How long the best bid and ask go on coming after they were last needed."""

_DETAIL_OF = {
    Nearness.NEAR: PriceDetail.DEPTH,
    Nearness.FAR: PriceDetail.DAY,
    Nearness.NO_LEVEL: PriceDetail.LAST,
}


class PriceDetails:
    """Tells one feed what to bring, and remembers which prices are near a level."""

    def __init__(
        self,
        book: PositionBook,
        feed: WideFeed,
        nearness: Callable[[InstrumentId], Nearness],
        is_any_near: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._book = book
        self._feed = feed
        self._nearness = nearness
        self._is_any_near = is_any_near
        self._clock = clock
        self._near: set[InstrumentId] = set()
        self._live_count = 0
        self._needed_ns: dict[InstrumentId, int] = {}

    def is_any_near(self) -> bool:
        """Say whether any price is near an armed level; of many instruments, whether one was when
        it was last looked at."""
        if self._live_count <= ASKED_AT_ONCE_MAX:
            return self._is_any_near()
        return bool(self._near)

    async def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            instrument_ids = self._book.instrument_ids()
            live_count = 0
            for start in range(0, len(instrument_ids), TURN_INSTRUMENTS):
                for instrument_id in instrument_ids[start : start + TURN_INSTRUMENTS]:
                    live_count += self._look_at(instrument_id)
                await self._clock.sleep(TURN_SECONDS)
            self._live_count = live_count
            await self._clock.sleep(LOOK_SECONDS)

    def _look_at(self, instrument_id: InstrumentId) -> bool:
        """Choose for one instrument; False where no position of it is open."""
        statuses = {actor.tracker.status for actor in self._book.on_instrument(instrument_id)}
        if all(status.is_final for status in statuses):
            self._near.discard(instrument_id)
            self._needed_ns.pop(instrument_id, None)
            return False
        nearness = self._nearness(instrument_id)
        if nearness is Nearness.NEAR:
            self._near.add(instrument_id)
        else:
            self._near.discard(instrument_id)
        now_ns = self._clock.now().monotonic_ns
        if nearness is Nearness.NEAR or PositionStatus.EXITING in statuses:
            self._needed_ns[instrument_id] = now_ns
        needed_ns = self._needed_ns.setdefault(instrument_id, now_ns)
        is_kept = now_ns - needed_ns < seconds_to_ns(KEEP_SECONDS)
        detail = PriceDetail.DEPTH if is_kept else _DETAIL_OF[nearness]
        self._feed.prefer(instrument_id, detail)
        return True
