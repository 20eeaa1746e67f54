"""What must hold in every state, and where a run may end.

The rules look at the broker's truth and at the database, never at what the engine meant to do.
"""

from enum import IntEnum

from squareoff.simulator.protocol_model import layout as at


class Rule(IntEnum):
    """Everything that may be found violated, numbered for the state's `BROKEN` byte."""

    UNJOURNALLED = 1
    UNLIKE_JOURNAL = 2
    EPOCH_GONE = 3
    KILLED = 4
    EXITED_EARLY = 5
    TWO_INTENTS = 6
    TOO_MUCH = 7
    OVERBOOKED = 8
    UNTOLD = 9
    NO_END = 10
    STUCK = 11


SENTENCES = {
    Rule.UNJOURNALLED: "an order left that the journal does not hold (I3)",
    Rule.UNLIKE_JOURNAL: "an order at the broker is not what the journal says of it (I3)",
    Rule.EPOCH_GONE: "an engine sent whose epoch was gone (I16)",
    Rule.KILLED: "an order left although the kill switch stood at level all (I9)",
    Rule.EXITED_EARLY: "EXITED with something still held or still able to fill (I4)",
    Rule.TWO_INTENTS: "one position has two live intents (I1)",
    Rule.TOO_MUCH: "fills and open exits exceed what was held, less what others were seen to close"
    " (I2)",
    Rule.OVERBOOKED: "our book shows fills that the broker does not know (I12)",
    Rule.UNTOLD: "an over-exit, and nobody was called (I2d)",
    Rule.NO_END: "nothing more will happen, and this is no end (I4)",
    Rule.STUCK: "no end can be reached from here once faults stop (I4)",
}


def end_rule(state: bytes, net: int, *, is_book_true: bool) -> Rule | None:
    """Return the rule that a state breaks in which nothing more happens by itself, None for none.

    An end is a position EXITED and agreed with the broker, one held by the kill switch, or one that
    a person was called for. With an over-exit a person must have been called in any case.
    """
    intent = state[at.INTENT]
    if net < 0 and not state[at.ALARM] and not state[at.KILL]:
        return Rule.UNTOLD
    if intent == at.EXITED:
        return None if is_book_true else Rule.NO_END
    is_held = state[at.KILL] == 1
    is_called = intent == at.NEEDS_HUMAN and state[at.ALARM] != 0
    return None if is_held or is_called else Rule.NO_END
