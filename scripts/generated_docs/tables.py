"""Tables in Markdown: of enum members, errors, classes, codes and commands."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer.main

from generated_docs.reading import (
    first_sentence,
    load,
    load_module,
    member_sentences,
    public_classes,
    spoken_codes,
)
from squareoff.domain.errors import BrokerError, SquareoffError


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; pipes and line breaks inside cells are made harmless."""
    lines = [_row(header), _row(["---"] * len(header))]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def enum_table(dotted_name: str) -> str:
    """List the members of an enum: value and sentence.

    Raises:
        ValueError: a member has no sentence under it.
    """
    enum = load(dotted_name)
    sentences = member_sentences(enum)
    bare = [name for name, sentence in sentences.items() if not sentence]
    if bare:
        raise ValueError(f"{dotted_name} has members without a sentence: {', '.join(bare)}")
    rows = [(f"`{enum[name].value}`", sentence) for name, sentence in sentences.items()]
    return markdown_table(("value", "meaning"), rows)


def error_table() -> str:
    """List our exceptions as a tree: name, whether the order may have left, meaning."""
    rows = [
        (f"{'&emsp;' * depth}`{error.__name__}`", _sent_of(error), first_sentence(error))
        for depth, error in _tree_of(SquareoffError, 0)
    ]
    return markdown_table(("error", "did the order leave?", "meaning"), rows)


def class_table(module_name: str) -> str:
    """List the public classes of a module with the first paragraph of their docstrings."""
    module = load_module(module_name)
    rows = [(f"`{found.__name__}`", first_sentence(found)) for found in public_classes(module)]
    return markdown_table(("name", "meaning"), rows)


def code_table(callable_name: str) -> str:
    """List the codes that calls of `callable_name` name in the source, with what they say."""
    rows = [(f"`{code}`", said) for code, said in spoken_codes(callable_name)]
    if not rows:
        raise ValueError(f"no call of {callable_name} names a code")
    return markdown_table(("code", "message"), rows)


def command_table(dotted_name: str) -> str:
    """List the commands of a typer application with the first paragraph of their help."""
    command = typer.main.get_command(load(dotted_name))
    rows = [
        (f"`squareoff {' '.join(path)}`", (found.help or "").split("\n\n")[0])
        for path, found in leaf_commands(command)
    ]
    return markdown_table(("command", "what it does"), rows)


def leaf_commands(
    command: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (words after the program's name, command) for all shown commands below a group.

    The commands are click's as typer ships them, which has no name of its own to import.
    """
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in sorted(children):
        if not children[name].hidden:
            yield from leaf_commands(children[name], (*path, name))


def _row(cells: Sequence[str]) -> str:
    safe = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(safe)} |"


def _tree_of(error: type[SquareoffError], depth: int) -> Iterator[tuple[int, type[SquareoffError]]]:
    yield depth, error
    for below in error.__subclasses__():
        if below.__module__ == SquareoffError.__module__:
            yield from _tree_of(below, depth + 1)


def _sent_of(error: type[SquareoffError]) -> str:
    return error.sent.value if issubclass(error, BrokerError) else ""
