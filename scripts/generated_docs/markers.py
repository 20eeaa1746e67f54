"""Replace what stands between `<!-- generated: NAME ARGUMENTS -->` and `<!-- end -->`.

The text outside the markers is written by people and never touched.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Generator = Callable[..., str]

_BLOCK = re.compile(
    r"(?P<open><!-- generated: (?P<call>[^\n]*?) -->)\n"
    r"(?P<body>(?:(?!<!-- generated:).)*?)"
    r"(?P<close><!-- end -->)",
    re.DOTALL,
)
_OPENING = "<!-- generated:"
_CODE_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class MarkerError(Exception):
    """A marker names no generator, has no end, or its generator refused; says which file."""


def regenerate(text: str, generators: Mapping[str, Generator], file_name: str) -> str:
    """Return `text` with every generated part written anew.

    Raises:
        MarkerError: see there.
    """

    def fill(block: re.Match[str]) -> str:
        body = _generate(block["call"], generators, file_name)
        return f"{block['open']}\n{body.strip()}\n{block['close']}"

    outside_code = _CODE_FENCE.sub("", _BLOCK.sub("", text))
    if _OPENING in outside_code:
        raise MarkerError(f"{file_name}: a generated part has no '<!-- end -->'")
    return _BLOCK.sub(fill, text)


def stale_files(files: Iterable[Path], generators: Mapping[str, Generator]) -> dict[Path, str]:
    """Return the files whose generated parts are out of date, with the text they should have."""
    stale: dict[Path, str] = {}
    for path in files:
        text = path.read_text(encoding="utf-8")
        fresh = regenerate(text, generators, path.name)
        if fresh != text:
            stale[path] = fresh
    return stale


def _generate(call: str, generators: Mapping[str, Generator], file_name: str) -> str:
    name, *arguments = call.split()
    generator = generators.get(name)
    if generator is None:
        known = ", ".join(sorted(generators))
        raise MarkerError(f"{file_name}: no generator is called {name!r}; there are {known}")
    try:
        return generator(*arguments)
    except (LookupError, TypeError, ValueError, ImportError, AttributeError) as error:
        raise MarkerError(f"{file_name}: 'generated: {call}' failed: {error}") from error
