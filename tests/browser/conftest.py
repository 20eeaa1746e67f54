"""One browser, one simulator and one engine for the tests of the dashboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from api_rig import ApiRig
from dashboard import Dashboard, OpenDashboard, StagedDashboard, Stand
from engine_process import CLIENT_IDS, BrokerProcess

SHARED_CLIENT, KILLED_CLIENT = CLIENT_IDS[0], CLIENT_IDS[1]


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """Give the system's Chromium, without a screen.

    While it is open this thread counts as running an event loop, so no other module may see it.
    """
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the page's own files."""
    with ApiRig() as rig:
        yield f"http://127.0.0.1:{rig.port}/"


@pytest.fixture(scope="module")
def page(browser: Browser, origin: str) -> Iterator[Page]:
    """Give a page of the dashboard's own origin, for tests of its modules."""
    opened = browser.new_page()
    opened.goto(origin)
    yield opened
    opened.close()


@pytest.fixture
def staged(browser: Browser, origin: str) -> Iterator[StagedDashboard]:
    """Give the page over a fake engine, not yet logged in; it may not have complained."""
    context = browser.new_context()
    dashboard = StagedDashboard(context, origin)
    yield dashboard
    context.close()
    assert dashboard.complaints == []


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to all of them."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


@pytest.fixture(scope="session")
def shared_stand(
    tmp_path_factory: pytest.TempPathFactory, broker: BrokerProcess
) -> Iterator[Stand]:
    """Run one engine for the tests that leave it running."""
    with Stand(tmp_path_factory.mktemp("engine"), broker, SHARED_CLIENT) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Iterator[Stand]:
    """Give the engine with fresh prices, and leave it flat, resumed and without faults."""
    shared_stand.price("26000.00", 1_000_000)
    yield shared_stand
    shared_stand.broker.admin("DELETE", "faults")
    shared_stand.lift()
    shared_stand.price("26000.00", 1_000_000)
    body = {"reason": "closed by hand", "wait_seconds": 20}
    shared_stand.engine.api("POST", "/exit-all", body)
    shared_stand.lift()


@pytest.fixture
def open_dashboard(browser: Browser, stand: Stand) -> Iterator[OpenDashboard]:
    """Open the page and log in; every page is closed, and none may have complained.

    Calls of `unanswered` fail. They are cut off before the page is opened, for what an open page
    asks right afterwards may still go past it.
    """
    opened = []

    def open_page(url: str = "", unanswered: str = "", **options: object) -> Dashboard:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        opened.append(context)
        page = context.new_page()
        if unanswered:
            page.route(unanswered, lambda route: route.abort())
        dashboard = Dashboard(page, url or stand.engine.url)
        pages.append(dashboard)
        dashboard.log_in()
        return dashboard

    pages: list[Dashboard] = []
    yield open_page
    for context in opened:
        context.close()
    assert [text for page in pages for text in page.complaints] == []
