"""What judging one tick came to."""

from typing import NamedTuple

from squareoff.core.prices.price_hygiene import TickVerdict
from squareoff.core.rules.levels import Level
from squareoff.domain.ids import TrackerId
from squareoff.domain.ticks import Tick


class Seen(NamedTuple):
    """What judging one tick came to.

    `fired` are the positions whose level was reached, `moved` those whose stop has moved.
    `kept` is the quiet tick that the feed had kept before this one: the newest price where this
    tick is refused, None where there was none or a good tick of the feed has replaced it.
    `is_late`: the tick was traded before a quote that was judged already. It may fire what stood
    then, but is no current price.
    `good` is the tick with the price that counts (`core.prices.price_hygiene.judge_tick`), None
    where the verdict is not GOOD.
    """

    verdict: TickVerdict
    fired: list[tuple[TrackerId, Level]]
    moved: list[TrackerId]
    kept: Tick | None = None
    is_late: bool = False
    good: Tick | None = None
