"""Tests of domain.rules: every rule has its urgency."""

from squareoff.domain.rules import RuleName, Urgency


def test_every_rule_has_an_urgency_and_stops_go_first() -> None:
    """Waiting exits go out as stop, trailing, target, time; a person's exit counts as a stop."""
    urgencies = {rule: Urgency.of_rule(rule) for rule in RuleName}

    assert urgencies[RuleName.MANUAL] is urgencies[RuleName.STOP_LOSS] is Urgency.STOP
    assert (
        Urgency.KILL_SWITCH
        < Urgency.STOP
        < urgencies[RuleName.TRAILING]
        < urgencies[RuleName.TARGET]
        < urgencies[RuleName.SQUARE_OFF]
        < Urgency.ENTRY
    )
