"""The page's files: open, unchanged, and none that could bring in something from outside."""

import re
from pathlib import Path

import pytest

from api_rig import ApiRig
from squareoff.web.dashboard_page import FOLDER, dashboard_files

FILES = dashboard_files()
SCRIPTS = [path for path in FILES if path.endswith(".js")]
LINES_MAX = 260
_FOREIGN = re.compile(rb"https?://(?!www\.w3\.org/)")
_IMPORT = re.compile(r'from "(\.[^"]+)"')


def test_the_page_stands_at_the_root(rig: ApiRig) -> None:
    """Without a token the page comes, as HTML, with the strict policy."""
    answer = rig.call("GET", "/", headers={"Authorization": ""})

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for part in ("form-action 'none'", "base-uri 'none'", "trusted-types 'none'"):
        assert part in policy


@pytest.mark.parametrize("address", FILES)
def test_every_file_is_served_as_it_lies_there(address: str, rig: ApiRig) -> None:
    """Each file has its type, and needs no token."""
    answer = rig.call("GET", address, headers={"Authorization": ""})

    assert answer.status == 200
    assert answer.text.encode() == FILES[address].content
    assert answer.headers["content-type"] == FILES[address].media_type


@pytest.mark.parametrize(
    "address",
    ["/dashboard/", "/dashboard/../api_token.py", "/dashboard/%2e%2e/api_token.py",
     "/dashboard/nothing.js", "/index.html", "//etc/passwd"],
)  # fmt: skip
def test_nothing_else_is_open(address: str, rig: ApiRig) -> None:
    """An address that is no file of the folder is refused like every other."""
    assert rig.call("GET", address, headers={"Authorization": ""}).status == 401


def test_the_page_is_not_changed_by_a_call(rig: ApiRig) -> None:
    """A page takes no other method."""
    assert rig.call("POST", "/", {}, headers={"Authorization": ""}).status in (401, 405)


def test_every_import_and_link_is_a_file() -> None:
    """What a script imports and what the page links to is served."""
    page = FILES["/"].content.decode()
    linked = re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', page)

    assert len(linked) >= 4
    assert [path for path in linked if path not in FILES] == []
    for address in SCRIPTS:
        for target in _IMPORT.findall(FILES[address].content.decode()):
            resolved = (Path(address).parent / target).as_posix()
            assert str(Path(resolved)).replace("views/../", "") in FILES, (address, target)


@pytest.mark.parametrize("address", FILES)
def test_nothing_comes_from_elsewhere(address: str) -> None:
    """No file names another host, holds inline code, or makes markup of text."""
    content = FILES[address].content

    assert not _FOREIGN.search(content)
    for banned in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("):
        assert banned not in content
    if address == "/":
        assert not re.search(rb"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", content)


@pytest.mark.parametrize("address", SCRIPTS)
def test_a_module_is_short_and_says_what_it_is(address: str) -> None:
    """Each module begins with a sentence on its job, and is read in a minute."""
    lines = FILES[address].content.decode().splitlines()

    assert lines[0].startswith("// ")
    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= 100


def test_the_folder_holds_only_what_is_served() -> None:
    """No stray file is shipped."""
    assert sum(path.is_file() for path in FOLDER.rglob("*")) == len(FILES)
