"""What code must not touch: the world from pure layers; clock, random and loose tasks elsewhere."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping

from architecture.source import PACKAGE, Finding, SourceModule

PURE_LAYERS = ("domain", "core", "exchange")

# fmt: off
PURE_STANDARD_LIBRARY = frozenset(
    {
        "__future__", "abc", "base64", "binascii", "bisect", "collections", "copy",
        "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "graphlib",
        "hashlib", "heapq", "itertools", "json", "keyword", "math", "numbers", "operator", "re",
        "statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata", "zlib",
    }
)
# fmt: on
"""Modules that neither wait nor reach anything outside the process, and give the same answer to
the same arguments."""

_PURE_NAMES = frozenset({"http.HTTPStatus"})
"""Names without behaviour in modules that otherwise reach out."""

_WORLDLY_BUILTINS = frozenset(
    {"open", "input", "print", "breakpoint", "exec", "eval", "__import__"}
)

# fmt: off
_REAL_TIME = frozenset(
    {
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
        "datetime.date.today", "time.time", "time.time_ns", "time.monotonic",
        "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.sleep",
        "time.localtime", "time.gmtime",
    }
)
# fmt: on
_REAL_CHANCE = frozenset({"uuid.uuid1", "uuid.uuid4", "random.SystemRandom"})
_LOOSE_TASKS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})


def check_purity(modules: Iterable[SourceModule]) -> Iterator[Finding]:
    """Find what the pure layers must not do: reach out, wait, or import more than pure modules."""
    for module in modules:
        if module.layer in PURE_LAYERS:
            yield from _impure_imports(module)
            yield from _impure_code(module)


def check_world(
    modules: Iterable[SourceModule], allowed: Mapping[tuple[str, str], str]
) -> Iterator[Finding]:
    """Find real time, real chance and loose tasks outside adapters.

    Args:
        modules: the tree.
        allowed: (module name, rule) -> the reason why it may; the rules are `real-time`,
            `real-chance` and `loose-task`. An entry that excuses nothing is a finding too.
    """
    excused: set[tuple[str, str]] = set()
    for module in modules:
        if module.layer == "adapters":
            continue
        for finding in _worldly_uses(module):
            if (module.name, finding.rule) in allowed:
                excused.add((module.name, finding.rule))
            else:
                yield finding
    for name, rule in allowed.keys() - excused:
        yield Finding(name, 1, rule, "its entry in the allow-list excuses nothing; take it out")


def _impure_imports(module: SourceModule) -> Iterator[Finding]:
    for found in module.imported:
        top = found.target.partition(".")[0]
        is_pure = top in PURE_STANDARD_LIBRARY or found.full_name in _PURE_NAMES
        if top == PACKAGE or is_pure:
            continue
        kind = "worldly" if top in sys.stdlib_module_names else "third-party"
        message = f"{module.layer} must not import the {kind} module {top}"
        yield Finding(module.name, found.line, "purity", message)


def _impure_code(module: SourceModule) -> Iterator[Finding]:
    waits = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for node in ast.walk(module.tree):
        if isinstance(node, waits):
            yield Finding(module.name, node.lineno, "purity", f"{module.layer} must not wait")
        elif isinstance(node, ast.Name) and node.id in _WORLDLY_BUILTINS:
            message = f"{module.layer} must not use {node.id}()"
            yield Finding(module.name, node.lineno, "purity", message)


def _worldly_uses(module: SourceModule) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        # References count, not only calls: a default argument `now=time.time` is a clock as well.
        if isinstance(node, ast.Name | ast.Attribute):
            name = module.meaning_of(node)
            rule = _rule_against(name)
            if rule:
                yield Finding(module.name, node.lineno, rule, f"{name} outside adapters")
        elif isinstance(node, ast.Call) and _is_seedless_random(module, node):
            message = "random.Random() without a seed outside adapters"
            yield Finding(module.name, node.lineno, "real-chance", message)


def _rule_against(name: str) -> str:
    if name in _REAL_TIME:
        return "real-time"
    if name in _REAL_CHANCE or _is_module_level_random(name):
        return "real-chance"
    if name in _LOOSE_TASKS or _is_loop_task(name):
        return "loose-task"
    return ""


def _is_seedless_random(module: SourceModule, call: ast.Call) -> bool:
    has_seed = bool(call.args or call.keywords)
    return not has_seed and module.meaning_of(call.func) == "random.Random"


def _is_module_level_random(name: str) -> bool:
    owner, _, function = name.partition(".")
    return owner == "random" and function != "" and function.islower()


def _is_loop_task(name: str) -> bool:
    owner, _, method = name.rpartition(".")
    return method == "create_task" and owner.endswith(("loop", "loop()"))
