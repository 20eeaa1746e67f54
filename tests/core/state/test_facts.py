"""Tests of core.state.facts and core.state.inputs: closed lists, each with a name and a handler."""

import dataclasses
import typing

import pytest

from squareoff.core.exits import exit_protocol
from squareoff.core.state import evolve, order_fold
from squareoff.core.state.commands import Command
from squareoff.core.state.facts import (
    FACT_TYPES,
    AccountFact,
    TrackerFact,
    TrackerOpened,
    fact_kind,
)
from squareoff.core.state.inputs import Input


def test_kinds_are_unique_snake_case_names() -> None:
    """A fact's kind is its class name in snake case, and no two share one."""
    facts = (*typing.get_args(TrackerFact), *typing.get_args(AccountFact))

    assert len(FACT_TYPES) == len(facts)
    assert fact_kind(TrackerOpened) == "tracker_opened"
    assert all(kind == kind.lower() and kind.isidentifier() for kind in FACT_TYPES)


def test_every_tracker_fact_can_be_folded() -> None:
    """No fact of a tracker can be journalled that a replay could not read."""
    folded = {*evolve._STEPS, *order_fold._STEPS, TrackerOpened}

    assert folded == set(typing.get_args(TrackerFact))


def test_every_input_has_a_handler() -> None:
    """Whatever the outside may tell is understood."""
    assert set(exit_protocol._INPUTS) == set(typing.get_args(Input))


@pytest.mark.parametrize(
    "kind", [*FACT_TYPES.values(), *typing.get_args(Input), *typing.get_args(Command)]
)
def test_values_are_frozen_with_slots(kind: type) -> None:
    """Nothing changes a fact, an input or a command after it is made."""
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert hasattr(kind, "__slots__")
