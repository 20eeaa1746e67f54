"""What the site needs besides the pages of docs/: the changelog, and links that lead out of docs/.

MkDocs calls these functions by their names (`hooks` in mkdocs.yml).
"""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_PROJECT_FOLDER = Path(__file__).resolve().parents[1]
_PAGES_FROM_OUTSIDE = {"changelog.md": "CHANGELOG.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of docs/."""
    for page, source in _PAGES_FROM_OUTSIDE.items():
        text = (_PROJECT_FOLDER / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to those files lead to their pages."""
    for page, source in _PAGES_FROM_OUTSIDE.items():
        markdown = markdown.replace(f"](../{source})", f"]({page})")
    return markdown
