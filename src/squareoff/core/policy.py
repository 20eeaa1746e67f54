"""The numbers that the exit protocol decides with. Each can be set; each default says whence."""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.orders import OrderType

ABSENCE_READING_SPACING_SECONDS = 1.0
"""Absence readings count only this far apart: two readings of one lagging replica are one."""

LOOK_UP_DELAYS_SECONDS = (0.3, 0.7, 1.5, 3.0, 5.0)
"""Pauses before each question about an unknown order (dhanhq-v2.md 2.3); the last one repeats."""

UNSIGHTED_SECONDS_MAX = 15.0
"""A live order that no book and no update showed for so long is asked for: books are read every
second while one is live."""

MODIFICATIONS_MAX = 25
"""The broker's own limit per order (dhanhq-v2.md 9.1)."""

CHASES_BEFORE_ALARM = 15
"""An exit that rests for half a minute at the default interval is told to a person once."""

RETRY_DELAYS_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after failed attempts and blocks, by number of failures; the last one repeats."""

ZERO_READINGS_NEEDED = 3
"""Readings of a flat position, a second apart, before trades are asked who closed it."""

MISSING_READINGS_BEFORE_BLOCK = 8
"""Flat readings that no trade explains before a person is told."""

END_READINGS_MAX = 3
"""Times the order book is asked for the end of an exit that the stream told; then the next try goes
by the positions alone, as where the book cannot be read."""

SHORT_READINGS_MAX = 5
"""Readings, a second apart, in which it is sought whose units are missing on a shared key, before
the exit closes what is there."""

BOOKS_DISAGREED_BEFORE_ALARM = 20
"""Readings of the trade book that fail or lag behind the fills before a person is told."""

PLAN_AGE_SECONDS_MAX = 5.0
"""A planned exit that waited longer, for its permit or for a store that is away, is sized anew on a
fresh reading: a person may have closed by hand meanwhile."""

QUIET_PLAN_AGE_SECONDS_MAX = 30.0
"""So long a plan stands while the order stream is up and tells of nobody else who closes: exits
fired together need as long to leave, two hundred of them at 8 a second."""

QUIET_BEFORE_PLAN_SECONDS = 5.0
"""The stream must have been quiet so long before the plan: the reading that the exit was sized on
may lack what was closed then."""

SLICES_MAX = 1_000
"""Orders planned at once; an order id holds 1,295 slices. What is left is sized afterwards."""


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """Settings of the exit protocol, in seconds and percent.

    `quarantine_seconds` is how long an unknown order stays unknown at the least; `readings` how
    many spaced, complete readings must lack it. `reconciled_age_seconds_max`: up to this age the
    last reconciliation may stand in for unreadable positions.
    """

    order_type: OrderType = OrderType.LIMIT
    chase_interval_seconds: float = 2.0
    max_slippage_percent: Decimal = Decimal(5)
    market_on_last_step: bool = False
    quarantine_seconds: float = 10.0
    readings: int = 3
    attempts_max: int = 10
    reconciled_age_seconds_max: float = 60.0
    flatten_over_exit: bool = False
