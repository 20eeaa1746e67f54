"""Rare things that some run must have shown: a campaign that never sees one of them proves little.

Read from the journal's rows as the auditor reads them, and from the coverage cells. A mark judges
nothing; `MARKS` says in one sentence what each stands for.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from squareoff.simulator.virtual.coverage import ENGINE_DOWN, RECOVERING

MARKS: Mapping[str, str] = {
    "late accept": "an order whose outcome was lost turned out to be at the broker",
    "quarantine ended absent": "an unknown order was declared absent after its quarantine",
    "resend accepted": "a second send under the same id was accepted",
    "fill before answer": "a fill was reported before the answer to the call",
    "cancel and fill met": "an order filled after its cancel was sent",
    "fill after cancel": "an order at the broker grew after it had been reported cancelled",
    "modified 25 times": "a chase used up the modifications of one order",
    "sliced": "one attempt had at least three orders",
    "second attempt": "a second attempt was planned after a first one ended short",
    "attempt failed": "an exit order ended short and another try was scheduled",
    "part filled and ended": "an order ended cancelled or expired with a part filled",
    "closed by others": "units closed by somebody else were booked",
    "needs a person": "an exit was handed to a person",
    "entry cancelled": "an entry ended without a fill",
    "stop fired": "a stop loss claimed an exit",
    "target fired": "a target claimed an exit",
    "trailing fired": "a trailing stop claimed an exit",
    "time fired": "a time rule claimed an exit",
    "person asked": "a person claimed an exit",
    "breaker opened": "the circuit breaker of order writes opened",
    "books disagreed": "a comparison with the broker found a difference",
    "killed while sent": "the process died while an order was sent and unanswered",
    "killed while unknown": "the process died while an outcome was unknown",
    "killed while recovering": "the process died while it recovered",
    "paused while sent": "the process stood still while an order was sent and unanswered",
    "token dead mid-exit": "the token died while an exit was under way",
    "lag while unknown": "a look-up answered from the past while an outcome was unknown",
    "clock jumped mid-exit": "the wall clock jumped while an exit was under way",
    "disk full mid-exit": "the disk was full while an exit was under way",
    "kill switch mid-exit": "an exit was blocked by the kill switch",
    "standby took over": "a second engine took the account over from one that was gone",
    "taken over while sent": "a takeover met an order that was sent and unanswered",
}

OUTLAW_MARKS: Mapping[str, str] = {
    "over-exit detected": "the engine noticed that more was closed than was held",
    "over-exit taken back": "what was closed too much was taken back, as the settings asked",
    "two orders under one id": "the broker held two orders under one of our ids",
}
"""Only runs beyond the bound can show these."""

MODIFICATIONS_MAX = 25
SLICES_TO_SEE = 3
LATE_NS = 4_000_000_000
"""More than a delayed frame is late, with the second that the feed's times are cut to."""

_BY_FACT = {
    "account_rule_fired": "account rule fired",
    "order_settled": "quarantine ended absent",
    "exit_attempt_failed": "attempt failed",
    "closed_externally": "closed by others",
    "exit_escalated": "needs a person",
    "position_cancelled": "entry cancelled",
    "over_exit_detected": "over-exit detected",
}
_BY_ALARM = {
    "order_breaker_open": "breaker opened",
    "position_mismatch": "books disagreed",
    "over_exit_flattened": "over-exit taken back",
}
_BY_RULE = {
    "stop_loss": "stop fired",
    "target": "target fired",
    "trailing": "trailing fired",
    "square_off_at": "time fired",
    "manual": "person asked",
}
_KILLS = ("kill", "kill_at_point", "kill_at_callback", "kill_in_recovery")
_BY_CELL = {
    **{("exit SENT", kill): "killed while sent" for kill in _KILLS},
    **{("exit OUTCOME_UNKNOWN", kill): "killed while unknown" for kill in _KILLS},
    **{(RECOVERING, kill): "killed while recovering" for kill in _KILLS},
    ("exit SENT", "pause"): "paused while sent",
    ("position EXITING", "token_death"): "token dead mid-exit",
    ("exit OUTCOME_UNKNOWN", "lag_lookup"): "lag while unknown",
    ("position EXITING", "clock_jump"): "clock jumped mid-exit",
    ("position EXITING", "store_disk_full"): "disk full mid-exit",
    (ENGINE_DOWN, "takeover"): "standby took over",
    ("position ACTIVE", "takeover"): "standby took over",
    ("position EXITING", "takeover"): "standby took over",
    ("exit SENT", "takeover"): "taken over while sent",
    ("exit OUTCOME_UNKNOWN", "takeover"): "taken over while sent",
}


