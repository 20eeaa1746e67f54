"""Faults are said in our words, without what must not be shown."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from squareoff.config.fault_texts import fault_text, path_text, shown


class Sample(BaseModel, extra="forbid"):
    """A model to be wrong about."""

    count: Annotated[int, Field(le=5)] = 1
    name: str = ""
    url: Annotated[str, Field(pattern="^x")] = "x"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"count": "x"}, "must be a whole number, was 'x'"),
        ({"count": 9}, "must be at most 5, was 9"),
        ({"count": [1]}, "must be a whole number"),
        ({"name": 1}, "must be text, was 1"),
        ({"url": "y"}, "must match ^x, was 'y'"),
        ({"other": 1}, "unknown"),
    ],
)
def test_a_fault_says_what_it_must_be_and_what_it_was(values: object, text: str) -> None:
    """The clause reads after the field's name."""
    assert _text_of(values, show_input=True) == text


def test_a_value_that_may_be_secret_is_not_shown() -> None:
    """Without leave to show it, only what it must be is said."""
    assert _text_of({"url": "secret"}, show_input=False) == "must match ^x"


def test_paths_and_values_are_short() -> None:
    """List positions stand in brackets, long values are cut."""
    assert path_text(("tiers", 0, "percent")) == "tiers[0].percent"
    assert len(shown("x" * 500)) == 60


def _text_of(values: object, *, show_input: bool) -> str:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(values)
    (error,) = caught.value.errors()
    return fault_text(error, show_input=show_input)
