"""What the docs call by its name in the code is there under that name."""

import importlib
import pkgutil
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import squareoff
from generate_docs import documents

_QUOTED = re.compile(r"`(?P<owner>[A-Z]\w+)\.(?P<name>[a-z_]\w*)(?:\(\))?`")
_CORE = re.compile(r"`(?P<dotted>core(?:\.\w+)+)`")
_RUNS_WHEN_IMPORTED = ("__main__", "migrations")


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.name))
def test_every_attribute_that_is_named_exists(path: Path) -> None:
    """A method or field of a class of ours, quoted in a page, is one of that class."""
    assert missing_attributes(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.name))
def test_every_part_of_the_core_that_is_named_exists(path: Path) -> None:
    """`sending`, `price_hygiene.judge_tick`: a module, or what one of them defines."""
    found = _CORE.findall(path.read_text(encoding="utf-8"))

    assert [dotted for dotted in found if not _resolves(dotted)] == []


def test_a_name_that_is_gone_is_found() -> None:
    """Only classes of ours are looked at, and their own fields count as much as methods."""
    text = "`TriggerBook.cross` `TriggerBook.arm()` `Tick.exchange_time_ns` `Connection.execute`"

    assert missing_attributes(text) == ["TriggerBook.cross"]
    assert not _resolves("core.prices.price_hygiene.judge_everything")
    assert _resolves("core.prices.price_hygiene.judge_tick")
    assert _resolves("core.PriceWatch") is False, "a class is named by its module or alone"


def missing_attributes(text: str) -> list[str]:
    """Return each quoted `Class.attribute` whose class is ours and lacks it, in order."""
    return [
        f"{found['owner']}.{found['name']}"
        for found in _QUOTED.finditer(text)
        if found["owner"] in _classes()
        and not any(_has(owner, found["name"]) for owner in _classes()[found["owner"]])
    ]


def _has(owner: type, name: str) -> bool:
    """Say whether a class has a method or field of this name, also one set by `__init__`."""
    if hasattr(owner, name) or any(name in vars(c).get("__annotations__", {}) for c in owner.mro()):
        return True
    code = getattr(owner.__init__, "__code__", None)
    return code is not None and name in code.co_names


@cache
def _classes() -> dict[str, list[type]]:
    """Return all classes that the package defines, by name."""
    found: dict[str, list[type]] = defaultdict(list)
    for module in pkgutil.walk_packages(squareoff.__path__, "squareoff."):
        if not any(part in module.name for part in _RUNS_WHEN_IMPORTED):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and value.__module__ == module.name:
                    found[value.__name__].append(value)
    return dict(found)


def _resolves(dotted: str) -> bool:
    owner: Any = squareoff
    for depth, name in enumerate(dotted.split("."), 1):
        if not hasattr(owner, name):
            try:
                importlib.import_module(".".join(["squareoff", *dotted.split(".")[:depth]]))
            except ModuleNotFoundError:
                return False
        owner = getattr(owner, name)
    return True
