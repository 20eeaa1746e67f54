"""Fixtures for every test: throw-away services, repeatable random tests, the loud closing line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from missing_services import loud_line, skip_or_fail
from squareoff.adapters.garbage_collection import look_less_often
from throwaway.postgres import fresh_database, postgres_server
from throwaway.programs import ServerMissing
from throwaway.redis_server import emptied_database, redis_server

POSTGRES_VARIABLE = "SQUAREOFF_TEST_POSTGRES_URL"
REDIS_VARIABLE = "SQUAREOFF_TEST_REDIS_URL"

# The same examples in every run; HYPOTHESIS_PROFILE=exploring looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("exploring", deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let longer runs of the fuzz in tests/controls/ be asked for: `--api-calls 100000`."""
    parser.addoption("--api-calls", type=int, default=None, help="fuzzed calls of the API")
    parser.addoption("--api-report", type=Path, default=None, help="report of those without token")


def pytest_collection_finish() -> None:
    """What was collected lives to the end, and simulated exits are most of what comes after."""
    look_less_often()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Give the URL of a PostgreSQL server's maintenance database; tests never write to it."""
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield given
        return
    try:
        with postgres_server() as url:
            yield url
    except ServerMissing as missing:
        skip_or_fail(missing)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Give the URL of an empty PostgreSQL database of this test's own."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Give the URL of a Redis server."""
    given = os.environ.get(REDIS_VARIABLE)
    if given:
        yield given
        return
    try:
        with redis_server() as url:
            yield url
    except ServerMissing as missing:
        skip_or_fail(missing)


@pytest.fixture
def redis_database(redis_url: str) -> str:
    """Give the URL of an emptied Redis database that no other test uses meanwhile."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return emptied_database(redis_url, int(worker.removeprefix("gw")))


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Give the path of a Chromium or Chrome program, for tests of the dashboard."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), None)
    if path is None:
        skip_or_fail(ServerMissing("chromium", "chromium"))
    return Path(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of one service on one worker, so that a run starts one server of each."""
    for item in items:
        if item.get_closest_marker("xdist_group") is not None:
            continue
        for service in ("postgres_url", "redis_url", "chromium"):
            if service in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(service))
                break


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one loud line which tests were not run for want of a service."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    line = loud_line(reasons)
    if line is not None:
        terminalreporter.write_line(f"!!! {line}", red=True, bold=True)
