"""How code must look: docstrings, lengths, and no exception caught in order to hide it."""

import ast
from collections.abc import Iterable, Iterator, Mapping

from architecture.source import Finding, SourceModule

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LONG_FILE_EXCUSE = "Longer than 400 lines because"
"""A module header that holds these words, and the reason after them, may be longer."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BROAD = frozenset({"Exception", "BaseException", "builtins.Exception", "builtins.BaseException"})


def check_docstrings(modules: Iterable[SourceModule]) -> Iterator[Finding]:
    """Find modules, public classes, public functions and public methods without a docstring."""
    for module in modules:
        if ast.get_docstring(module.tree) is None:
            yield Finding(module.name, 1, "docstring", "the module has no docstring")
        yield from _undocumented(module, module.tree)


def check_lengths(modules: Iterable[SourceModule]) -> Iterator[Finding]:
    """Find files above FILE_LINES_MAX and function bodies above FUNCTION_LINES_MAX lines.

    A body is counted from its first statement after the docstring to its last line.
    """
    for module in modules:
        lines = len(module.text.splitlines())
        header = " ".join((ast.get_docstring(module.tree) or "").split())
        if lines > FILE_LINES_MAX and LONG_FILE_EXCUSE not in header:
            yield Finding(module.name, 1, "length", f"the file has {lines} lines")
        for node in ast.walk(module.tree):
            if isinstance(node, _Function) and _body_lines(node) > FUNCTION_LINES_MAX:
                message = f"{node.name}() has {_body_lines(node)} lines"
                yield Finding(module.name, node.lineno, "length", message)


def check_broad_excepts(
    modules: Iterable[SourceModule], allowed: Mapping[str, str]
) -> Iterator[Finding]:
    """Find `except Exception` (or wider, or bare) that does not end by raising.

    `allowed`: `module.Class.function` -> the reason. An entry that excuses nothing is a finding.
    """
    excused: set[str] = set()
    for module in modules:
        for owner, node in _with_owner(module.tree, module.name):
            if not _hides_exceptions(module, node):
                continue
            if owner in allowed:
                excused.add(owner)
            else:
                message = f"{owner} catches everything and does not raise"
                yield Finding(module.name, node.lineno, "broad-except", message)
    for owner in allowed.keys() - excused:
        yield Finding(owner, 1, "broad-except", "its allow-list entry excuses nothing; remove it")


def _undocumented(module: SourceModule, parent: ast.Module | ast.ClassDef) -> Iterator[Finding]:
    for node in _definitions(parent):
        if node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None and not _borrows_docstring(module, node):
            message = f"{node.name} has no docstring"
            yield Finding(module.name, node.lineno, "docstring", message)
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(module, node)


def _definitions(parent: ast.AST) -> Iterator[_Function | ast.ClassDef]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, _Function | ast.ClassDef):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node)


def _borrows_docstring(module: SourceModule, node: _Function | ast.ClassDef) -> bool:
    """Overloads, setters and marked overrides are described where they are first declared."""
    names = [module.meaning_of(decorator) for decorator in node.decorator_list]
    return any(name.endswith(("overload", "override", ".setter", ".deleter")) for name in names)


def _body_lines(node: _Function) -> int:
    body = node.body
    if ast.get_docstring(node) is not None:
        body = body[1:]
    if not body or node.end_lineno is None:
        return 0
    return node.end_lineno - body[0].lineno + 1


def _with_owner(tree: ast.AST, owner: str) -> Iterator[tuple[str, ast.stmt | ast.excepthandler]]:
    for node in ast.iter_child_nodes(tree):
        inner = owner
        if isinstance(node, _Function | ast.ClassDef):
            inner = f"{owner}.{node.name}"
        if isinstance(node, ast.stmt | ast.excepthandler):
            yield inner, node
        yield from _with_owner(node, inner)


def _hides_exceptions(module: SourceModule, node: ast.stmt | ast.excepthandler) -> bool:
    if isinstance(node, ast.ExceptHandler):
        is_broad = node.type is None or any(_is_broad(module, each) for each in _parts(node.type))
        return is_broad and not isinstance(node.body[-1], ast.Raise)
    if isinstance(node, ast.With | ast.AsyncWith):
        return any(_suppresses_all(module, item.context_expr) for item in node.items)
    return False


def _parts(expression: ast.expr) -> list[ast.expr]:
    return expression.elts if isinstance(expression, ast.Tuple) else [expression]


def _is_broad(module: SourceModule, expression: ast.expr) -> bool:
    return module.meaning_of(expression) in _BROAD


def _suppresses_all(module: SourceModule, expression: ast.expr) -> bool:
    if not isinstance(expression, ast.Call):
        return False
    if not module.meaning_of(expression.func).endswith("suppress"):
        return False
    return any(_is_broad(module, argument) for argument in expression.args)
