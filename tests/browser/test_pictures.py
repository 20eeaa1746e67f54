"""The pictures of docs/dashboard.md: the same scene in light, dark and on a phone.

With SQUAREOFF_PICTURES_TO naming a folder they are written there, and the scene takes its time for
a fuller chart; else into the test's own.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dashboard import OpenDashboard, Stand

PICTURES: dict[str, dict[str, Any]] = {
    "dashboard-light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 1300}},
    "dashboard-dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 1300}},
    "dashboard-phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
PNG = b"\x89PNG\r\n\x1a\n"
KEPT_IN = os.environ.get("SQUAREOFF_PICTURES_TO", "")
DAY = (
    *("26001.00", "26004.00", "26002.50", "26006.00", "26009.00", "26007.50", "26005.00"),
    *("26004.50", "26006.50", "26010.00", "26008.00", "26012.00", "26011.00", "26014.50"),
)
BYTES_MIN = 20_000
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", PICTURES)
def test_the_scene_can_be_seen(
    name: str, stand: Stand, open_dashboard: OpenDashboard, tmp_path: Path
) -> None:
    """Watching, an exit in the middle, one that ended, and a chart with its trailing stop."""
    watched = stand.hold({"stop_loss": {"points": "50"}, "target": {"points": "80"}})
    exiting = stand.hold({"trailing": {"points": "12"}}, quantity=300)
    ended = stand.hold({"target": {"points": "14"}}, product="MARGIN", quantity=75)
    dashboard = open_dashboard(**PICTURES[name])
    dashboard.wait_step(exiting, "watching")
    if "phone" not in name:
        dashboard.open_detail(exiting)
    for price in DAY if KEPT_IN else DAY[-1:]:
        clock = dashboard.page.locator("#clock").inner_text()
        stand.price(price, 1_000_000)
        expect(dashboard.row(watched, ".last .figure")).to_have_text(f"{float(price):,.2f}")
        if KEPT_IN:
            expect(dashboard.page.locator("#clock")).not_to_have_text(clock)
    dashboard.wait_step(ended, "exited")
    stand.price("26002.00", 100)
    dashboard.wait_step(exiting, "part_filled")
    if "phone" not in name:
        expect(dashboard.page.locator("#detail svg .fill").first).to_be_attached()

    path = Path(KEPT_IN or tmp_path) / f"{name}.png"
    dashboard.page.evaluate("scrollTo(0, 0)")
    dashboard.page.screenshot(path=path)
    assert path.read_bytes().startswith(PNG)
    assert path.stat().st_size > BYTES_MIN


@pytest.mark.parametrize("name", PICTURES)
def test_the_docs_show_it(name: str) -> None:
    """The page on the dashboard shows each picture, and it is there."""
    page = (DOCS / "dashboard.md").read_text(encoding="utf-8")

    assert f"(images/{name}.png)" in page
    assert (DOCS / "images" / f"{name}.png").read_bytes().startswith(PNG)
