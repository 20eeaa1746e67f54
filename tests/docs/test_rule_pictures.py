"""Every exit rule has a picture that the engine drew, and the page shows it."""

from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest

from generated_docs.rule_pictures import rule_pictures
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.rules import RuleSet

PAGE = Path("docs/rules.md").read_text(encoding="utf-8")
ACCOUNT_BY_TIME = "square_off_at"
"""The account's square-off is the position's, for all of them."""

WANTED = [each.name for each in fields(RuleSet)] + [
    f"account-{each.name}" for each in fields(AccountRules) if each.name != ACCOUNT_BY_TIME
]


@pytest.mark.parametrize("rule", WANTED)
def test_every_rule_is_drawn(rule: str) -> None:
    """There is a picture of its name."""
    assert f"{rule}.svg" in rule_pictures()


@pytest.mark.parametrize("name", rule_pictures())
def test_every_picture_is_shown_and_says_what_fires(name: str) -> None:
    """It is plain SVG that loads nothing, and stands on the page with words for who cannot see."""
    text = rule_pictures()[name]()
    root = ElementTree.fromstring(text)
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert any(word.startswith("fires at ") for word in words)
    assert "href" not in text
    assert f"](images/rules/{name})" in PAGE
    assert f"![](images/rules/{name})" not in PAGE
