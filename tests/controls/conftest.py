"""One engine with its API per module; tests add their own positions and mind only those."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from api_fuzz import operations_of
from api_rig import ApiRig


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiRig]:
    """Give a running engine behind its API."""
    with ApiRig() as running:
        yield running


@pytest.fixture(scope="module")
def line() -> Iterator[requests.Session]:
    """Give one connection that is kept."""
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def operations(rig: ApiRig) -> list[Any]:
    """Return every operation that the API's document names, in its order."""
    return operations_of(rig)
