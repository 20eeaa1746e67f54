"""What the site needs besides the pages of docs/: the changelog, links that lead out of docs/, and
the script that draws the diagrams.

The theme would fetch that script from elsewhere on each page with a diagram, unless the page has it
already: such a page gets our own copy (scripts/get_mermaid.sh). Without the copy its diagrams are
shown as the text that they are made of, and nothing is fetched either.
MkDocs calls these functions by their names (`hooks` in mkdocs.yml).
"""

import logging
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

_PROJECT_FOLDER = Path(__file__).resolve().parents[1]
_PAGES_FROM_OUTSIDE = {"changelog.md": "CHANGELOG.md"}
_MERMAID = _PROJECT_FOLDER / ".tools" / "mermaid.min.js"
_MERMAID_ON_THE_SITE = "assets/javascripts/mermaid.min.js"
_DIAGRAM = "```mermaid\n"
_DIAGRAM_ON_THE_PAGE = 'class="mermaid"'
_log = logging.getLogger("mkdocs.plugins.docs_site")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of docs/, and the script."""
    for page, source in _PAGES_FROM_OUTSIDE.items():
        text = (_PROJECT_FOLDER / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    if _MERMAID.exists():
        files.append(
            File.generated(config, _MERMAID_ON_THE_SITE, abs_src_path=str(_MERMAID)),
        )
    else:
        _log.info("%s is not there: diagrams are shown as text", _MERMAID)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to those files lead to their pages."""
    for page, source in _PAGES_FROM_OUTSIDE.items():
        markdown = markdown.replace(f"](../{source})", f"]({page})")
    return markdown if _MERMAID.exists() else markdown.replace(_DIAGRAM, "```text\n")


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Give a page with diagrams the script, before the theme looks for it."""
    if _DIAGRAM_ON_THE_PAGE not in output:
        return output
    script = get_relative_url(_MERMAID_ON_THE_SITE, page.url)
    return output.replace("</head>", f'<script src="{script}"></script></head>', 1)
