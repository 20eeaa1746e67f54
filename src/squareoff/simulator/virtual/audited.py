"""What the auditor knows of orders and trackers, as the journal told it."""

from dataclasses import dataclass, field
from typing import Any

from squareoff.simulator.virtual.outside import Key


@dataclass(slots=True)
class Planned:
    """One order as the journal planned it."""

    tracker_id: str
    role: str
    side: str
    quantity: int
    planned_ns: int
    sends: int = 0


@dataclass(slots=True)
class Opened:
    """One tracker as the journal opened it."""

    tracker_id: str
    key: Key
    side: str
    quantity: int
    awaits_entry: bool
    rules: dict[str, Any]
    opened_ns: int
    """When it was journalled."""
    held_from_ns: int
    """When its holding begins: as stamped where the machine slept a night while it was written."""
    claims: int = 0
    live_claim: bool = False
    is_withdrawn: bool = False
    """Whether the newest claim was taken back."""
    trigger: dict[str, Any] | None = None
    is_blind: bool = False
    """Whether any sizing had no reading of the positions."""
    order_ids: list[str] = field(default_factory=list)
    entry_price: str | None = None
    """Rupees; None where the entry order has not filled."""
    tick_size: str = "0.05"
    stop_level: int | None = None
    """The newest place of a stop that moves, price units."""
    stop_moves: list[tuple[int, int]] = field(default_factory=list)
    """Its places since it began to move, each with the time at which it was journalled."""
    failed_attempts: set[str] = field(default_factory=set)
    """Attempts of which a slice failed, ever."""
    fruitless_attempts: set[str] = field(default_factory=set)
    """Attempts that failed since the claim, a fill, or a wait that uses up none."""
    misdated_by: int = 0
    """How many processes had begun when a wrong clock stamped the opening, 0 for a right one."""

    @property
    def sign(self) -> int:
        """+1 long, -1 short."""
        return 1 if self.side == "LONG" else -1
