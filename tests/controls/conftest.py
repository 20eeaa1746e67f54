"""One engine with its API per module; tests add their own positions and mind only those."""

from collections.abc import Iterator

import pytest

from api_rig import ApiRig


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiRig]:
    """Give a running engine behind its API."""
    with ApiRig() as running:
        yield running
