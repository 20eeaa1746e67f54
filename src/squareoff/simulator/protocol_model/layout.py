"""The bytes of one state: a header, then a block per order with two sends each.

A state is one `bytes` value: small, hashable at once, and equal exactly when the situation is.
"""

from squareoff.simulator.protocol_model.order_rules import Outcome, Status

# Header.
KILL = 0
"""1 while the kill switch stands at level `all`."""
OWNER = 1
"""The engine whose epoch the database holds."""
MODES = 2
"""Two bytes, one per engine: DOWN, STANDBY, OWNING, PAUSED or LAPSED."""
INTENT = 4
EXTERNAL = 5
"""What other people closed so far."""
EXTERNAL_SIZED = 6
"""How much of it showed in the reading that the newest plan was sized by."""
EXTERNAL_BOOKED = 7
REPLICA_NET = 8
"""Net position that a reading shows, plus NET_ZERO: the truth of some past moment."""
REPLICA_EXTERNAL = 9
LATELY = 10
"""Fills booked so shortly ago that a reading may lack them."""
ALARM = 11
BROKEN = 12
"""Number of the rule that the last step broke, 0 for none."""
BEYOND = 13
"""1 once something beyond the bound happened: then over-exits must be told, not prevented."""
ATTEMPT = 14
CLAIM_READ = 15
"""Bits of engines that have read an unclaimed position (only where claims read, then write)."""
TOTAL = 16
"""How many faults and doings of people are left in all; each also has a budget of its own."""
BUDGETS = 17
BUDGET_NAMES = (
    "crash",
    "pause",
    "drop",
    "delay",
    "cancel",
    "reject",
    "rest",
    "external",
    "kill",
    "outlaw",
)
HEADER = BUDGETS + len(BUDGET_NAMES)
NET_ZERO = 8

CRASH, PAUSE, DROP, DELAY, CANCEL, REJECT, REST, EXTERNAL_TRADE, KILL_THROWN, OUTLAW = range(
    BUDGETS, HEADER
)


def pay(state: bytearray, budget: int) -> None:
    """Take one from a budget and from the total; states with nothing left in all are one state."""
    state[budget] -= 1
    state[TOTAL] -= 1
    if state[TOTAL] == 0:
        state[BUDGETS:HEADER] = bytes(HEADER - BUDGETS)


# Engine modes.
DOWN, STANDBY, OWNING, PAUSED, LAPSED = range(5)
MODE_NAMES = ("down", "standby", "owner", "paused", "lease lost")

# Intent.
UNCLAIMED, WANTED, BLOCKED, NEEDS_HUMAN, EXITED, TWICE = range(6)
INTENT_NAMES = ("unclaimed", "OPEN", "BLOCKED", "NEEDS_HUMAN", "EXITED", "claimed twice")

# Alarms, as bits.
OVER_EXIT_TOLD, ATTEMPTS_TOLD = 1, 2

# One order.
PHASE, QUANTITY, ORDER_ATTEMPT = 0, 1, 2
FIRST_SLOT = 3
SLOT = 5
SLOTS = 2
ORDER = FIRST_SLOT + SLOT * SLOTS
UNUSED, PLANNED, BEGUN, FORGOTTEN = range(4)
"""FORGOTTEN: only a broken engine stops watching an order."""

# One send, at FIRST_SLOT + SLOT * number.
OUTCOME, WIRE, AT_BROKER, RECORD, CONTROL = range(5)
"""AT_BROKER and RECORD hold `status * 4 + cumulative quantity`; CONTROL `modifies * 4 + wire`."""

NOTHING, PENDING_0, PENDING_1, AWAITED, UNAWAITED, REPLY_YES, REPLY_NO = range(7)
"""The request: not yet written by an engine, under way (answer awaited or not), answer under way.
"""
WIRE_NAMES = (
    "",
    "committed by engine 0",
    "committed by engine 1",
    "in the network",
    "in the network, given up",
    "accepted, reply on its way",
    "refused, reply on its way",
)
MODIFY_UNDER_WAY, CANCEL_UNDER_WAY = 1, 2


def packed(status: int, quantity: int) -> int:
    """Return status and quantity as one byte."""
    return status * 4 + quantity


def slot_at(number: int) -> int:
    """Return where the bytes of a send begin within its order."""
    return FIRST_SLOT + SLOT * number


def describe(state: bytes) -> str:
    """Return the state in words, for traces."""
    engines = " ".join(
        f"engine {e} {MODE_NAMES[state[MODES + e]]}{'*' if state[OWNER] == e else ''}"
        for e in (0, 1)
    )
    parts = [f"intent {INTENT_NAMES[state[INTENT]]}", engines]
    if state[EXTERNAL]:
        parts.append(f"others closed {state[EXTERNAL]}")
    if state[KILL]:
        parts.append("kill switch on")
    if state[ALARM]:
        parts.append("a person was called")
    for place, start in enumerate(range(HEADER, len(state), ORDER), start=1):
        if state[start]:
            parts.append(f"order {place}: {_describe_order(state[start : start + ORDER])}")
    return "; ".join(parts)


def _describe_order(order: bytes) -> str:
    words = [f"{order[QUANTITY]} units"]
    if order[PHASE] == PLANNED:
        words.append("planned")
    for number in range(SLOTS):
        outcome, wire, broker, record, control = order[slot_at(number) : slot_at(number + 1)]
        if not (outcome or wire or broker):
            continue
        told = [Outcome(outcome).name, WIRE_NAMES[wire]]
        if broker:
            told.append(f"at the broker {Status(broker // 4).name} {broker % 4}")
        if record:
            told.append(f"booked {Status(record // 4).name} {record % 4}")
        told.append(("", "modify under way", "cancel under way")[control % 4])
        words.append(f"send {number + 1} {', '.join(filter(None, told))}")
    return " / ".join(words)
