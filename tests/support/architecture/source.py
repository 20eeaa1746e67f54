"""Modules as parsed text: their names, what they import, and what their names stand for.

Everything here works on text that was handed in, so that the checks can be tried on bad samples.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "squareoff"


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of one rule; `line` counts from 1."""

    module: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: [{self.rule}] {self.message}"


@dataclass(frozen=True, slots=True)
class ImportedName:
    """One imported name: `from target import name` or `import target` (then `name` is "")."""

    target: str
    name: str
    bound_as: str
    line: int

    @property
    def full_name(self) -> str:
        """The dotted name of what is imported."""
        return f"{self.target}.{self.name}" if self.name else self.target


@dataclass(frozen=True, slots=True)
class SourceModule:
    """One parsed module: `name` is dotted (`squareoff.core.state.machines`).

    `imported` holds every import wherever it stands, relative ones resolved; `bindings` maps the
    names they bind to what these stand for.
    """

    name: str
    text: str
    tree: ast.Module
    imported: tuple[ImportedName, ...]
    bindings: Mapping[str, str]

    @property
    def layer(self) -> str:
        """The part of the name after the package: `core` for `squareoff.core.state.machines`."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    def meaning_of(self, expression: ast.expr) -> str:
        """Return the dotted name an expression stands for, through the module's imports, or ""."""
        return _dotted(expression, self.bindings)


def parse_module(name: str, text: str, *, is_package: bool = False) -> SourceModule:
    """Parse the text of one module; relative imports are resolved from its name."""
    tree = ast.parse(text)
    package = name if is_package else name.rpartition(".")[0]
    imported = tuple(_imports(tree, package))
    return SourceModule(name, text, tree, imported, _bindings(imported))


def load_tree(source_folder: Path) -> list[SourceModule]:
    """Read all modules of the package below `source_folder`, in the order of their names."""
    return [_load(path, source_folder) for path in sorted(source_folder.rglob("*.py"))]


def _load(path: Path, source_folder: Path) -> SourceModule:
    parts = list(path.relative_to(source_folder).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    if is_package:
        parts.pop()
    name = ".".join([PACKAGE, *parts])
    return parse_module(name, path.read_text(encoding="utf-8"), is_package=is_package)


def _imports(tree: ast.Module, package: str) -> Iterator[ImportedName]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound_as = alias.asname or alias.name.partition(".")[0]
                yield ImportedName(alias.name, "", bound_as, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            target = _target_of(node, package)
            for alias in node.names:
                yield ImportedName(target, alias.name, alias.asname or alias.name, node.lineno)


def _target_of(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - (node.level - 1)]
    return ".".join([*base, node.module] if node.module else base)


def _bindings(imported: Iterable[ImportedName]) -> Mapping[str, str]:
    bound: dict[str, str] = {}
    for found in imported:
        # `import a.b` binds `a`; `import a.b as c` binds the whole.
        binds_top = found.name == "" and found.bound_as == found.target.partition(".")[0]
        bound[found.bound_as] = found.bound_as if binds_top else found.full_name
    return bound


def _dotted(expression: ast.expr, bindings: Mapping[str, str]) -> str:
    if isinstance(expression, ast.Name):
        return bindings.get(expression.id, expression.id)
    if isinstance(expression, ast.Attribute):
        owner = _dotted(expression.value, bindings)
        return f"{owner}.{expression.attr}" if owner else ""
    if isinstance(expression, ast.Call):
        owner = _dotted(expression.func, bindings)
        return f"{owner}()" if owner else ""
    return ""
