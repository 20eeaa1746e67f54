"""Every broken engine is caught, with the shortest trace to its harm."""

import pytest

from squareoff.simulator.protocol_model.exploration import explore
from squareoff.simulator.protocol_model.protocol import Protocol
from squareoff.simulator.protocol_model.rules import Rule
from squareoff.simulator.protocol_model.variants import VARIANTS, Shortcut

CAUGHT_BY = {
    Shortcut.POST_BEFORE_JOURNAL: Rule.UNJOURNALLED,
    Shortcut.RESEND_AT_ONCE: Rule.TOO_MUCH,
    Shortcut.NEW_ATTEMPT_AT_ONCE: Rule.TOO_MUCH,
    Shortcut.RESIDUAL_AT_CANCEL: Rule.TOO_MUCH,
    Shortcut.READ_THEN_WRITE_CLAIM: Rule.TWO_INTENTS,
    Shortcut.NO_LEASE_RECHECK: Rule.EPOCH_GONE,
    Shortcut.HASTY_TAKEOVER: Rule.EPOCH_GONE,
    Shortcut.TRUST_DEDUPE: Rule.TOO_MUCH,
    Shortcut.CREDIT_LATE_REJECT: Rule.TOO_MUCH,
    Shortcut.TRUST_NOT_FOUND: Rule.TOO_MUCH,
    Shortcut.SUM_FILLS: Rule.OVERBOOKED,
    Shortcut.NEW_ID_ON_RESEND: Rule.NO_END,
    Shortcut.EXITED_ON_ACCEPT: Rule.EXITED_EARLY,
    Shortcut.IGNORE_NET: Rule.TOO_MUCH,
    Shortcut.IGNORE_KILL_AT_SEND: Rule.KILLED,
    Shortcut.MODIFY_WITH_REMAINING: Rule.UNLIKE_JOURNAL,
    Shortcut.FORGET_OTHER_ORDERS: Rule.TOO_MUCH,
    Shortcut.CANCEL_IS_FINAL: Rule.TOO_MUCH,
    Shortcut.RESTART_FORGETS_SENDS: Rule.TOO_MUCH,
    Shortcut.TRUST_LAGGING_READING: Rule.TOO_MUCH,
    Shortcut.FORGET_LAST_READING: Rule.TOO_MUCH,
    Shortcut.GIVE_UP_SILENTLY: Rule.NO_END,
    Shortcut.EXITED_ON_ANY_END: Rule.EXITED_EARLY,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_broken_engine_is_caught(name: str) -> None:
    """The shortcut breaks the rule that is there against it, and the trace tells every step."""
    variant = VARIANTS[name]
    found = explore(Protocol(variant.budget, variant.shortcut))

    assert len(found.violations) == 1
    violation = found.violations[0]
    print(violation.text())
    assert violation.rule is CAUGHT_BY[variant.shortcut]
    assert len(violation.trace) == found.depth + 1


@pytest.mark.parametrize("name", VARIANTS)
def test_the_sound_engine_lives_in_the_same_world(name: str) -> None:
    """It is the shortcut that does the harm: without it the same budget breaks nothing."""
    found = explore(Protocol(VARIANTS[name].budget))

    assert found.violations == []
    assert found.is_complete


def test_every_shortcut_is_tried() -> None:
    """Each shortcut has a variant, and each variant a rule that must catch it."""
    shortcuts = set(Shortcut) - {Shortcut.SOUND}

    assert {variant.shortcut for variant in VARIANTS.values()} == shortcuts == set(CAUGHT_BY)
