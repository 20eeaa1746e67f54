"""I2d: where a fill of ours crossed zero, who was told, how loudly and how soon.

Part of the auditor. A net that an exit of ours carries across zero is seen here at the trade
itself. A person must be told as critical and by the key, within the two seconds of the promise and
what the broker's books lag. How soon is judged only where nothing else befell the run meanwhile
that keeps an engine from looking; that it is told is judged always, but for a crossing that others
undid: of one that is gone before anybody could look there is nothing to tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from squareoff.simulator.virtual.audited import Opened, Planned
from squareoff.simulator.virtual.outside import Key

SECOND_NS = 1_000_000_000
TOLD_NS = 2 * SECOND_NS
"""The promise."""

LAG_NS = 2 * SECOND_NS
"""So far may the broker's positions lag."""

CALM_NS = 90 * SECOND_NS
"""What lasts has ended so long after it began."""

_HARMLESS = frozenset(
    {
        "close_by_hand", "add_by_hand", "cancel_by_others", "expire_by_broker", "rest_unfilled",
        "square_off_by_broker", "partial_fill", "reject", "reject_change", "empty_book", "halt",
    }
)  # fmt: skip
"""What people and the exchange do keeps no engine from looking at the net."""


@dataclass(slots=True)
class Crossing:
    """A net that one fill of ours carried across zero; `undone_ns` is when it came back."""

    key: Key
    at_ns: int
    net: int
    undone_ns: int | None = None


class OverExitAudit:
    """Sees every trade of the account."""

    def __init__(self, trackers: Mapping[str, Opened]) -> None:
        self._trackers = trackers
        self.crossings: list[Crossing] = []
        self._struck_ns: list[int] = []

    def hear_strike(self, fault_class: str, now_ns: int) -> None:
        """Hear that a fault strikes."""
        if fault_class not in _HARMLESS:
            self._struck_ns.append(now_ns)

    def take_trade(self, plan: Planned | None, before: int, after: int, now_ns: int) -> None:
        """Take in one trade of ours on a key, and the net before and after it."""
        if plan is None or plan.role != "EXIT":
            return
        opened = self._trackers[plan.tracker_id]
        if after * opened.sign < 0 and abs(after) > max(0, -before * opened.sign):
            self.crossings.append(Crossing(opened.key, now_ns, after))

    def faults(
        self,
        alarms: Sequence[tuple[int, dict[str, Any]]],
        is_excused: Callable[[Key], bool],
    ) -> list[str]:
        """Return what is wrong with the telling of each crossing."""
        found = []
        for crossing in self.crossings:
            if is_excused(crossing.key):
                continue
            told = [at_ns for at_ns, row in alarms if self._tells(row, crossing.key)]
            late_ns = min((at_ns - crossing.at_ns for at_ns in told), default=None)
            text = f"{crossing.key}: our fill carried the net to {crossing.net}"
            if late_ns is None:
                if not self._may_pass_unseen(crossing):
                    found.append(f"{text} and no critical alarm names it")
            elif late_ns > TOLD_NS + LAG_NS and self._is_calm(crossing.at_ns):
                found.append(f"{text}, told {late_ns / SECOND_NS:.1f} s later")
        return found

    def _tells(self, row: dict[str, Any], key: Key) -> bool:
        return tells_of_over_exit(row, key, self._trackers)

    def take_net(self, key: Key, net: int, now_ns: int) -> None:
        """Take in the net of a key after any trade, whoever made it."""
        for crossing in self.crossings:
            if crossing.key == key and crossing.undone_ns is None and crossing.net * net <= 0:
                crossing.undone_ns = now_ns

    def _may_pass_unseen(self, crossing: Crossing) -> bool:
        if crossing.undone_ns is None:
            return False
        lasted_ns = crossing.undone_ns - crossing.at_ns
        return lasted_ns <= TOLD_NS + LAG_NS or not self._is_calm(crossing.at_ns)

    def _is_calm(self, at_ns: int) -> bool:
        return not any(
            at_ns - CALM_NS <= struck_ns <= at_ns + TOLD_NS + LAG_NS
            for struck_ns in self._struck_ns
        )


def tells_of_over_exit(row: dict[str, Any], key: Key, trackers: Mapping[str, Opened]) -> bool:
    """Say whether an alarm is a critical over-exit of this key."""
    if row["code"] != "over_exit" or row["severity"] != "critical":
        return False
    opened = trackers.get(row["tracker_id"] or "")
    segment, security_id, product = key
    is_named = f"{segment}:{security_id}:{product}" in row["message"]
    return is_named or (opened is not None and opened.key == key)
