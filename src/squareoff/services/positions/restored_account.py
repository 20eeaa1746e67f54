"""What a restored account must not forget of the database that its copy replaces.

Positions and orders are learned from the broker; what a person or a rule of the account has said is
nowhere but in the database. Invariants:
1. What holds orders back is never loosened by a restore: the stricter kill switch of both stays.
2. No wish to close everything comes to life by it: a person has to ask again.
3. Rules of the account that fired stay fired for their day.
"""

from dataclasses import dataclass

from squareoff.core.state.facts import AccountFact, AccountRuleFired, ExitAllEnded, KillSwitchSet
from squareoff.domain.account_rules import AccountRuleName
from squareoff.ports import AccountDayState, ExitAllState, KillSwitchState
from squareoff.services.account.kill_switch import strictness

_WISH_ENDED = "the database was restored from a copy that was made while this was going on"


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """What a database holds of an account beside its positions."""

    switch: KillSwitchState
    wish: ExitAllState | None
    day: AccountDayState | None


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """What the copy is to be told, in the journal, and what the one who restores is to be told."""

    facts: tuple[AccountFact, ...]
    texts: tuple[str, ...]


def carried_over(copy: AccountStanding, replaced: AccountStanding | None) -> CarriedOver:
    """Return what makes the copy fit to go on; `replaced` is None where it could not be read."""
    parts = [_wish(copy.wish, None if replaced is None else replaced.wish)]
    parts.append(_switch(copy.switch, None if replaced is None else replaced.switch))
    if replaced is not None and replaced.day is not None:
        parts.append(_fired(copy.day or AccountDayState(""), replaced.day))
    return CarriedOver(
        tuple(fact for part in parts for fact in part.facts),
        tuple(text for part in parts for text in part.texts),
    )


def _switch(copy: KillSwitchState, replaced: KillSwitchState | None) -> CarriedOver:
    switch, source = copy, "the copy"
    if replaced is not None and strictness(replaced) >= strictness(copy):
        switch, source = replaced, "the replaced database"
    if not switch.active:
        return CarriedOver((), ())
    text = f"kill switch: on at level {switch.level}, as in {source} ({switch.reason})"
    fact = KillSwitchSet(switch.active, switch.level, switch.reason)
    return CarriedOver(() if switch == copy else (fact,), (text,))


def _wish(copy: ExitAllState | None, replaced: ExitAllState | None) -> CarriedOver:
    facts: list[AccountFact] = []
    texts: dict[str, str] = {}
    if replaced is not None and replaced.is_running:
        texts[replaced.operation_id] = replaced.reason
    if copy is not None and copy.is_running:
        texts[copy.operation_id] = copy.reason
        facts.append(ExitAllEnded(copy.operation_id, "lifted", _WISH_ENDED))
    told = (f"exit-all: ended; ask again if it is still wanted ({text})" for text in texts.values())
    return CarriedOver(tuple(facts), tuple(told))


def _fired(copy: AccountDayState, replaced: AccountDayState) -> CarriedOver:
    """Bring the day of the copy up to what fired; an older day of a later copy tells nothing."""
    known = copy.on(max(copy.day, replaced.day)).spent
    missing = [rule for rule in replaced.spent if rule not in known]
    if replaced.day < copy.day or not missing:
        return CarriedOver((), ())
    fact = AccountRuleFired(
        day=replaced.day,
        rule=missing[0],
        reason=replaced.reason,
        spent=tuple(rule for rule in AccountRuleName if rule in (*known, *missing)),
        closes_all=replaced.fired_at_ns is not None,
    )
    names = ", ".join(rule.value for rule in missing)
    return CarriedOver((fact,), (f"account rules: {names} fired on {replaced.day} and stay so",))
