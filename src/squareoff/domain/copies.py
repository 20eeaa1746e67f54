"""Copy a frozen value with some fields changed: `dataclasses.replace`, several times as fast.

Every decision copies a tracker, its orders and their pacing many times. `dataclasses.replace` looks
each field up by its name and sets it through `object.__setattr__`, as a frozen class must. Here a
copy is first made as a sister class of the same slots that is not frozen, whose fields are set
directly, and then given its own class.

Invariants:
1. The copy equals what `dataclasses.replace` returns, and an unknown field is refused alike.
2. Only `@dataclass(frozen=True, slots=True)` without base and `__post_init__` are copied.
"""

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

Value = TypeVar("Value")

if TYPE_CHECKING:  # so that names and types of the changed fields are checked
    from dataclasses import replace as replace
else:

    def replace(value: Value, /, **changes: Any) -> Value:
        """Return a copy of `value` with these fields changed."""
        frozen = type(value)
        sister = _SISTERS.get(frozen)
        if sister is None:
            prepare_copies(frozen)
            sister = _SISTERS[frozen]
        values = list(sister.values_of(value))
        for name, changed in changes.items():
            if name not in sister.places:
                raise TypeError(f"{frozen.__name__} has no field {name!r}")
            values[sister.places[name]] = changed
        copy = sister.make(*values)
        copy.__class__ = frozen
        return copy


def prepare_copies(*classes: type[Any]) -> None:
    """Make the sisters of these classes now: made with their first copy, those of a position would
    hold up the first exit of a process by some milliseconds."""
    for frozen in classes:
        _SISTERS[frozen] = _Sister(frozen)


class _Sister:
    """How one class is copied: all its values in their order, and what makes a copy of them."""

    def __init__(self, frozen: type[Any]) -> None:
        name = frozen.__name__
        names = [field.name for field in fields(frozen)]
        assert frozen.__bases__ == (object,), f"{name} has slots of a base"
        assert "__slots__" in vars(frozen), f"{name} has no slots"
        assert not hasattr(frozen, "__post_init__"), f"{name} would skip its checks"
        get = attrgetter(*names)
        self.values_of: Callable[[Any], tuple[Any, ...]] = (
            get if len(names) > 1 else lambda value: (get(value),)
        )
        self.places = {name: place for place, name in enumerate(names)}
        self.make: Callable[..., Any] = make_dataclass(name, names, slots=True)


_SISTERS: dict[type[Any], _Sister] = {}
