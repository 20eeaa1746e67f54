"""Seeds that once found a defect, by name; each must stay clean.

`found_knobs.json` holds the knobs of those whose drawing has changed since, by seed.
"""

import json
from pathlib import Path

import msgspec
import pytest

from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.run_seed import run_seed

KNOBS = msgspec.convert(
    json.loads(Path(__file__).with_name("found_knobs.json").read_text()), dict[str, Knobs]
)

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
    "a feed subscription that the broker took in silence left the stops blind": (41,),
    "a claim met the hand-over of its key's lock, and the engine stood still for ever": (841,),
    "a send was given up, and its own answer that nothing had left halted the position": (13003,),
    "seven exits of one key each took for its own what one reading had shown": (43024,),
    "a throw of the kill switch was committed after its release, and entries went out": (101128,),
    "our clock was ahead, so a close by hand seemed older than the position": (102003,),
    "an exit waited for the same reason a second time, and nobody was told": (102859,),
    "an opening whose commit was in doubt was made a second time": (104137,),
    "the stream named the last fill of an ended order, and its rest was closed twice": (104814,),
    "fills of today were counted from the history as well, as our clock was a day ahead": (990044,),
    "a clock that was set back left a hole in the story of a position, and the engine ended": (
        150523,
    ),
    "a position that no comparison had seen was closed on our word, and not held": (6002074,),
    "a stranger's order that the stream had lost let a plan of ten seconds ago go out": (
        6001271,
        4021,
    ),
    "an attempt that failed while the engine restarted used up none": (5000029,),
    "a first print after a connect, far from every known price, fired a stop": (5, 106, 216, 248),
    "a day's range that came with a trade of yesterday was never told of today": (12100110,),
    "permits of before a night let eleven orders out within a second": (67016,),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_defect_once_found_stays_away(name: str) -> None:
    """The seeds that showed a defect show it no more."""
    reports = [run_seed(seed, knobs=KNOBS[str(seed)]) for seed in FOUND[name]]

    assert [report.summary() for report in reports if not report.is_good] == []
