"""The documentation builds as a site without a warning, every page has its place in it, and whoever
reads it asks nobody else for anything."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, sync_playwright

from generate_docs import PROJECT_FOLDER
from missing_services import skip_or_fail
from throwaway.programs import ServerMissing

pytestmark = pytest.mark.xdist_group("chromium")  # one worker, so that the site is built once
MERMAID = PROJECT_FOLDER / ".tools" / "mermaid.min.js"
HOME = "http://docs.test/"
_LOADED_FROM = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_CSS_ADDRESS = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; where its diagrams cannot be had, they are text."""
    got = subprocess.run(
        ["sh", "scripts/get_mermaid.sh", str(MERMAID)],
        cwd=PROJECT_FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode != 0 and shutil.which("npm") is not None:
        pytest.fail(got.stderr)
    folder = tmp_path_factory.mktemp("docs") / "site"
    ended = _build(PROJECT_FOLDER, folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def _build(project: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=project,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_builds_strictly(site: Path) -> None:
    """A broken link, a missing heading, and a page without a place in the menu stop the build."""
    pages = {
        path.relative_to(PROJECT_FOLDER / "docs").with_suffix(".html")
        for path in (PROJECT_FOLDER / "docs").rglob("*.md")
    }
    built = {path.relative_to(site) for path in site.rglob("*.html")}

    assert pages - built == set()
    assert Path("changelog.html") in built


class _Loaded(HTMLParser):
    """What a page loads by itself: scripts, styles, fonts, pictures, frames."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of whatever is loaded; a link that a reader follows is none."""
        address = dict(attrs).get(_LOADED_FROM.get(tag, ""))
        if address:
            self.addresses.append(address)


def _is_foreign(address: str) -> bool:
    return address.startswith(("http:", "https:", "//"))


def test_no_page_and_no_style_names_a_foreign_file(site: Path) -> None:
    """Scripts, styles, fonts and pictures lie beside the pages."""
    loaded = {path: _Loaded(path.read_text("utf-8")).addresses for path in site.rglob("*.html")}
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]

    assert [each for addresses in loaded.values() for each in addresses if _is_foreign(each)] == []
    assert [found for text in styles for found in _CSS_ADDRESS.findall(text)] == []
    assert min(map(len, loaded.values())) > 0
    assert styles


def test_a_foreign_file_would_be_found() -> None:
    """The check sees what a theme may do."""
    seen = _Loaded('<link rel="stylesheet" href="https://a/b.css"><a href="https://c/">see</a>')

    assert [each for each in seen.addresses if _is_foreign(each)] == ["https://a/b.css"]
    assert _CSS_ADDRESS.findall("@font-face{src:url(https://d/e.woff2)}") == ["https://d/e.woff2"]


class _Reader:
    """A browser that has the site's own files and nothing else."""

    def __init__(self, page: Page, site: Path) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        page.route("**/*", lambda route: self._answer(route, site))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _answer(self, route: Route, site: Path) -> None:
        address = route.request.url
        if address.startswith(HOME):
            route.fulfill(path=site / re.sub(r"[?#].*", "", address.removeprefix(HOME)))
        else:
            self.foreign.append(address)
            route.abort()

    def read(self, name: str) -> None:
        """Open a page."""
        self.page.goto(HOME + name)


@pytest.fixture
def reader(site: Path, chromium: Path) -> Iterator[_Reader]:
    """Give a reader of the site, who may not have been refused anything."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        reader = _Reader(browser.new_page(), site)
        yield reader
        browser.close()
    assert (reader.foreign, reader.complaints) == ([], [])


def _pages_with_diagrams() -> dict[str, int]:
    """Return how many diagrams each page has that has any."""
    docs = PROJECT_FOLDER / "docs"
    counts = {
        path.relative_to(docs).with_suffix(".html").as_posix(): text.count("```mermaid\n")
        for path in docs.rglob("*.md")
        for text in [path.read_text("utf-8")]
    }
    return {name: count for name, count in counts.items() if count}


def test_diagrams_are_drawn_from_the_sites_own_files(reader: _Reader) -> None:
    """Every diagram of every page becomes a picture, and nobody else is asked for anything."""
    if not MERMAID.exists():
        skip_or_fail(ServerMissing("npm", "npm"))
    wanted = _pages_with_diagrams()
    for name, count in wanted.items():
        reader.read(name)
        drawn = reader.page.locator("div.mermaid")
        drawn.nth(count - 1).wait_for()
        boxes = [each.bounding_box() for each in drawn.all()]

        assert [box["height"] > 100 for box in boxes if box is not None] == [True] * count, name
    assert sum(wanted.values()) >= 4


def test_every_page_can_be_read_and_searched_alone(reader: _Reader) -> None:
    """A page without diagrams is not burdened with their script; the search works."""
    reader.read("index.html?q=trailing")
    found = reader.page.locator(".md-search-result__item", has_text="trailing")
    found.first.wait_for()

    assert reader.page.locator('script[src*="mermaid"]').count() == 0


def test_without_the_script_diagrams_are_text(tmp_path: Path) -> None:
    """A site built where the script is not to be had fetches nothing either."""
    for name in ("docs", "mkdocs.yml", "CHANGELOG.md"):
        (tmp_path / name).symlink_to(PROJECT_FOLDER / name)
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT_FOLDER / "scripts" / "docs_site.py", tmp_path / "scripts")
    ended = _build(tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "flow.html").read_text("utf-8")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'class="mermaid"' not in page
    assert "flowchart TD" in page
    assert not (tmp_path / "site" / "assets" / "javascripts" / "mermaid.min.js").exists()
