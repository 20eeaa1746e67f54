"""Save a recorded console as an SVG picture that loads nothing from anywhere."""

import re
from pathlib import Path

from rich.console import Console

PICTURE_TITLE = "squareoff demo"
PICTURE_ID = "squareoff-demo"
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save_picture(console: Console, path: Path) -> None:
    """Write what `console` recorded to `path`; the fonts are those of the reader's machine."""
    svg = console.export_svg(title=PICTURE_TITLE, unique_id=PICTURE_ID)
    path.write_text(_WEB_FONT.sub("", svg), encoding="utf-8")
