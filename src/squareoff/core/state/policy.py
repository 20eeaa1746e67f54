"""The numbers that the exit protocol decides with: constants, and what the owner sets.

A constant is set by nobody: its sentence names its source, the broker's documents (dhanhq-v2.md) or
what it must be longer, shorter or rarer than. `ExitPolicy` holds what settings change
(docs/settings.md); its defaults are those of the settings.
"""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.orders import OrderType

POSITIONS_LAG_SECONDS_MAX = 2.0
"""So long the broker's positions may lag behind its fills: assumed, for the broker names no figure
and none was measured on a live account. Simulated runs lag as far (`simulator.virtual`). Whoever
reads positions adds to it what his own error would cost."""

READING_LAG_SECONDS = 2 * POSITIONS_LAG_SECONDS_MAX + 1.0
"""A reading may lack fills this old: twice the lag of the broker's positions, for it is assumed,
and a second for a slow answer. Only what all fills of ours are older than proves something."""

READING_SPACING_SECONDS = 1.0
"""Readings of the broker's books count only this far apart: two of one lagging replica are one."""

LOOK_UP_DELAYS_SECONDS = (0.3, 0.7, 1.5, 3.0, 5.0)
"""Pauses after each question about an unknown order (dhanhq-v2.md 2.3); the last one repeats, and
the first stands before the first question about a lost answer too."""

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

ENTRY_AGE_SECONDS_MAX = 120.0
"""An entry that waited longer for its permit, behind a broken broker or a used up limit, ends
unsent: whoever asked for it may have entered anew, and the price is another."""

PLAN_AGE_SECONDS_MAX = 5.0
"""A planned exit that waited longer, for its permit or for a store that is away, is sized anew on a
fresh reading: a person may have closed by hand meanwhile."""

QUIET_PLAN_AGE_SECONDS_MAX = 30.0
"""So long a plan stands while the order stream is up and tells of nobody else who closes, from
before what its reading may lack: exits fired together need as long to leave, two hundred of them at
8 a second."""

TOLD_COUNTS_SECONDS = 10.0
"""So long after its claim an exit is planned anew because somebody else was heard to close since
the plan; on an instrument that another program trades without a pause it leaves all the same."""

SLICES_MAX = 1_000
"""Orders planned at once; an order id holds 1,295 slices. What is left is sized afterwards."""


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """What the owner sets of the exit protocol; the setting is named with each field."""

    order_type: OrderType = OrderType.LIMIT
    """How an exit goes out: as a protected limit, or as MARKET (`exit.order_type`)."""
    chase_interval_seconds: float = 2.0
    """An exit that rests for so long is moved toward the market (`exit.chase_interval_seconds`)."""
    max_slippage_percent: Decimal = Decimal(5)
    """No limit goes farther beyond the best bid or ask of the moment
    (`exit.max_slippage_percent`)."""
    market_on_last_step: bool = False
    """Whether an exit goes on as MARKET where a limit that far does not fill, or its last
    modification is due (`exit.on_last_step`)."""
    quarantine_seconds: float = 10.0
    """An order of unknown outcome stays unknown for so long at the least; the default is the larger
    of 10 s and the order timeout + 5 s (`settle.quarantine_seconds`)."""
    readings: int = 3
    """So many spaced, complete readings must lack such an order before it counts as absent, and
    must agree before an over-exit is taken back (`settle.readings`)."""
    attempts_max: int = 10
    """After so many attempts in a row that the broker ended, a person is called
    (`exit.attempts_max`)."""
    reconciled_age_seconds_max: float = 60.0
    """Up to this age the last reconciliation stands in for positions that cannot be read: two
    rounds of `reconcile.interval_seconds`."""
    flatten_over_exit: bool = False
    """Whether what was closed too much is taken back, once (`over_exit_action`)."""
