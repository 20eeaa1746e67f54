"""Facts and rules as JSON text."""

import json
from datetime import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql_samples.histories import claimed
from squareoff.adapters.sql.codec import (
    decode_fact,
    decode_rules,
    encode_fact,
    encode_rules,
)
from squareoff.core.state.facts import FACT_TYPES, AlarmRaised, Fact, Severity, fact_kind
from squareoff.domain.errors import StoreError
from squareoff.domain.rules import RuleSet

# 64 bits hold every quantity, price unit and nanosecond we know; broker text is real Unicode.
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"])))
st.register_type_strategy(time, st.times())


@pytest.mark.parametrize("kind", FACT_TYPES)
@given(data=st.data())
def test_every_fact_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    """Encoding and decoding gives back an equal fact of the same class, down to each decimal."""
    fact: Fact = data.draw(st.from_type(FACT_TYPES[kind]))

    text = encode_fact(fact)

    assert decode_fact(kind, text) == fact
    assert encode_fact(decode_fact(kind, text)) == text


@given(st.from_type(RuleSet))
def test_every_rule_set_comes_back_as_it_was(rules: RuleSet) -> None:
    """Encoding and decoding gives back an equal rule set."""
    assert decode_rules(encode_rules(rules)) == rules


def test_json_keys_are_the_field_names_and_sorted() -> None:
    """The journal's keys are the fact's fields in sorted order, whatever order the class has."""
    fields = json.loads(encode_fact(claimed()))

    assert list(fields) == ["intent_id", "reason", "tracker_id", "trigger"]
    assert fields["reason"] == claimed().reason


def test_an_unknown_kind_is_refused_by_name() -> None:
    """A kind that this version does not know is named, with what to do."""
    with pytest.raises(StoreError, match=r"unknown kind 'order_teleported'.*newer"):
        decode_fact("order_teleported", "{}")


@pytest.mark.parametrize("text", ["", "{", "{}", '{"tracker_id": 7, "rules": {}}'])
def test_a_damaged_text_is_refused(text: str) -> None:
    """Text that does not make the fact raises a StoreError that names the kind."""
    with pytest.raises(StoreError, match="rules_changed"):
        decode_fact("rules_changed", text)


def test_damaged_rules_are_refused() -> None:
    """Stored rules that cannot be read raise a StoreError."""
    with pytest.raises(StoreError, match="stored rules"):
        decode_rules('{"tiers": 1}')


def test_text_that_is_no_unicode_is_refused() -> None:
    """A lone surrogate cannot be stored and raises a StoreError, not a foreign error."""
    with pytest.raises(StoreError, match="AlarmRaised cannot be written"):
        encode_fact(AlarmRaised(Severity.WARNING, "code", "\ud800"))


def test_kinds_are_the_class_names() -> None:
    """Each kind decodes to the class that it is named after."""
    assert all(fact_kind(fact_type) == kind for kind, fact_type in FACT_TYPES.items())
