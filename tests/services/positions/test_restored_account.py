"""What a copy of an account is told of the database that it replaces."""

from typing import Any

import pytest

from squareoff.core.state.facts import AccountRuleFired, ExitAllEnded, KillSwitchSet
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.copies import replace
from squareoff.ports import AccountDayState, ExitAllState, KillSwitchState
from squareoff.services.positions.restored_account import AccountStanding, carried_over

OFF = KillSwitchState(active=False, level="new", reason="")
NEW = KillSwitchState(active=True, level="new", reason="storm")
ALL = KillSwitchState(active=True, level="all", reason="fire")
PLAIN = AccountStanding(OFF, None, None)
WISH = ExitAllState("all-1", "storm", False, 5)
LOSS, TARGET = AccountRuleName.MAX_LOSS, AccountRuleName.TARGET
FIRED = AccountDayState("2026-09-15", spent=(LOSS,), reason="loss", fired_at_ns=7)


@pytest.mark.parametrize(
    ("copy", "replaced", "stays"),
    [
        (OFF, OFF, OFF),
        (OFF, NEW, NEW),
        (NEW, ALL, ALL),
        (NEW, OFF, NEW),
        (ALL, NEW, ALL),
        (NEW, replace(NEW, reason="newer"), replace(NEW, reason="newer")),
    ],
)
def test_the_stricter_switch_of_both_stays(
    copy: KillSwitchState, replaced: KillSwitchState, stays: KillSwitchState
) -> None:
    """It is told in one line, and written only where the copy has another one."""
    found = carried_over(replace(PLAIN, switch=copy), replace(PLAIN, switch=replaced))

    is_news = (KillSwitchSet(stays.active, stays.level, stays.reason),)
    assert found.facts == (() if stays == copy else is_news)
    assert len(found.texts) == stays.active
    assert all(stays.reason in text and stays.level in text for text in found.texts)


@pytest.mark.parametrize(
    ("copy", "replaced", "ended", "told"),
    [
        (WISH, None, True, 1),
        (WISH, WISH, True, 1),
        (WISH, replace(WISH, outcome="closed"), True, 1),
        (WISH, replace(WISH, operation_id="all-2"), True, 2),
        (replace(WISH, outcome="closed"), WISH, False, 1),
        (None, WISH, False, 1),
        (replace(WISH, outcome="closed"), None, False, 0),
    ],
)
def test_no_wish_to_close_everything_comes_to_life(
    copy: Any, replaced: Any, ended: bool, told: int
) -> None:
    """One that runs in the copy is ended; one that ran anywhere is told, each once."""
    found = carried_over(replace(PLAIN, wish=copy), replace(PLAIN, wish=replaced))

    assert [type(fact) for fact in found.facts] == [ExitAllEnded] * ended
    assert len(found.texts) == told


@pytest.mark.parametrize(
    ("copy", "replaced", "spent", "closes_all"),
    [
        (None, FIRED, (LOSS,), True),
        (AccountDayState("2026-09-15", spent=(TARGET,)), FIRED, (LOSS, TARGET), True),
        (replace(FIRED, day="2026-09-14"), FIRED, (LOSS,), True),
        (None, replace(FIRED, fired_at_ns=None), (LOSS,), False),
        (FIRED, FIRED, None, None),
        (FIRED, AccountDayState("2026-09-15"), None, None),
        (AccountDayState("2026-09-16"), FIRED, None, None),
    ],
)
def test_what_fired_stays_fired(copy: Any, replaced: Any, spent: Any, closes_all: Any) -> None:
    """Of the newest day; its reason is kept, by which the switch is lifted on the next one."""
    found = carried_over(replace(PLAIN, day=copy), replace(PLAIN, day=replaced))

    if spent is None:
        assert found.facts == found.texts == ()
        return
    (fact,) = found.facts
    assert isinstance(fact, AccountRuleFired)
    assert (fact.day, fact.reason) == ("2026-09-15", "loss")
    assert (fact.spent, fact.closes_all) == (spent, closes_all)
    assert "max_loss fired on 2026-09-15" in found.texts[0]


def test_an_unreadable_database_still_ends_the_copys_wish() -> None:
    """And the copy's own switch stays, told as the copy's."""
    found = carried_over(AccountStanding(NEW, WISH, FIRED), None)

    assert [type(fact) for fact in found.facts] == [ExitAllEnded]
    assert ["exit-all" in found.texts[0], "the copy" in found.texts[1]] == [True, True]
