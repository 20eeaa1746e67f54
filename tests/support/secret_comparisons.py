"""Find where code compares a secret by anything but a comparison in constant time.

What a name says, or what it was made from, makes it a secret; within a function this is followed
from name to name.
"""

import ast
import re
from collections.abc import Iterator

_SECRET = re.compile(r"(^|_)(tokens?|secrets?|authorization|password|hashes|hash_of)(_|$)")
_COMPARING = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
_SEARCHING = frozenset(
    {"startswith", "endswith", "find", "rfind", "index", "count", "match", "fullmatch", "search"}
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def leaking_comparisons(source: str) -> list[str]:
    """Return every comparison of a secret in this source whose time tells how much of it fits."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
    found = {ast.unparse(node) for function in functions for node in _leaks(function)}
    return sorted(found)


def _leaks(function: _Function) -> Iterator[ast.expr]:
    secret = _secret_names(function)
    for node in ast.walk(function):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                is_comparing = any(isinstance(op, _COMPARING) for op in ops)
                if is_comparing and any(_holds(part, secret) for part in (left, *others)):
                    yield node
            case ast.Call(func=ast.Attribute(attr=name)) if name in _SEARCHING:
                if _holds(node, secret):
                    yield node
            case ast.Match(subject=subject) if _holds(subject, secret):
                yield subject
            case _:
                pass


def _secret_names(function: _Function) -> set[str]:
    """Return the local names that hold a secret or what was made from one."""
    secret: set[str] = set()
    while True:
        more = {
            name.id
            for target, value in _bindings(function)
            if _holds(value, secret)
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        if more <= secret:
            return secret
        secret |= more


def _bindings(function: _Function) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from _pairs(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield target, value
            case ast.NamedExpr(target=target, value=value):
                yield target, value
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield target, value
            case _:
                pass


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _holds(node: ast.AST, secret: set[str]) -> bool:
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                if name in secret or _SECRET.search(name.lower()):
                    return True
            case _:
                pass
    return False
