"""Refuse what would hold a position longer or let more orders out, for those who may only tighten.

The checks wait for nothing: what they compare with is what stands when they return.
"""

from squareoff.core.rules.rule_tightness import loosened_rules
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import DomainError
from squareoff.domain.rules import RuleSet
from squareoff.ports import KillSwitchState
from squareoff.services.account.kill_switch import strictness

CODE = "role_too_low"


def refuse_looser_rules(tracker: PositionTracker, rules: RuleSet) -> None:
    """Raise DomainError("role_too_low") where these rules loosen any of the tracker's."""
    loosened = loosened_rules(tracker.rules, rules, tracker.side)
    if loosened:
        text = f"{', '.join(loosened)} would be loosened: that needs the role admin"
        raise DomainError(CODE, text, f"rules.{loosened[0]}")


def refuse_looser_switch(state: KillSwitchState, wanted: KillSwitchState) -> None:
    """Raise DomainError("role_too_low") where `wanted` holds back less than `state`."""
    if strictness(wanted) < strictness(state):
        text = "the kill switch would hold back less: that needs the role admin"
        raise DomainError(CODE, text, "level" if wanted.active else "active")
