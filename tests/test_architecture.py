"""The shape of the code: layers, purity, docstrings, lengths, and exceptions that are not hidden.

Each check is also tried on small bad samples: a check that cannot fail is worthless.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from architecture.layers import check_cycles, check_hidden_imports, check_layers
from architecture.purity import check_purity, check_world
from architecture.shape import check_broad_excepts, check_docstrings, check_lengths
from architecture.source import Finding, SourceModule, load_tree, parse_module

SOURCE_FOLDER = Path(__file__).resolve().parents[1] / "src" / "squareoff"

REAL_WORLD_ALLOWED: dict[tuple[str, str], str] = {}
"""(module, rule) -> reason: the only places outside adapters that may use real time and such."""

BROAD_EXCEPTS_ALLOWED: dict[str, str] = {
    "squareoff.services.orders.placer.Placer._run": (
        "top of a command's task: a defect within one position halts that position and alarms, "
        "and other exits go on"
    ),
    "squareoff.adapters.sql.worker_thread.WorkerThread._run": (
        "every failure of a call is handed to whoever waits for it, and the next call is made"
    ),
    "squareoff.adapters.sql.group_commit.write_each": (
        "the one write of the group that failed meets its failure again by itself, and tells it"
    ),
    "squareoff.adapters.sql.group_commit._one_by_one": (
        "every failure of a write is handed to whoever asked for it, and the next one is made"
    ),
    "squareoff.services.positions.broker_reads.BrokerReads.positions_ahead": (
        "nobody waits for a reading made ahead; whoever needs it meets the failure himself"
    ),
    "squareoff.web.server.serve_for_good": (
        "top of the API: a server that fails is logged and replaced, and the engine goes on"
    ),
    "squareoff.web.commands._answer": (
        "top of a call that changes something: logged and answered as a defect, so that the trail "
        "of commands holds its end"
    ),
    "squareoff.simulator.campaign.runner.run_one": (
        "top of one simulated run: whatever the harness raises is reported with its seed"
    ),
    "squareoff.simulator.campaign.fuzz.frames._try": "an exception that escapes is the finding",
    "squareoff.simulator.campaign.fuzz.answers._try": "an exception that escapes is the finding",
    "squareoff.simulator.campaign.fuzz.packets._try": "an exception that escapes is the finding",
}
"""`module.Class.function` -> reason: task tops that record, alarm and halt instead of raising."""

_Key = TypeVar("_Key", str, tuple[str, str])

Check = Callable[[Sequence[SourceModule]], Iterable[Finding]]
CHECKS: dict[str, Check] = {
    "layers": check_layers,
    "cycles": check_cycles,
    "hidden-imports": check_hidden_imports,
    "purity": check_purity,
    "real-world": lambda modules: check_world(modules, _of(modules, REAL_WORLD_ALLOWED)),
    "docstrings": check_docstrings,
    "lengths": check_lengths,
    "broad-excepts": lambda modules: check_broad_excepts(
        modules, _of(modules, BROAD_EXCEPTS_ALLOWED)
    ),
}


def _of(modules: Sequence[SourceModule], allowed: dict[_Key, str]) -> dict[_Key, str]:
    """Return all entries for the tree, and those of its module for a sample of one."""
    if len(modules) > 1:
        return allowed
    names = tuple(f"{module.name}." for module in modules)
    return {
        key: reason
        for key, reason in allowed.items()
        if f"{key if isinstance(key, str) else key[0]}.".startswith(names)
    }


@pytest.fixture(scope="module")
def tree() -> list[SourceModule]:
    """Read the whole source tree once."""
    modules = load_tree(SOURCE_FOLDER)
    assert len(modules) > 1, "the source folder was not found"
    return modules


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_the_tree_keeps_the_rule(check: Check, tree: list[SourceModule]) -> None:
    """The source tree breaks none of our rules that a parser can check."""
    findings = [str(finding) for finding in check(tree)]

    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


_LONG_BODY = "".join(f"    x = {number}\n" for number in range(61))
_SWALLOW = "def f():\n    try:\n        g()\n    except {caught}:\n        {last}\n"

BAD_SAMPLES: dict[str, tuple[str, str, str]] = {
    # name: (rule, module, text)
    "core imports services": ("layers", "core.a", "import squareoff.services.b"),
    "core imports exchange": ("layers", "core.a", "from squareoff.exchange import book"),
    "exchange imports core": ("layers", "exchange.a", "from squareoff import core"),
    "services import adapters": ("layers", "services.a", "from squareoff.adapters.b import C"),
    "service imports the desk": (
        "layers",
        "services.a.b",
        "from squareoff.services.desk.c import d",
    ),
    "adapters import services": ("layers", "adapters.a", "from ..services import b"),
    "ports import services": ("layers", "ports", "from squareoff.services import b"),
    "bootstrap imports simulator": ("layers", "bootstrap", "import squareoff.simulator as s"),
    "web imports cli": ("layers", "web.a", "from squareoff.cli.main import app"),
    "layer import for types only": (
        "layers",
        "services.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import squareoff.adapters",
    ),
    "unknown layer": ("layers", "misc.a", ""),
    "import in function": ("hidden-import", "cli.a", "def f():\n    import json"),
    "import in method": (
        "hidden-import",
        "cli.a",
        "class A:\n    async def f(self):\n        from x import y",
    ),
    "core imports asyncio": ("purity", "core.a", "import asyncio"),
    "core imports http.client": ("purity", "core.a", "import http.client"),
    "domain imports os.path": ("purity", "domain.a", "import os.path"),
    "exchange imports random": ("purity", "exchange.a", "from random import Random"),
    "core imports msgspec": ("purity", "core.a", "import msgspec"),
    "core waits": ("purity", "core.a", "async def f(): ..."),
    "core opens": ("purity", "core.a", "def f(): return open('x')"),
    "datetime.now": ("real-time", "services.a", "import datetime\ndatetime.datetime.now()"),
    "datetime.now, renamed": (
        "real-time",
        "services.a",
        "from datetime import datetime as d, UTC\nd.now(UTC)",
    ),
    "datetime.now in core": ("real-time", "core.a", "from datetime import datetime\ndatetime.now"),
    "time.time": ("real-time", "services.a", "import time\ntime.time()"),
    "monotonic by name": ("real-time", "web.a", "from time import monotonic\nmonotonic()"),
    "a clock as default": ("real-time", "web.a", "import time\ndef f(now=time.time): ..."),
    "uuid4": ("real-chance", "services.a", "from uuid import uuid4\nuuid4()"),
    "module-level random": ("real-chance", "services.a", "import random as r\nr.uniform(0, 1)"),
    "random without seed": ("real-chance", "simulator.a", "import random\nrandom.Random()"),
    "loose task": ("loose-task", "services.a", "import asyncio\nasyncio.create_task(x)"),
    "loose task by name": ("loose-task", "cli.a", "from asyncio import ensure_future as e\ne(x)"),
    "task on the loop": (
        "loose-task",
        "services.a",
        "import asyncio\nasyncio.get_running_loop().create_task(x)",
    ),
    "no module docstring": ("docstring", "core.a", "x = 1"),
    "class without docstring": ("docstring", "core.a", '"""M."""\nclass A: ...'),
    "method without docstring": (
        "docstring",
        "core.a",
        '"""M."""\nclass A:\n    """A."""\n    def f(self): ...',
    ),
    "function without docstring": ("docstring", "core.a", '"""M."""\nasync def f(): ...'),
    "long file": ("length", "core.a", '"""M."""\n' + "x = 1\n" * 400),
    "long function": ("length", "core.a", f"def f():\n{_LONG_BODY}"),
    "bare except": ("broad-except", "web.a", "try:\n    f()\nexcept:\n    pass"),
    "swallowed Exception": (
        "broad-except",
        "web.a",
        _SWALLOW.format(caught="Exception", last="pass"),
    ),
    "swallowed tuple": (
        "broad-except",
        "web.a",
        _SWALLOW.format(caught="(ValueError, BaseException)", last="return"),
    ),
    "raise in one branch only": (
        "broad-except",
        "web.a",
        _SWALLOW.format(caught="Exception", last="if x: raise"),
    ),
    "suppress": (
        "broad-except",
        "web.a",
        "import contextlib\nwith contextlib.suppress(Exception):\n    f()",
    ),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_a_bad_sample_is_found(name: str) -> None:
    """Every rule finds the small module that was written to break it."""
    rule, module, text = BAD_SAMPLES[name]

    assert rule in _rules_broken_by(parse_module(f"squareoff.{module}", text))


GOOD_SAMPLES: dict[str, tuple[str, str]] = {
    "core imports down": ("core.a", "import decimal\nfrom squareoff.domain.ids import AccountId"),
    "adapter uses the clock": ("adapters.a", "import time\ntime.time()"),
    "cli serves web": ("cli.a", "from squareoff.web.app import make_app"),
    "the desk imports itself": ("services.desk.a", "from squareoff.services.desk.b import c"),
    "everyone reads the version": ("services.a", "from squareoff import __version__"),
    "seeded random": ("simulator.a", "import random\nrandom.Random(7)"),
    "injected random": ("simulator.a", "import random\ndef _f(r: random.Random): r.random()"),
    "task group": ("services.a", "async def _f(group): group.create_task(x)"),
    "own name `now`": ("services.a", "def _f(clock): return clock.now()"),
    "datetime from a number": ("core.a", "from datetime import datetime\ndatetime.fromtimestamp"),
    "re-raised": (
        "web.a",
        _SWALLOW.format(caught="Exception", last="raise").replace("f()", "_f()"),
    ),
    "chained": (
        "web.a",
        "try:\n    f()\nexcept Exception as error:\n    raise ValueError from error",
    ),
    "narrow": ("web.a", "try:\n    f()\nexcept ValueError:\n    pass"),
    "excused long file": (
        "core.a",
        '"""M.\n\nLonger than 400 lines because it is\none table."""\n' + "x = 1\n" * 400,
    ),
    "private and dunder without docstring": (
        "core.a",
        '"""M."""\nclass A:\n    """A."""\n    def __str__(self): ...\n    def _f(self): ...',
    ),
}


@pytest.mark.parametrize("name", GOOD_SAMPLES)
def test_a_good_sample_passes(name: str) -> None:
    """No rule objects to code that keeps it (missing docstrings of the samples aside)."""
    module, text = GOOD_SAMPLES[name]
    documented = text if text.startswith('"""') else f'"""M."""\n{text}'

    assert _rules_broken_by(parse_module(f"squareoff.{module}", documented)) == set()


