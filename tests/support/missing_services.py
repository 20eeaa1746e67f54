"""What the test run says when a server program is missing: one loud line, or a failure in CI."""

import os
from collections.abc import Iterable
from typing import NoReturn

import pytest

from throwaway.programs import ServerMissing

REQUIRE_VARIABLE = "SQUAREOFF_REQUIRE_SERVICES"
_SKIP_PREFIX = "service missing, package "


def services_are_required() -> bool:
    """Say whether a missing service is a failure (`SQUAREOFF_REQUIRE_SERVICES=1`)."""
    return os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0")


def skip_or_fail(missing: ServerMissing) -> NoReturn:
    """End the asking test: skipped in a way that `loud_line` finds, or failed where required."""
    if services_are_required():
        pytest.fail(f"{missing}, and {REQUIRE_VARIABLE} is set: {_how_to(missing.package)}", False)
    pytest.skip(f"{_SKIP_PREFIX}{missing.package}")


def loud_line(skip_reasons: Iterable[str]) -> str | None:
    """Return the one line to print for these reasons of skipped tests, None when none is ours."""
    packages = [
        reason.partition(_SKIP_PREFIX)[2] for reason in skip_reasons if _SKIP_PREFIX in reason
    ]
    if not packages:
        return None
    names = " ".join(sorted(set(packages)))
    return f"{len(packages)} TESTS WERE NOT RUN for want of services: {_how_to(names)}"


def _how_to(packages: str) -> str:
    return (
        f"install them (Debian, Ubuntu: apt-get install {packages}), or set "
        "SQUAREOFF_TEST_POSTGRES_URL / SQUAREOFF_TEST_REDIS_URL"
    )
