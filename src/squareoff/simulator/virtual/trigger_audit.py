"""I8: the price that fired a rule was really traded, when its source says so, beyond the level.

Part of the auditor: it knows what the market printed, and of the engine only the journal's words.
A tick was traded just before. The broker's quote is the last trade, however long ago. The day's
range holds what was traded at any time while the position was held, and was the day's extreme.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Print = tuple[int, int]
"""When it was traded (UTC ns), and the price units."""

GRAIN_NS = 1_000_000_000
"""The broker tells trade times in whole seconds."""


IST_NS = 19_800 * GRAIN_NS
DAY_NS = 86_400 * GRAIN_NS


class Held(NamedTuple):
    """The position that fired: since when it is held, and the sign of its quantity."""

    opened_ns: int
    sign: int


class Slack(NamedTuple):
    """How late a price may be told, and how wrong our clock may be."""

    fresh_ns: int
    clock_ns: int


def trigger_faults(
    claim: dict[str, Any], prints: Sequence[Print], held: Held, slack: Slack
) -> Iterator[str]:
    """Give what is wrong with the trigger of a claim, as the journal holds it."""
    trigger, reason = claim["trigger"], claim.get("reason", "")
    price, level = trigger["price"], trigger["level"]
    if "(the day's new " in reason:
        sign = 1 if "new high" in reason else -1
        if not _was_extreme(trigger, sign, prints, held, slack):
            yield "which was no extreme of the day while it was held"
    elif "the broker's REST quote" in reason:
        if not _was_last_trade(trigger, prints, slack):
            yield "which was not the last trade then"
    else:
        yield from _tick_faults(trigger, prints, slack)
    toward_profit = (price - level) * held.sign
    if (toward_profit < 0) if trigger["rule"] == "target" else (toward_profit > 0):
        yield f"which is not beyond its level {level}"


def _tick_faults(trigger: dict[str, Any], prints: Sequence[Print], slack: Slack) -> Iterator[str]:
    price, received_ns = trigger["price"], trigger["received_time_ns"]
    was_traded = any(
        at == price and abs(received_ns - at_ns) <= slack.fresh_ns for at_ns, at in reversed(prints)
    )
    # By a clock of another day no circuit limits are of today: two absurd prints can confirm each
    # other (docs/decisions/17).
    knows_limits = _day(received_ns) == _day(trigger["exchange_time_ns"])
    if not was_traded and knows_limits:
        yield "which was not traded then"
    age_ns = received_ns - trigger["exchange_time_ns"]
    if age_ns > slack.fresh_ns:
        yield f"traded {age_ns / 1e9:.0f} s before"


def _day(time_ns: int) -> int:
    return (time_ns + IST_NS) // DAY_NS


def _was_last_trade(trigger: dict[str, Any], prints: Sequence[Print], slack: Slack) -> bool:
    """Say whether it was traded in that second, and nothing else long before it was told."""
    ends = [at_ns for at_ns, _ in prints[1:]] + [trigger["received_time_ns"] + slack.fresh_ns]
    return any(
        at == trigger["price"]
        and abs(at_ns - trigger["exchange_time_ns"]) <= GRAIN_NS + slack.clock_ns
        and trigger["received_time_ns"] - end_ns <= slack.fresh_ns
        for (at_ns, at), end_ns in zip(prints, ends, strict=True)
    )


def _was_extreme(
    trigger: dict[str, Any], sign: int, prints: Sequence[Print], held: Held, slack: Slack
) -> bool:
    """Say whether it was traded while held, and nothing beyond it that day surely before it was
    told."""
    price, told_ns = trigger["price"], trigger["received_time_ns"]
    surely_before_ns, today = told_ns - slack.fresh_ns, _day(trigger["exchange_time_ns"])
    prints = [(at_ns, at) for at_ns, at in prints if _day(at_ns) == today]
    is_within = all(sign * (price - at) >= 0 for at_ns, at in prints if at_ns <= surely_before_ns)
    return is_within and any(
        at == price and held.opened_ns - slack.clock_ns <= at_ns <= told_ns + slack.clock_ns
        for at_ns, at in prints
    )
