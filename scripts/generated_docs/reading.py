"""Read from the code what the docs repeat: names, sentences and codes."""

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import squareoff

SOURCE_FOLDER = Path(squareoff.__file__).parent


def load(dotted_name: str) -> Any:
    """Return the object with this full name: `squareoff.domain.states.OrderState`.

    Raises:
        ImportError, AttributeError: there is no such module, or no such name in it.
    """
    module_name, _, name = dotted_name.rpartition(".")
    return getattr(importlib.import_module(module_name), name)


def load_module(name: str) -> ModuleType:
    """Return the module of this full name."""
    return importlib.import_module(name)


def member_sentences(enum: type[Enum]) -> dict[str, str]:
    """Return member name -> the docstring that stands under the member, in order, "" for none."""
    (definition,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(definition, ast.ClassDef), "the source of an enum is a class"
    sentences = dict.fromkeys(enum.__members__, "")
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        name, sentence = _assigned_name(statement), _text_of(following)
        if name in sentences and sentence:
            sentences[name] = " ".join(sentence.split())
    return sentences


def first_sentence(described: object) -> str:
    """Return the first paragraph of a docstring as one line, "" when there is none."""
    text = inspect.getdoc(described) or ""
    return " ".join(text.split("\n\n")[0].split())


def public_classes(module: ModuleType) -> Iterator[type]:
    """Yield the public classes that a module defines, in the order in which they are written."""
    found = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]
    yield from found


def spoken_codes(callable_name: str) -> list[tuple[str, str]]:
    """Return (code, message) of every call of `callable_name` in the source, sorted, once each.

    The code is the call's first text argument of one lower-case word; the message is the text
    argument after it, with the expressions of an f-string in braces; "" where it is no literal.
    """
    found: set[tuple[str, str]] = set()
    for path in sorted(SOURCE_FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _called_name(node) == callable_name:
                found.update(_code_of(node.args))
    return sorted(found)


def _assigned_name(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def _text_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return statement.value.value if isinstance(statement.value.value, str) else ""
    return ""


def _called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _code_of(arguments: Sequence[ast.expr]) -> Iterator[tuple[str, str]]:
    for position, argument in enumerate(arguments):
        code = _literal(argument)
        if code.isidentifier() and code.islower():
            following = arguments[position + 1 : position + 2]
            yield code, _literal(following[0]) if following else ""
            return


def _literal(expression: ast.expr) -> str:
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part) for part in parts)
        case ast.FormattedValue(value=value):
            return "{" + ast.unparse(value) + "}"
        case _:
            return ""