class Marks:
    """The marks of one run: `seen` counts them."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._lost: set[str] = set()
        self._answered: set[str] = set()
        self._cancels: set[str] = set()
        self._records: dict[str, tuple[str, int]] = {}
        self._slices: Counter[tuple[str, int]] = Counter()

    def take(self, kind: str, row: Mapping[str, Any]) -> None:
        """Take in one journal row."""
        if (mark := _BY_FACT.get(kind)) is not None:
            self.seen[mark] += 1
        match kind:
            case "exit_claimed":
                self.seen[_BY_RULE.get(str(row["trigger"]["rule"]), "person asked")] += 1
                self.seen["late print fired"] += _is_late_print(row)
            case "alarm_raised":
                if (mark := _BY_ALARM.get(str(row["code"]))) is not None:
                    self.seen[mark] += 1
            case "exit_blocked":
                self.seen["kill switch mid-exit"] += row["reason"] == "kill_switch"
            case "order_planned":
                self._take_plan(row)
            case "order_outcome_lost":
                self._lost.add(row["client_order_id"])
            case "order_accepted":
                self._answered.add(row["client_order_id"])
                self.seen["resend accepted"] += row.get("send_number", 1) > 1
            case "order_modify_sent":
                self.seen["modified 25 times"] += row.get("modification") == MODIFICATIONS_MAX
            case "order_cancel_sent":
                self._cancels.add(row["broker_order_id"])
            case "order_reported":
                self._take_report(row)

    def _take_plan(self, row: Mapping[str, Any]) -> None:
        if row["role"] != "EXIT":
            return
        attempt = row.get("attempt", 1)
        key = row["tracker_id"], attempt
        self._slices[key] += 1
        self.seen["sliced"] += self._slices[key] == SLICES_TO_SEE
        self.seen["second attempt"] += attempt == 2 and self._slices[key] == 1

    def _take_report(self, row: Mapping[str, Any]) -> None:
        name, order_id = row["broker_order_id"], row["client_order_id"]
        filled, status = row["cumulative_quantity"], row["status"]
        before, known = self._records.get(name, ("", 0))
        self._records[name] = status, max(filled, known)
        if order_id in self._lost:
            self._lost.discard(order_id)
            self.seen["late accept"] += 1
        grew = filled > known
        self.seen["fill before answer"] += grew and order_id not in self._answered
        self.seen["cancel and fill met"] += grew and name in self._cancels
        self.seen["fill after cancel"] += grew and before == "CANCELLED"
        is_ended = status in ("CANCELLED", "EXPIRED") and before != status
        self.seen["part filled and ended"] += is_ended and filled > 0

    def take_cells(self, cells: Mapping[tuple[str, str], int]) -> None:
        """Take in what the coverage of the run says."""
        for cell, mark in _BY_CELL.items():
            if count := cells.get(cell, 0):
                self.seen[mark] += count

    def take_tags(self, tags: Mapping[str, int]) -> None:
        """Take in how many orders the broker holds under each of our ids."""
        self.seen["two orders under one id"] += sum(1 for count in tags.values() if count > 1)


def _is_late_print(claim: Mapping[str, Any]) -> bool:
    """Say whether the feed told a price that fired long after its trade.

    The reason of what quotes and the day's range tell says so.
    """
    traded_ns, told_ns = (claim["trigger"].get(f"{n}_time_ns") for n in ("exchange", "received"))
    is_told_otherwise = "(" in claim.get("reason", "")
    return bool(traded_ns and told_ns and told_ns - traded_ns > LATE_NS and not is_told_otherwise)
