"""Whether a claim is due: by the clock, and by the level that its rules mean (I8); I4, I14 as well.

Part of the auditor: it knows the journal's words and what the market printed, and reckons levels
and times with arithmetic of its own, in whole numbers.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from squareoff.simulator.virtual.audited import Opened
from squareoff.simulator.virtual.trigger_audit import DAY_NS, IST_NS, Print

SECOND_NS = 1_000_000_000
EARLY_NS = SECOND_NS
"""No time exit comes earlier than this before it is due."""

DOUBT_NS = 55 * SECOND_NS
"""So long after a step a time of the day may be held against a wall clock that nobody vouches for;
from then on the wall clock counts, right or wrong."""

LATE_COMMIT_NS = 60 * SECOND_NS
"""No commit is written so long after its stamp: a clock was wrong in between."""

UNITS = 10_000
"""Price units in a rupee."""


class MachineClock:
    """How wrong the wall clock of the machine was, and which processes could not know it."""

    def __init__(self) -> None:
        self.error_ns = 0
        """How far it is ahead now."""
        self.slewed_ns = 0
        """How much it may have gained or lost without a step."""
        self._earlier_errors_ns: list[int] = []
        self._changed_ns = 0
        self._begun_misled = [False]

    def change(self, now_ns: int, error_ns: int) -> None:
        """Hear that it was set."""
        self._earlier_errors_ns.append(self.error_ns)
        self.error_ns, self._changed_ns = error_ns, now_ns

    def begin_process(self, wall_ns: int, now_ns: int) -> None:
        """Hear that a process begins, which knows of no step before."""
        self._begun_misled.append(abs(wall_ns - now_ns) > EARLY_NS)

    def true_ns(self, stamp_ns: int, now_ns: int) -> int:
        """Return when something was stamped: by the clock as it stands, or, where that lies in the
        future, as it stood when the stamp was made; a store that was away wrote it down later."""
        true_ns = stamp_ns - self.error_ns
        if true_ns <= now_ns + EARLY_NS:
            return true_ns
        made_ns = (stamp_ns - error_ns for error_ns in reversed(self._earlier_errors_ns))
        return next((each for each in made_ns if each <= now_ns), true_ns)

    @property
    def process_count(self) -> int:
        """How many processes have begun."""
        return len(self._begun_misled)

    def misdating(self, stamped_ns: int, time_ns: int) -> int:
        """Return the number of processes if what was written then bears a wrong time, else 0.

        The clock may have been put right between the stamp and the commit.
        """
        is_off = abs(self.error_ns) > EARLY_NS or abs(stamped_ns - time_ns) > LATE_COMMIT_NS
        return self.process_count if is_off else 0

    def allowance_ns(self, now_ns: int) -> int | None:
        """Return how early a time exit may come; None where this process cannot know the time."""
        if self._begun_misled[-1]:
            return None
        unexplained = now_ns - self._changed_ns > DOUBT_NS
        return EARLY_NS + self.slewed_ns + (abs(self.error_ns) if unexplained else 0)


def time_fault(opened: Opened, rule: str, at_ns: int, clock: MachineClock) -> str | None:
    """Say how a claim by a rule about time came too early, None where it did not."""
    allowed_ns = clock.allowance_ns(at_ns)
    if allowed_ns is None:
        return None
    wanted = opened.rules.get(rule)
    if rule == "square_off_at":
        # What was due on the day it was opened stays due: a store that was away wrote it later.
        day_ns = opened.held_from_ns - (opened.held_from_ns + IST_NS) % DAY_NS
        left_ns = day_ns + _time_of_day_ns(str(wanted)) - at_ns
    elif 0 < opened.misdated_by < clock.process_count:
        return None  # the stamp is wrong, and who reads it now did not see it made
    else:
        left_ns = opened.held_from_ns + int(wanted or 0) * 60 * SECOND_NS - at_ns
    return None if left_ns <= allowed_ns else f"{left_ns / SECOND_NS:.1f} s before it was due"


def _time_of_day_ns(text: str) -> int:
    hours, minutes, *seconds = text.split(":")
    whole = Fraction(seconds[0]) if seconds else Fraction(0)
    return int(((int(hours) * 60 + int(minutes)) * 60 + whole) * SECOND_NS)


def level_faults(opened: Opened, claim: dict[str, Any], prints: Sequence[Print]) -> Iterator[str]:
    """Give what is wrong with the level that a claim names, by the rules in the journal."""
    rule, level = claim["trigger"]["rule"], claim["trigger"]["level"]
    match rule:
        case "stop_loss" | "target":
            wanted = fixed_level(opened, rule)
            if wanted is not None and level != wanted:
                yield f"its level is {level}, its rules mean {wanted}"
        case "trailing":
            held = _stop_as_of(opened, _judged_ns(claim["trigger"]))
            tightest = _tightest_trail(opened, prints)
            # A range tells both extremes at once: the old level is the one that surely was reached.
            is_range = "(the day's new " in claim.get("reason", "")
            if held is not None and (level - held) * opened.sign < 0 and not is_range:
                yield f"its level {level} is looser than the journal's {held}"
            if tightest is not None and (level - tightest) * opened.sign > 0:
                yield f"its level {level} is tighter than any price allowed, {tightest}"


def fixed_level(opened: Opened, rule: str) -> int | None:
    """Return where a fixed stop or target lies, price units; None where that is not known here."""
    terms = opened.rules.get(rule) or {}
    away = -opened.sign if rule == "stop_loss" else opened.sign
    if terms.get("price") is not None:
        return int(Fraction(str(terms["price"])) * UNITS)
    if opened.entry_price is None or terms.get("percent") is None:
        return None
    exact = Fraction(opened.entry_price) * (1 + away * Fraction(str(terms["percent"])) / 100)
    return _on_grid(exact, opened, falls=away < 0)


def _judged_ns(trigger: dict[str, Any]) -> int:
    """Return when a price was judged at the latest. What came in one frame with it may have moved
    the stop right after; a receipt stamped before the trade is one of a clock that is wrong."""
    traded_ns, received_ns = trigger["exchange_time_ns"], trigger.get("received_time_ns") or 0
    latest_ns: int = traded_ns + SECOND_NS
    return min(latest_ns, received_ns - 1) if received_ns > traded_ns else latest_ns


def _stop_as_of(opened: Opened, at_ns: int) -> int | None:
    """Return where the stop was journalled before: a late print is held against no later move."""
    return next(
        (level for moved_ns, level in reversed(opened.stop_moves) if moved_ns < at_ns), None
    )


def _tightest_trail(opened: Opened, prints: Sequence[Print]) -> int | None:
    percent = (opened.rules.get("trailing") or {}).get("percent")
    if percent is None or not prints:
        return None
    best = (max if opened.sign > 0 else min)(units for _, units in prints)
    exact = Fraction(best, UNITS) * (1 - opened.sign * Fraction(str(percent)) / 100)
    return _on_grid(exact, opened, falls=opened.sign > 0)


def _on_grid(exact: Fraction, opened: Opened, *, falls: bool) -> int:
    """Round to the tick as a level does: down where falling prices reach it, else up."""
    steps = exact / Fraction(opened.tick_size)
    return int((floor(steps) if falls else ceil(steps)) * Fraction(opened.tick_size) * UNITS)


def attempt_fault(opened: Opened, kind: str, row: dict[str, Any], attempts_max: int) -> str | None:
    """I4: count the attempts in a row that failed, and say if another one is one too many.

    What keeps every order from the exchange uses up none: a wait for its end begins the count anew.
    An attempt counts from when its failure is known; the next one need not wait for the end of all
    its slices.
    """
    attempts = opened.fruitless_attempts
    match kind:
        case "order_planned" if row["role"] == "EXIT":
            if len(attempts) >= attempts_max:
                return f"planned after {len(attempts)} attempts in a row that failed"
        case "exit_attempt_failed":
            name = row["client_order_id"].rsplit("-", 1)[0]
            if name not in opened.failed_attempts:  # else one slice more of it, that ended later
                attempts.add(name)
            opened.failed_attempts.add(name)
        case "order_reported" if row["cumulative_quantity"]:
            attempts.clear()
        case "exit_blocked" if not row["reason"].startswith("rejected"):
            attempts.clear()
        case "exit_claimed" | "exit_escalated":
            attempts.clear()
        case _:
            pass
    return None


def stop_fault(opened: Opened, moved: dict[str, Any]) -> str | None:
    """I14: take in a stop that moved, and say if it is looser than before."""
    level, held = moved["stop_level"], opened.stop_level
    opened.stop_level = level if level is not None else held
    if held is None or (level is not None and (level - held) * opened.sign >= 0):
        return None
    return f"the stop was moved from {held} to {level}"
