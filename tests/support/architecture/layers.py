"""Who may import whom: layers, circles, and imports hidden inside functions."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from architecture.source import PACKAGE, Finding, SourceModule

_PURE = ("domain", "core", "exchange")
_PARTS = (*_PURE, "ports", "services", "adapters")

MAY_IMPORT: Mapping[str, Sequence[str]] = {
    "domain": ("domain",),
    "core": ("domain", "core"),
    "exchange": ("domain", "exchange"),
    "ports": (*_PURE, "ports"),
    "services": (*_PURE, "ports", "services"),
    "adapters": (*_PURE, "ports", "adapters"),
    # Wires the services to whatever ports it is given; it chooses none, so it knows no adapter.
    "assembly": (*_PURE, "ports", "services", "assembly"),
    "config": (*_PARTS, "config"),
    "bootstrap": (*_PARTS, "config", "assembly", "bootstrap"),
    "simulator": (*_PARTS, "config", "assembly", "bootstrap", "simulator"),
    "web": (*_PARTS, "config", "assembly", "bootstrap", "simulator", "web"),
    # `squareoff run` serves the dashboard, so cli stands above web; never the other way round.
    "cli": (*_PARTS, "config", "assembly", "bootstrap", "simulator", "web", "cli"),
    "__main__": ("cli",),
    # The package itself holds the version only, so that every layer may read it.
    "": (),
}


_DESK = f"{PACKAGE}.services.desk"
"""What people and programs ask, and what they are answered: the other services know nothing of it.
"""


def check_layers(modules: Iterable[SourceModule]) -> Iterator[Finding]:
    """Find imports that do not point down (rule `layers`), and modules that have no layer."""
    for module in modules:
        allowed = MAY_IMPORT.get(module.layer)
        if allowed is None:
            message = f"{module.layer!r} is no layer; add it to MAY_IMPORT"
            yield Finding(module.name, 1, "layers", message)
            continue
        for target, line in _own_imports(module):
            if target and target not in allowed:
                message = f"{module.layer or PACKAGE} must not import {target}"
                yield Finding(module.name, line, "layers", message)
        if module.layer == "services" and not module.name.startswith(_DESK):
            yield from _imports_of_desk(module)


def _imports_of_desk(module: SourceModule) -> Iterator[Finding]:
    for found in module.imported:
        if found.full_name.startswith(_DESK):
            message = "the desk stands on the other services, and not they on it"
            yield Finding(module.name, found.line, "layers", message)


def check_cycles(modules: Sequence[SourceModule]) -> Iterator[Finding]:
    """Find circles of imports (rule `cycles`), each named once, by its first module."""
    graph = _import_graph(modules)
    reported: set[str] = set()
    for start in sorted(graph):
        circle = _circle_through(start, graph)
        if circle and not reported.intersection(circle):
            reported.update(circle)
            yield Finding(start, 1, "cycles", " -> ".join([*circle, start]))


def check_hidden_imports(modules: Iterable[SourceModule]) -> Iterator[Finding]:
    """Find imports inside functions (rule `hidden-import`)."""
    for module in modules:
        for function in ast.walk(module.tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    message = f"import inside {function.name}()"
                    yield Finding(module.name, node.lineno, "hidden-import", message)


def _own_imports(module: SourceModule) -> Iterator[tuple[str, int]]:
    for found in module.imported:
        parts = found.full_name.split(".")
        if parts[0] != PACKAGE or len(parts) < 2:
            continue
        is_layer = parts[1] in MAY_IMPORT
        is_module_path = found.target != PACKAGE
        if is_layer or is_module_path:
            yield parts[1], found.line


def _import_graph(modules: Sequence[SourceModule]) -> dict[str, list[str]]:
    names = {module.name for module in modules}
    graph: dict[str, list[str]] = {}
    for module in modules:
        targets = {
            found.full_name if found.full_name in names else found.target
            for found in module.imported
        }
        graph[module.name] = sorted(targets & names - {module.name})
    return graph


def _circle_through(start: str, graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the shortest way from `start` back to itself, without the return; [] if none."""
    came_from: dict[str, str] = {}
    frontier = [start]
    while frontier:
        reached: list[str] = []
        for name in frontier:
            for target in graph[name]:
                if target == start:
                    return _way_to(name, start, came_from)
                if target not in came_from:
                    came_from[target] = name
                    reached.append(target)
        frontier = reached
    return []


def _way_to(name: str, start: str, came_from: Mapping[str, str]) -> list[str]:
    way = [name]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]
