"""Tests of domain.copies: copies equal those of `dataclasses.replace`."""

import dataclasses
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from squareoff.core.state import pacing, tracker
from squareoff.domain import copies
from squareoff.domain.copies import replace


def _dataclasses_of(module: ModuleType) -> list[type[Any]]:
    own = [each for each in vars(module).values() if isinstance(each, type)]
    return [
        each
        for each in own
        if dataclasses.is_dataclass(each) and each.__module__ == module.__name__
    ]


@dataclass(frozen=True, slots=True)
class _Plain:
    """A value like those of the core."""

    name: str
    count: int = 0
    parts: tuple[int, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Single:
    """A value of one field."""

    count: int


@dataclass(frozen=True, slots=True)
class _Wider(_Plain):
    """A value that inherits fields."""

    more: str = ""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A value that checks itself when it is made."""

    count: int

    def __post_init__(self) -> None:
        assert self.count > 0


@dataclass(frozen=True)
class _Open:
    """A value without slots."""

    count: int


@pytest.mark.parametrize("changes", [{}, {"count": 2}, {"name": "b", "parts": (1, 2)}])
def test_a_copy_is_what_dataclasses_make(changes: dict[str, Any]) -> None:
    """Same class, same fields, a new object; the original stays as it was."""
    value = _Plain("a", 1, (1,))
    before = dataclasses.astuple(value)

    copy = replace(value, **changes)

    assert copy == dataclasses.replace(value, **changes)
    assert type(copy) is type(value)
    assert copy is not value
    assert dataclasses.astuple(value) == before


def test_a_value_of_one_field_is_copied() -> None:
    """One field is enough."""
    assert replace(_Single(1), count=2) == _Single(2)
    assert replace(_Single(1)) == _Single(1)


def test_a_copy_is_frozen() -> None:
    """Nothing changes a copy after it is made."""
    copy: Any = replace(_Plain("a"), count=1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.count = 2


def test_an_unknown_field_is_refused() -> None:
    """A misspelt field never passes."""
    unknown: dict[str, Any] = {"qty": 1}

    with pytest.raises(TypeError, match="qty"):
        replace(_Plain("a"), **unknown)


@pytest.mark.parametrize("value", [_Checked(1), _Open(1), _Wider("a")])
def test_a_class_that_cannot_be_copied_so_is_refused(value: Any) -> None:
    """A class whose checks would be skipped, without slots or with a base, is never copied here."""
    with pytest.raises(AssertionError):
        replace(value, count=2)


@pytest.mark.parametrize(
    "frozen", [each for module in (tracker, pacing) for each in _dataclasses_of(module)]
)
def test_the_parts_of_a_position_are_prepared(
    frozen: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first exit of a process makes no sister: what a module defines is prepared with it."""
    made: list[type[Any]] = []
    monkeypatch.setattr(copies, "prepare_copies", lambda *classes: made.extend(classes))
    value = object.__new__(frozen)
    for part in dataclasses.fields(frozen):
        object.__setattr__(value, part.name, None)

    assert replace(value) == value
    assert made == []
