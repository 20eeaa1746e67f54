"""Seeds that once found a defect, by name; each must stay clean."""

import pytest

from squareoff.simulator.virtual.run_seed import run_seed

FOUND = {
    "a fill booked between the reading and the sizing let an exit close more than was left": (
        2955,
        3607,
    ),
    "a lagging reading showed units that our own newest fills had already closed": (7772,),
    "an exit sized without a reading of the positions met a close by hand, and nobody was told": (
        11,
        81,
        94,
    ),
    "a first print after a connect, far from every known price, fired a stop": (5, 106, 216, 248),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_defect_once_found_stays_away(name: str) -> None:
    """The seeds that showed a defect show it no more."""
    reports = [run_seed(seed) for seed in FOUND[name]]

    assert [report.summary() for report in reports if not report.is_good] == []
