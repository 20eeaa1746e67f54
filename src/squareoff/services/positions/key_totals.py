"""Sums over the trackers of one position of the broker, without walking them for every question.

Each exit asks what the others on its key hold and may still close, and each comparison with the
broker asks it of every key. Walked anew each time, a tick that fires a thousand positions of one
key would cost a million looks.
Invariant: a question is answered as of the last `note`; a tracker's part is counted anew only after
it was noted, so noting costs next to nothing.
"""

from dataclasses import dataclass

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import OrderRole, PositionSide, Side


@dataclass(frozen=True, slots=True)
class _Part:
    """What one tracker adds. `moving` are orders that are planned, live or unknown, `unsettled`
    those of them that are no exit resting at the exchange; `signed_quantity` and `signed_fills`
    have longs and buys above zero."""

    open_quantity: int = 0
    signed_quantity: int = 0
    exit_leaves: int = 0
    signed_fills: int = 0
    moving: int = 0
    unsettled: int = 0


_NOTHING = _Part()


class KeyTotals:
    """The sums of one key."""

    def __init__(self) -> None:
        self._noted: dict[TrackerId, PositionTracker] = {}
        self._parts: dict[TrackerId, _Part] = {}
        self._open = dict.fromkeys(PositionSide, 0)
        self._leaves = dict.fromkeys(PositionSide, 0)
        self._signed_quantity = self._signed_fills = self._moving = self._unsettled = 0

    def note(self, tracker: PositionTracker) -> None:
        """Take in a tracker of the key, or its newest state; its side never changes."""
        self._noted[tracker.tracker_id] = tracker

    def drop(self, tracker: PositionTracker) -> None:
        """Count a tracker of the key no more."""
        self._count()
        part = self._parts.pop(tracker.tracker_id, _NOTHING)
        self._move(tracker.side, part, _NOTHING)

    def open_beside(self, tracker: PositionTracker) -> int:
        """Return what other trackers of its side hold that are not at their end."""
        self._count()
        return self._open[tracker.side] - self._part_of(tracker).open_quantity

    def open_against(self, tracker: PositionTracker) -> int:
        """Return what trackers of the other side hold that are not at their end."""
        self._count()
        return sum(self._open.values()) - self._open[tracker.side]

    def leaves_beside(self, tracker: PositionTracker) -> int:
        """Return what planned and live exits of other trackers of its side may still close."""
        self._count()
        return self._leaves[tracker.side] - self._part_of(tracker).exit_leaves

    def exit_leaves(self) -> int:
        """Return what planned and live exits may still close."""
        self._count()
        return sum(self._leaves.values())

    def signed_quantity(self) -> int:
        """Return what its trackers say that the broker's net is."""
        self._count()
        return self._signed_quantity

    def is_all_there(self, net: int) -> bool:
        """Say whether a net of the broker shows at least what each side holds."""
        self._count()
        held_long, held_short = self._open[PositionSide.LONG], self._open[PositionSide.SHORT]
        return held_long <= max(0, net) and held_short <= max(0, -net)

    def signed_fills(self) -> int:
        """Return the signed sum of all known fills of ours (buys above zero)."""
        self._count()
        return self._signed_fills

    def is_moving(self) -> bool:
        """Say whether an order of ours is planned, live or unknown."""
        self._count()
        return self._moving > 0

    def is_unsettled(self) -> bool:
        """Say whether one moves that is no exit resting at the exchange."""
        self._count()
        return self._unsettled > 0

    def _part_of(self, tracker: PositionTracker) -> _Part:
        return self._parts.get(tracker.tracker_id, _NOTHING)

    def _count(self) -> None:
        for tracker_id, tracker in self._noted.items():
            before, after = self._parts.get(tracker_id, _NOTHING), _part(tracker)
            self._parts[tracker_id] = after
            self._move(tracker.side, before, after)
        self._noted.clear()

    def _move(self, side: PositionSide, before: _Part, after: _Part) -> None:
        self._open[side] += after.open_quantity - before.open_quantity
        self._leaves[side] += after.exit_leaves - before.exit_leaves
        self._signed_quantity += after.signed_quantity - before.signed_quantity
        self._signed_fills += after.signed_fills - before.signed_fills
        self._moving += after.moving - before.moving
        self._unsettled += after.unsettled - before.unsettled


def _part(tracker: PositionTracker) -> _Part:
    moving = [each for each in tracker.orders if each.state.is_live or each.leaves_quantity]
    return _Part(
        open_quantity=0 if tracker.status.is_final else tracker.open_quantity,
        signed_quantity=tracker.signed_quantity,
        exit_leaves=tracker.exit_leaves_quantity,
        signed_fills=sum(
            order.cumulative_quantity * (1 if order.side is Side.BUY else -1)
            for order in tracker.orders
        ),
        moving=len(moving),
        unsettled=sum(each.role is not OrderRole.EXIT or not each.is_resting for each in moving),
    )
