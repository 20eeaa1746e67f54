"""Links in the docs lead somewhere."""

import re
from pathlib import Path

import pytest

from generate_docs import PROJECT_FOLDER, documents

_LINK = re.compile(r"!?\[[^\]\n]*\]\((?P<target>[^)\s]+)[^)]*\)")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(?P<text>.+?) *$", re.MULTILINE)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.name))
def test_every_relative_link_resolves(path: Path) -> None:
    """A link to a file or heading of the project names one that exists."""
    assert broken_links(path, PROJECT_FOLDER) == []


def test_the_readme_leads_to_every_page() -> None:
    """Each page of docs/ has its row in the README's table; the site's front page needs none."""
    readme = PROJECT_FOLDER / "README.md"
    targets = {found["target"] for found in _LINK.finditer(readme.read_text(encoding="utf-8"))}
    pages = {f"docs/{path.name}" for path in (PROJECT_FOLDER / "docs").glob("*.md")}

    assert sorted(pages - targets) == ["docs/index.md"]


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A link to a missing file, a missing heading or a place outside the project is reported."""
    (tmp_path / "other.md").write_text("# The first part\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#the-first-part) [c](#here) [d](https://x.example)\n"
        "```\n[not](a-link.md)\n```\n"
        "[e](gone.md) [f](other.md#second) [g](#there) ![h](gone.png) [i](../outside.md)\n"
    )

    expected = ["gone.md", "other.md#second", "#there", "gone.png", "../outside.md"]
    assert broken_links(page, tmp_path) == expected


def broken_links(path: Path, project_folder: Path) -> list[str]:
    """Return the targets of a page's relative links that lead nowhere, in order."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = [found["target"] for found in _LINK.finditer(text)]
    relative = [target for target in targets if not re.match(r"[a-z][a-z+.-]*:", target)]
    return [target for target in relative if not _resolves(target, path, project_folder)]


def _resolves(target: str, path: Path, project_folder: Path) -> bool:
    file_part, _, anchor = target.partition("#")
    linked = (path.parent / file_part).resolve() if file_part else path
    if not linked.is_relative_to(project_folder.resolve()) or not linked.exists():
        return False
    return not anchor or anchor in _anchors_of(linked)


def _anchors_of(path: Path) -> set[str]:
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return {_anchor(found["text"]) for found in _HEADING.finditer(text)}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
