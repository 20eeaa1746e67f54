"""The commands that a page shows: what stands behind a prompt in its ```console blocks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)


def commands_in(path: Path) -> Iterator[list[str]]:
    """Yield the words of each command in the page's console blocks, settings before it dropped."""
    for block in _BLOCK.finditer(path.read_text(encoding="utf-8")):
        for line in block["body"].replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                words = shlex.split(line[2:], comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words:
                    yield words