def test_a_circle_of_imports_is_found_once() -> None:
    """A circle over three modules is one finding that names all of them."""
    modules = [
        parse_module("squareoff.core.a", "from squareoff.core import b"),
        parse_module("squareoff.core.b", "from squareoff.core.c import thing"),
        parse_module("squareoff.core.c", "import squareoff.core.a"),
        parse_module("squareoff.core.d", "import squareoff.core.a"),
    ]

    messages = [finding.message for finding in check_cycles(modules)]

    assert messages == [
        "squareoff.core.a -> squareoff.core.b -> squareoff.core.c -> squareoff.core.a"
    ]


def test_an_allow_list_excuses_and_may_not_go_stale() -> None:
    """An allow-list entry excuses its module's breach of its rule, and must excuse something."""
    modules = [parse_module("squareoff.cli.demo", "import time\ntime.sleep(1)")]
    swallowing = [parse_module("squareoff.web.a", _SWALLOW.format(caught="Exception", last="pass"))]
    stale = {("squareoff.cli.gone", "real-time"): "a demo waits for people"}

    assert not list(check_world(modules, {("squareoff.cli.demo", "real-time"): "it waits"}))
    assert not list(check_broad_excepts(swallowing, {"squareoff.web.a.f": "it records"}))
    assert [finding.module for finding in check_world([], stale)] == ["squareoff.cli.gone"]
    assert len(list(check_broad_excepts([], {"squareoff.web.a.f": "it records"}))) == 1


def test_relative_imports_are_resolved_from_packages_and_modules() -> None:
    """One dot means the own package, seen from a module and from the package itself."""
    from_module = parse_module("squareoff.services.a", "from . import b\nfrom ..ports import Clock")
    from_package = parse_module("squareoff.services", "from .a import x", is_package=True)

    found = [each.full_name for each in (*from_module.imported, *from_package.imported)]

    assert found == ["squareoff.services.b", "squareoff.ports.Clock", "squareoff.services.a.x"]


def _rules_broken_by(module: SourceModule) -> set[str]:
    return {finding.rule for check in CHECKS.values() for finding in check([module])}
